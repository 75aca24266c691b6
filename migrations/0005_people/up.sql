-- People who leave, devices, tokens with scopes, and the audit trail.

ALTER TABLE people ADD COLUMN left_at timestamptz;

-- What a person needs to know a session by, to end it from elsewhere.
ALTER TABLE sessions
    ADD COLUMN id           uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    ADD COLUMN user_agent   text,
    ADD COLUMN address      text,
    ADD COLUMN last_seen_at timestamptz NOT NULL DEFAULT now();

-- read: look only; report: besides, what a phone sends; manage: all that the person may.
ALTER TABLE api_tokens
    ADD COLUMN scope        text NOT NULL DEFAULT 'manage' CHECK (scope IN ('read', 'report', 'manage')),
    ADD COLUMN last_used_at timestamptz;
CREATE INDEX api_tokens_by_person ON api_tokens (person_id);
CREATE INDEX duties_by_person ON duties (person_id);

-- ---------------------------------------------------------------- audit

-- Who did what, when, from where. Written in the transaction of the deed, without any lock.
CREATE TABLE audit (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_id uuid REFERENCES people,
    -- The address the request came from; none for a command on the machine itself.
    address  text,
    action   text NOT NULL CHECK (action ~ '^[a-z][a-z_.]{1,60}$'),
    -- What it was done to, as kind:key.
    subject  text NOT NULL CHECK (length(subject) <= 200),
    before   jsonb,
    after    jsonb
);
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_actor ON audit (actor_id, id);
CREATE INDEX audit_by_action ON audit (action, id);
CREATE INDEX audit_by_subject ON audit (subject text_pattern_ops, id);

-- The hash chain over the trail, in the order in which rows were sealed, shortly after their
-- commit: a lock held from the first hash to the commit would make every writer wait for every
-- other. hash = sha256(hash before ‖ seq ‖ the row in a canonical form).
CREATE TABLE audit_chain (
    seq      bigint PRIMARY KEY,
    audit_id bigint NOT NULL UNIQUE REFERENCES audit,
    hash     bytea NOT NULL CHECK (length(hash) = 32)
);

-- Rows that wait for their seal. A row neither here nor in the chain has been tampered with.
CREATE TABLE audit_unsealed (
    audit_id bigint PRIMARY KEY
);
CREATE FUNCTION await_seal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_unsealed VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_await_seal AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION await_seal();

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_chain_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_chain
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON audit, audit_chain TO xuncha_app;
GRANT SELECT, INSERT, DELETE ON audit_unsealed TO xuncha_app;
