-- Messages, what carries them out of the house, tasks from above, reports of the public.

-- ---------------------------------------------------------------- messages

-- One row per recipient: written in the transaction of what it tells of, so none is lost; one per
-- (key, recipient), so none is doubled.
CREATE TABLE messages (
    id           uuid PRIMARY KEY,
    key          uuid NOT NULL,
    recipient_id uuid NOT NULL REFERENCES people,
    kind         text NOT NULL,
    case_id      uuid REFERENCES cases,
    task_id      uuid,
    public_report_id uuid,
    -- Who caused it; none where the platform did.
    actor_id     uuid REFERENCES people,
    -- As the recipient reads it, in the recipient's language.
    text         text NOT NULL,
    in_reply_to  uuid REFERENCES messages,
    created_at   timestamptz NOT NULL,
    read_at      timestamptz,
    -- For followers of the feed; see cases.changed_xid.
    written_xid  xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (key, recipient_id)
);
CREATE INDEX messages_by_recipient ON messages (recipient_id, created_at DESC, id DESC);
CREATE INDEX messages_unread ON messages (recipient_id) WHERE read_at IS NULL;
CREATE INDEX messages_by_actor ON messages (actor_id, created_at DESC, id DESC) WHERE actor_id IS NOT NULL;
CREATE INDEX messages_by_case ON messages (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX messages_by_xid ON messages (written_xid);

-- A message says for ever what it said; that it was read is all that changes.
CREATE FUNCTION keep_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' OR OLD.read_at IS NOT NULL
       OR (to_jsonb(NEW) - 'read_at') <> (to_jsonb(OLD) - 'read_at') THEN
        RAISE EXCEPTION 'messages are kept as they are' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER messages_kept BEFORE UPDATE OR DELETE ON messages
    FOR EACH ROW EXECUTE FUNCTION keep_message();
CREATE TRIGGER messages_not_emptied BEFORE TRUNCATE ON messages
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- ---------------------------------------------------------------- deliveries

CREATE TABLE push_subscriptions (
    id         uuid PRIMARY KEY,
    person_id  uuid NOT NULL REFERENCES people,
    endpoint   text NOT NULL UNIQUE,
    p256dh     text NOT NULL,
    auth       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX push_subscriptions_by_person ON push_subscriptions (person_id);

-- The service's own key pair for Web Push (VAPID): made once, or every browser would have to
-- subscribe anew.
CREATE TABLE push_keys (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    private_key bytea NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT now()
);

-- What has to leave the house: an entry is taken under a lease, so that a worker that is killed
-- hands it on.
CREATE TABLE deliveries (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id      uuid NOT NULL REFERENCES messages,
    channel         text NOT NULL CHECK (channel IN ('push', 'sms', 'email')),
    subscription_id uuid REFERENCES push_subscriptions ON DELETE CASCADE,
    -- skipped: shown or read in the app meanwhile; dead: given up, for an administrator to see.
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'skipped', 'dead')),
    attempts        integer NOT NULL DEFAULT 0,
    next_at         timestamptz NOT NULL DEFAULT now(),
    leased_until    timestamptz,
    last_error      text,
    finished_at     timestamptz,
    CHECK ((channel = 'push') = (subscription_id IS NOT NULL))
);
CREATE INDEX deliveries_pending ON deliveries (next_at) WHERE state = 'pending';
CREATE INDEX deliveries_dead ON deliveries (id) WHERE state = 'dead';
CREATE INDEX deliveries_by_message ON deliveries (message_id);
CREATE INDEX deliveries_by_subscription ON deliveries (subscription_id) WHERE subscription_id IS NOT NULL;

-- Who has an event stream open, as the processes say every few seconds; kept nowhere for long.
CREATE UNLOGGED TABLE streams (
    process   uuid NOT NULL,
    person_id uuid NOT NULL,
    until     timestamptz NOT NULL,
    PRIMARY KEY (process, person_id)
);
CREATE INDEX streams_by_person ON streams (person_id);

-- ---------------------------------------------------------------- tasks from above

