-- Months as they were signed, and which monthly files have been sent.

-- Appended to, never changed: what is corrected later shows as a difference against it.
CREATE TABLE frozen_reports (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL,
    area_code  text NOT NULL,
    level      text NOT NULL,
    -- The month: days of Asia/Shanghai, both ends included.
    first_day  date NOT NULL,
    last_day   date NOT NULL CHECK (last_day >= first_day),
    as_of      timestamptz NOT NULL,
    -- None where the platform froze it at the end of the month.
    frozen_by  uuid REFERENCES people,
    frozen_at  timestamptz NOT NULL,
    generation bigint NOT NULL,
    -- The figures as JSON, and the workbook with its hash.
    figures    jsonb NOT NULL,
    file       bytea NOT NULL,
    sha256     bytea NOT NULL CHECK (length(sha256) = 32),
    UNIQUE (kind, area_code, level, first_day)
);
CREATE INDEX frozen_reports_by_area ON frozen_reports (area_code, first_day DESC);
CREATE TRIGGER frozen_reports_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON frozen_reports
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One row per area and month, written in the transaction that tells its leaders: the key is what
-- keeps several processes from telling them twice.
CREATE TABLE monthly_reports (
    area_code text NOT NULL,
    first_day date NOT NULL,
    frozen_id uuid NOT NULL REFERENCES frozen_reports,
    sent_at   timestamptz NOT NULL,
    PRIMARY KEY (area_code, first_day)
);
CREATE TRIGGER monthly_reports_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON monthly_reports
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON frozen_reports, monthly_reports TO xuncha_app;
