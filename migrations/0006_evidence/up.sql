-- Evidence with who, when and where; uploads that may be cut; patrol; suspected plots.

-- ---------------------------------------------------------------- evidence

ALTER TABLE attachments
    -- By the device that sent it: when and where it was made.
    ADD COLUMN observed_at timestamptz,
    ADD COLUMN input_x     double precision,
    ADD COLUMN input_y     double precision,
    ADD COLUMN input_crs   text,
    -- The same in CGCS2000 degrees.
    ADD COLUMN lon         double precision CHECK (lon BETWEEN -180 AND 180),
    ADD COLUMN lat         double precision CHECK (lat BETWEEN -90 AND 90),
    ADD COLUMN accuracy_m  double precision CHECK (accuracy_m >= 0),
    -- Degrees clockwise from true north.
    ADD COLUMN bearing     double precision CHECK (bearing >= 0 AND bearing < 360),
    ADD COLUMN mocked      boolean,
    -- What the file itself says (EXIF): taken_at, lon, lat, bearing, camera.
    ADD COLUMN exif        jsonb,
    -- What does not fit the case: told, never a reason to refuse.
    ADD COLUMN flags       text[] NOT NULL DEFAULT '{}',
    ADD COLUMN width_px    integer,
    ADD COLUMN height_px   integer;
CREATE INDEX attachments_by_content ON attachments (sha256);
CREATE TRIGGER attachments_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON attachments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Uploads in work (tus 1.0). The bytes lie in the data folder; its length is the offset.
CREATE TABLE uploads (
    -- Also of the attachment it becomes.
    id            uuid PRIMARY KEY,
    person_id     uuid NOT NULL REFERENCES people,
    case_id       uuid NOT NULL REFERENCES cases,
    length        bigint NOT NULL CHECK (length > 0),
    file_name     text NOT NULL,
    -- The device's word on time and place, as for a multipart upload.
    circumstances jsonb NOT NULL DEFAULT '{}',
    -- What the bytes must hash to, where the client said it.
    sha256        bytea,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    finished_at   timestamptz
);
CREATE INDEX uploads_by_expiry ON uploads (expires_at);
CREATE INDEX uploads_by_person ON uploads (person_id) WHERE finished_at IS NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON uploads TO xuncha_app;

-- ---------------------------------------------------------------- patrol

-- Which cells are to be visited how often. A plan that has begun changes no more but for its
-- title and end: figures of past periods stay what they were.
CREATE TABLE patrol_plans (
    id            uuid PRIMARY KEY,
    title         text NOT NULL,
    -- City, district, functional area, town or village: all its cells, or those named.
    area_code     text NOT NULL,
    cells         text[],
    -- Only visits by people of this department count, where it is named.
    department    text,
    -- `times` visits on different days in every window: of `every_days` days from valid_from,
    -- a week from Monday, or a calendar month.
    per           text NOT NULL CHECK (per IN ('days', 'week', 'month')),
    every_days    integer CHECK (every_days BETWEEN 1 AND 366),
    times         integer NOT NULL CHECK (times BETWEEN 1 AND 31),
    -- 1 to 12; a window counts when its last day is in one of them.
    season_months smallint[] NOT NULL,
    valid_from    date NOT NULL,
    -- The last day; none while it goes on.
    valid_to      date,
    created_by    uuid REFERENCES people,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CHECK ((per = 'days') = (every_days IS NOT NULL)),
    CHECK (valid_to IS NULL OR valid_to >= valid_from - 1)
);
CREATE INDEX patrol_plans_by_area ON patrol_plans (area_code);
GRANT SELECT, INSERT, UPDATE, DELETE ON patrol_plans TO xuncha_app;

-- Batches of positions as a phone sent them.
CREATE TABLE patrol_tracks (
    id          uuid PRIMARY KEY,
    person_id   uuid NOT NULL REFERENCES people,
    received_at timestamptz NOT NULL DEFAULT now(),
    -- sha256 of the request: the same id with other points is a mistake, not a retry.
    request     bytea NOT NULL,
    points      integer NOT NULL,
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL
);
CREATE INDEX patrol_tracks_by_person ON patrol_tracks (person_id, first_at);
GRANT SELECT, INSERT ON patrol_tracks TO xuncha_app;

CREATE TABLE patrol_track_points (
    person_id  uuid NOT NULL REFERENCES people,
    at         timestamptz NOT NULL,
    track_id   uuid NOT NULL REFERENCES patrol_tracks,
    -- CGCS2000 degrees.
    lon        double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    lat        double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    accuracy_m double precision CHECK (accuracy_m >= 0),
    mocked     boolean NOT NULL DEFAULT false,
    -- Derived, from all points of the person and day: why it does not count, and where it lies.
    flag       text CHECK (flag IN ('mocked', 'inaccurate', 'impossible_speed')),
    cell_code  text,
    -- One position per person and moment, however often it is sent.
    PRIMARY KEY (person_id, at)
);
GRANT SELECT, INSERT, UPDATE (flag, cell_code) ON patrol_track_points TO xuncha_app;

-- Who was in which cell on which day (Asia/Shanghai), derived from records, photos and tracks.
CREATE TABLE patrol_visits (
    person_id     uuid NOT NULL REFERENCES people,
    cell_code     text NOT NULL,
    day           date NOT NULL,
    source        text NOT NULL CHECK (source IN ('record', 'photo', 'track')),
    -- The first moment, and what shows it: case event, attachment; none for a track.
    at            timestamptz NOT NULL,
    evidence_id   uuid,
    -- The person's, and the cell's place, on that day.
    department    text,
    city_code     text,
    district_code text,
    functional_area_code text,
    town_code     text,
    village_code  text,
    PRIMARY KEY (cell_code, day, person_id, source)
);
CREATE INDEX patrol_visits_by_person ON patrol_visits (person_id, day);
CREATE INDEX patrol_visits_by_day ON patrol_visits (day);
GRANT SELECT, INSERT, UPDATE, DELETE ON patrol_visits TO xuncha_app;

-- ---------------------------------------------------------------- suspected plots

CREATE TABLE suspect_imports (
    id         uuid PRIMARY KEY,
    file_name  text NOT NULL,
    created_by uuid REFERENCES people,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Row by row: created, existing, rejected.
    report     jsonb NOT NULL
);
GRANT SELECT, INSERT ON suspect_imports TO xuncha_app;

-- The plot a case was made from. Neither the number of a plot nor its outline makes a second case.
CREATE TABLE suspects (
    case_id         uuid PRIMARY KEY REFERENCES cases,
    import_id       uuid NOT NULL REFERENCES suspect_imports,
    plot_number     text UNIQUE,
    geometry_sha256 bytea NOT NULL UNIQUE,
    attributes      jsonb NOT NULL
);
GRANT SELECT, INSERT ON suspects TO xuncha_app;
