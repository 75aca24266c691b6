-- Everything of the first delivery: boundaries with their history, people and duties, cases.
-- Geometry is CGCS2000 longitude/latitude (EPSG:4490), areas are ellipsoidal m².

CREATE EXTENSION IF NOT EXISTS postgis;

-- ---------------------------------------------------------------- boundaries

CREATE TABLE layers (
    name        text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,39}$'),
    -- A partition gives every position one owner; an overlay gives every hit.
    kind        text NOT NULL CHECK (kind IN ('partition', 'overlay')),
    title_zh    text NOT NULL,
    title_en    text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

INSERT INTO layers (name, kind, title_zh, title_en) VALUES
    ('city',            'partition', '市',           'City'),
    ('district',        'partition', '区县',         'District'),
    ('town',            'partition', '乡镇街道',     'Town'),
    ('village',         'partition', '村社区',       'Village'),
    ('functional_area', 'overlay',   '功能区',       'Functional area'),
    ('cell',            'partition', '单元网格',     'Grid cell'),
    ('parcel',          'partition', '地类图斑',     'Parcel'),
    ('basic_farmland',  'overlay',   '永久基本农田', 'Permanent basic farmland');

CREATE TABLE imports (
    id          uuid PRIMARY KEY,
    layer       text NOT NULL REFERENCES layers,
    file_name   text NOT NULL,
    -- What was asked: source layer, CRS, encoding, field names, area, filter.
    options     jsonb NOT NULL DEFAULT '{}',
    state       text NOT NULL DEFAULT 'reading'
                CHECK (state IN ('reading', 'ready', 'published', 'discarded', 'failed')),
    progress    real NOT NULL DEFAULT 0,
    -- The check report of the contract; {"error":{…}} when failed.
    report      jsonb,
    -- The generation the report compared with; a publish after another one checks again.
    base_generation bigint,
    area_code   text,
    created_by  uuid,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

-- One row per publish: the version history of the whole atlas.
CREATE TABLE generations (
    generation   bigint PRIMARY KEY,
    layer        text NOT NULL REFERENCES layers,
    import_id    uuid NOT NULL REFERENCES imports,
    published_at timestamptz NOT NULL DEFAULT now(),
    published_by uuid,
    added        integer NOT NULL,
    removed      integer NOT NULL,
    moved        integer NOT NULL
);

-- A feature is in force from the generation that brought it to the one that took it away. Drafts
-- have neither. What a publish does not change keeps its row, so history costs only what changed.
CREATE TABLE features (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    layer            text NOT NULL REFERENCES layers,
    import_id        uuid NOT NULL REFERENCES imports,
    record           integer NOT NULL,
    code             text NOT NULL,
    name             text,
    class_code       text,
    class_name       text,
    parent_code      text,
    area_m2          double precision NOT NULL,
    -- The area the survey itself states (TBDLMJ or TBMJ), where it does.
    surveyed_area_m2 double precision,
    attributes       jsonb NOT NULL DEFAULT '{}',
    -- First 8 bytes of the sha256 over everything that matters: equal means unchanged.
    content_hash     bigint NOT NULL,
    geom             geometry(MultiPolygon, 4490) NOT NULL,
    valid_from       bigint REFERENCES generations,
    valid_to         bigint REFERENCES generations
);
CREATE INDEX features_in_force ON features (layer, code) WHERE valid_from IS NOT NULL AND valid_to IS NULL;
CREATE INDEX features_by_import ON features (import_id);
CREATE INDEX features_geom ON features USING gist (geom);

-- What GIS clients and checks read: the boundaries in force.
CREATE VIEW features_in_force_view AS
    SELECT id, layer, code, name, class_code, class_name, parent_code, area_m2, surveyed_area_m2, geom
    FROM features WHERE valid_from IS NOT NULL AND valid_to IS NULL;

-- ---------------------------------------------------------------- people

CREATE TABLE people (
    id            uuid PRIMARY KEY,
    phone         text NOT NULL UNIQUE CHECK (phone ~ '^[0-9+]{5,20}$'),
    name          text NOT NULL,
    role          text NOT NULL CHECK (role IN ('patroller', 'squad_leader', 'reviewer', 'village_leader',
                      'town_leader', 'district_leader', 'city_leader', 'dispatcher', 'planner', 'admin')),
    area_code     text NOT NULL,
    department    text,
    -- argon2id; none until the account is activated.
    password_hash text,
    must_change_password boolean NOT NULL DEFAULT true,
    active        boolean NOT NULL DEFAULT true,
    failed_logins integer NOT NULL DEFAULT 0,
    locked_until  timestamptz,
    language      text NOT NULL DEFAULT 'zh' CHECK (language IN ('zh', 'en')),
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
    -- sha256 of the cookie's token: a copy of the store opens no session.
    token_hash  bytea PRIMARY KEY,
    person_id   uuid NOT NULL REFERENCES people,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
);
CREATE INDEX sessions_by_person ON sessions (person_id);

CREATE TABLE api_tokens (
    id          uuid PRIMARY KEY,
    token_hash  bytea NOT NULL UNIQUE,
    person_id   uuid NOT NULL REFERENCES people,
    name        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz
);

-- Who answers for a cell, village, town … , for which nature.
CREATE TABLE duties (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code      text NOT NULL,
    person_id uuid NOT NULL REFERENCES people,
    nature    text NOT NULL CHECK (nature IN ('*', 'illegal_land_use', 'illegal_construction')),
    rank      text NOT NULL CHECK (rank IN ('primary', 'backup')),
    UNIQUE (code, nature, rank, person_id)
);

CREATE TABLE settings (
    key        text PRIMARY KEY,
    value      jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------- cases

CREATE TABLE case_numbers (
    district_code text NOT NULL,
    year          integer NOT NULL,
    last          integer NOT NULL,
    PRIMARY KEY (district_code, year)
);

CREATE TABLE cases (
    id               uuid PRIMARY KEY,
    number           text NOT NULL UNIQUE,
    version          integer NOT NULL DEFAULT 1,
    status           text NOT NULL CHECK (status IN ('dispatched', 'on_site', 'stopped', 'demolishing',
                         'close_applied', 'closed', 'rejected', 'duplicate', 'transferred')),
    source           text NOT NULL CHECK (source IN ('patrol', 'public', 'satellite', 'assigned')),
    patrol_kind      text CHECK (patrol_kind IN ('regular', 'spot')),
    nature           text NOT NULL CHECK (nature IN ('illegal_land_use', 'illegal_construction', 'both')),
    use              text,
    party_name       text,
    party_id_number  text,
    party_is_cadre   boolean NOT NULL DEFAULT false,
    area_m2          double precision CHECK (area_m2 >= 0),
    storeys          integer,
    new_build        boolean,
    description      text,
    -- As the device gave it, and as converted to CGCS2000.
    input_x          double precision NOT NULL,
    input_y          double precision NOT NULL,
    input_crs        text NOT NULL,
    lon              double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    lat              double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    accuracy_m       double precision CHECK (accuracy_m >= 0),
    mocked           boolean NOT NULL DEFAULT false,
    footprint        geometry(MultiPolygon, 4490),
    observed_at      timestamptz NOT NULL,
    reported_at      timestamptz NOT NULL,
    reporter_id      uuid REFERENCES people,
    -- The place when the case was dispatched; none where it is 未定位.
    city_code        text,
    district_code    text,
    -- The functional area whose town has left the district, where there is one.
    functional_area_code text,
    town_code        text,
    village_code     text,
    cell_code        text,
    placed           text NOT NULL CHECK (placed IN ('inside', 'nearest', 'none')),
    nearest_m        double precision,
    category         text CHECK (category IN ('basic_farmland', 'farmland', 'non_farmland', 'homestead', 'mine')),
    -- The five add up to the area counted: the footprint's, else the reported one, else none.
    basic_farmland_m2 double precision NOT NULL DEFAULT 0,
    farmland_m2      double precision NOT NULL DEFAULT 0,
    non_farmland_m2  double precision NOT NULL DEFAULT 0,
    homestead_m2     double precision NOT NULL DEFAULT 0,
    mine_m2          double precision NOT NULL DEFAULT 0,
    generation       bigint NOT NULL,
    -- The names of the place, and who answered for it, when the case was dispatched.
    place            jsonb NOT NULL DEFAULT '{}',
    responsible      jsonb,
    assignee_id      uuid REFERENCES people,
    found_by         text,
    candidates       jsonb NOT NULL DEFAULT '[]',
    alarms           jsonb NOT NULL DEFAULT '[]',
    outcome          text CHECK (outcome IN ('demolished', 'stopped')),
    demolished_m2    double precision CHECK (demolished_m2 >= 0),
    demolished_at    timestamptz,
    closed_at        timestamptz,
    -- When the present step is due; an open case past it is overdue.
    due_at           timestamptz,
    imported         boolean NOT NULL DEFAULT false,
    -- For followers of the feed: everything at or after the oldest running transaction is read again.
    changed_xid      xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX cases_by_time ON cases (reported_at DESC, id DESC);
CREATE INDEX cases_by_party ON cases (party_id_number) WHERE party_id_number IS NOT NULL;
CREATE INDEX cases_by_assignee ON cases (assignee_id, status);
CREATE INDEX cases_by_change ON cases (changed_xid);
-- For possible duplicates: open cases near a position.
CREATE INDEX cases_open_by_position ON cases (lat, lon) WHERE closed_at IS NULL;
CREATE INDEX cases_by_town ON cases (town_code);
CREATE INDEX cases_by_village ON cases (village_code);

CREATE FUNCTION stamp_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_xid := pg_current_xact_id();
    RETURN NEW;
END $$;
CREATE TRIGGER cases_stamp BEFORE UPDATE ON cases FOR EACH ROW EXECUTE FUNCTION stamp_change();

-- The history: appended to, never changed.
CREATE TABLE case_events (
    case_id     uuid NOT NULL REFERENCES cases,
    seq         integer NOT NULL,
    id          uuid NOT NULL UNIQUE,
    action      text NOT NULL,
    actor_id    uuid REFERENCES people,
    at          timestamptz NOT NULL,
    observed_at timestamptz,
    lon         double precision,
    lat         double precision,
    accuracy_m  double precision,
    mocked      boolean,
    text        text,
    attachments uuid[] NOT NULL DEFAULT '{}',
    data        jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (case_id, seq)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER case_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON case_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE attachments (
    id          uuid PRIMARY KEY,
    case_id     uuid NOT NULL REFERENCES cases,
    sha256      bytea NOT NULL,
    media_type  text NOT NULL,
    bytes       bigint NOT NULL,
    file_name   text NOT NULL,
    uploaded_by uuid REFERENCES people,
    uploaded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX attachments_by_case ON attachments (case_id);

-- The first answer to a write, given again to a retry with the same key.
CREATE TABLE first_answers (
    person_id  uuid NOT NULL,
    key        text NOT NULL,
    -- sha256 of the request: the same key with another request is a mistake, not a retry.
    request    bytea NOT NULL,
    status     smallint NOT NULL,
    body       jsonb NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (person_id, key)
);

-- Counters that followers compare to know what to read again; bumped in the same transaction.
CREATE TABLE revisions (
    subject  text PRIMARY KEY,
    revision bigint NOT NULL DEFAULT 0
);
INSERT INTO revisions (subject) VALUES ('boundaries'), ('people'), ('cases'), ('imports');
