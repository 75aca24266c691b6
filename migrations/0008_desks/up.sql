-- What the desks keep for themselves: filters under a name, and how layers are drawn.

CREATE TABLE saved_filters (
    -- Made by the client: a retry keeps one.
    id         uuid PRIMARY KEY,
    person_id  uuid NOT NULL REFERENCES people,
    -- Which desk they belong to, e.g. `cases`.
    desk       text NOT NULL CHECK (length(desk) BETWEEN 1 AND 40),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    -- Names and values of the list's query parameters.
    query      jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX saved_filters_of ON saved_filters (person_id, desk, name);

CREATE TABLE layer_styles (
    layer      text PRIMARY KEY REFERENCES layers,
    style      jsonb NOT NULL,
    changed_by uuid REFERENCES people,
    changed_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON saved_filters, layer_styles TO xuncha_app;
