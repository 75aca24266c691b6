-- The life of a case after its report: deadlines, reminders, absences; settings with history.

-- ---------------------------------------------------------------- settings

ALTER TABLE settings
    ADD COLUMN revision   integer NOT NULL DEFAULT 1,
    ADD COLUMN changed_by uuid REFERENCES people;

-- Every value a setting ever had: appended to, never changed.
CREATE TABLE settings_history (
    key        text NOT NULL,
    revision   integer NOT NULL,
    value      jsonb NOT NULL,
    changed_by uuid REFERENCES people,
    changed_at timestamptz NOT NULL,
    reason     text,
    PRIMARY KEY (key, revision)
);
CREATE TRIGGER settings_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON settings_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

INSERT INTO revisions (subject) VALUES ('settings');

-- ---------------------------------------------------------------- absences

-- While somebody is away, whoever stands in answers. Days of Asia/Shanghai, both ends included.
CREATE TABLE absences (
    id           uuid PRIMARY KEY,
    person_id    uuid NOT NULL REFERENCES people,
    first_day    date NOT NULL,
    last_day     date NOT NULL CHECK (last_day >= first_day),
    reason       text,
    created_by   uuid REFERENCES people,
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- Taken back: kept, but without effect.
    cancelled_by uuid REFERENCES people,
    cancelled_at timestamptz
);
CREATE INDEX absences_by_person ON absences (person_id);
CREATE INDEX absences_in_force ON absences (last_day) WHERE cancelled_at IS NULL;

-- ---------------------------------------------------------------- deadlines

ALTER TABLE cases
    -- Which deadline `due_at` is: first_visit, stop, application, demolition, review, rework.
    ADD COLUMN due_step     text,
    -- The deadlines counted from the report, for rates; none for imported cases.
    ADD COLUMN stop_due_at  timestamptz,
    ADD COLUMN close_due_at timestamptz,
    -- When it first happened.
    ADD COLUMN visited_at   timestamptz,
    ADD COLUMN stopped_at   timestamptz,
    ADD COLUMN applied_at   timestamptz,
    ADD COLUMN applicant_id uuid REFERENCES people,
    ADD COLUMN closed_by    uuid REFERENCES people,
    -- How often an application was sent back, and a deadline extended.
    ADD COLUMN times_returned integer NOT NULL DEFAULT 0,
    ADD COLUMN times_extended integer NOT NULL DEFAULT 0,
    ADD COLUMN duplicate_of uuid REFERENCES cases CHECK (duplicate_of <> id);
CREATE INDEX cases_due ON cases (due_at) WHERE closed_at IS NULL AND due_at IS NOT NULL;
CREATE INDEX cases_duplicate_of ON cases (duplicate_of) WHERE duplicate_of IS NOT NULL;

-- One row per reminder that was sent, written in the transaction that sends it: the key is what
-- keeps several processes from sending it twice. A deadline that is moved is another deadline.
CREATE TABLE case_reminders (
    case_id uuid NOT NULL REFERENCES cases,
    step    text NOT NULL,
    due_at  timestamptz NOT NULL,
    -- near, overdue, then escalated_1, escalated_2 …
    stage   text NOT NULL,
    sent_at timestamptz NOT NULL,
    PRIMARY KEY (case_id, step, due_at, stage)
);
CREATE TRIGGER case_reminders_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON case_reminders
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- ---------------------------------------------------------------- the service's rights

GRANT SELECT, INSERT, UPDATE ON absences TO xuncha_app;
GRANT SELECT, INSERT ON settings_history, case_reminders TO xuncha_app;