CREATE TABLE tasks (
    id          uuid PRIMARY KEY,
    giver_id    uuid NOT NULL REFERENCES people,
    -- To a person, or to a team: a department of an area.
    person_id   uuid REFERENCES people,
    department  text,
    area_code   text NOT NULL,
    case_id     uuid REFERENCES cases,
    title       text NOT NULL,
    text        text,
    -- The days it is about, where it is about some.
    from_day    date,
    to_day      date,
    due_at      timestamptz NOT NULL,
    status      text NOT NULL CHECK (status IN ('given', 'accepted', 'reported', 'closed')),
    version     integer NOT NULL DEFAULT 1,
    -- Of the team, who took it.
    accepted_by uuid REFERENCES people,
    created_at  timestamptz NOT NULL,
    closed_at   timestamptz,
    CHECK ((person_id IS NULL) <> (department IS NULL))
);
CREATE INDEX tasks_by_giver ON tasks (giver_id, created_at DESC, id DESC);
CREATE INDEX tasks_by_person ON tasks (person_id, created_at DESC, id DESC) WHERE person_id IS NOT NULL;
CREATE INDEX tasks_by_time ON tasks (created_at DESC, id DESC);
CREATE INDEX tasks_by_case ON tasks (case_id) WHERE case_id IS NOT NULL;

CREATE TABLE task_events (
    task_id  uuid NOT NULL REFERENCES tasks,
    seq      integer NOT NULL,
    id       uuid NOT NULL UNIQUE,
    action   text NOT NULL,
    actor_id uuid NOT NULL REFERENCES people,
    at       timestamptz NOT NULL,
    text     text,
    PRIMARY KEY (task_id, seq)
);
CREATE TRIGGER task_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON task_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- ---------------------------------------------------------------- reports of the public

CREATE TABLE public_reports (
    id           uuid PRIMARY KEY,
    -- sha256 of the link's secret: a copy of the store opens no report.
    secret_hash  bytea NOT NULL UNIQUE,
    -- sha256 of the request, to tell a retry from a mistake.
    request      bytea NOT NULL,
    received_at  timestamptz NOT NULL,
    lon          double precision NOT NULL,
    lat          double precision NOT NULL,
    input_x      double precision NOT NULL,
    input_y      double precision NOT NULL,
    input_crs    text NOT NULL,
    accuracy_m   double precision,
    text         text NOT NULL,
    phone        text,
    photos       jsonb NOT NULL DEFAULT '[]',
    place        jsonb NOT NULL,
    city_code    text,
    district_code text,
    functional_area_code text,
    town_code    text,
    village_code text,
    state        text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'accepted', 'declined')),
    case_id      uuid REFERENCES cases,
    -- What the reporter is told when it is declined.
    reason       text,
    decided_by   uuid REFERENCES people,
    decided_at   timestamptz,
    CHECK ((state = 'accepted') = (case_id IS NOT NULL)),
    CHECK ((state = 'declined') = (reason IS NOT NULL))
);
CREATE INDEX public_reports_by_time ON public_reports (received_at DESC, id DESC);
CREATE INDEX public_reports_new ON public_reports (received_at DESC, id DESC) WHERE state = 'new';

ALTER TABLE messages
    ADD FOREIGN KEY (task_id) REFERENCES tasks,
    ADD FOREIGN KEY (public_report_id) REFERENCES public_reports;

-- ---------------------------------------------------------------- rights

GRANT SELECT, INSERT ON messages TO xuncha_app;
GRANT UPDATE (read_at) ON messages TO xuncha_app;
GRANT SELECT, INSERT, UPDATE ON deliveries TO xuncha_app;
-- A subscription that goes takes its deliveries along.
GRANT DELETE ON deliveries TO xuncha_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON push_subscriptions, streams TO xuncha_app;
GRANT SELECT, INSERT ON push_keys, task_events TO xuncha_app;
GRANT SELECT, INSERT, UPDATE ON tasks, public_reports TO xuncha_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO xuncha_app;
