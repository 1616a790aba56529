-- The event log. Rows are only ever added; 0002 makes the database itself refuse anything else.
CREATE TABLE events (
    seq    BIGINT NOT NULL PRIMARY KEY,
    schema BIGINT NOT NULL,
    at_us  BIGINT NOT NULL,
    run    TEXT,
    type   TEXT   NOT NULL,
    body   TEXT   NOT NULL
);
CREATE INDEX events_by_run ON events (run, seq);
CREATE INDEX events_by_type ON events (type, seq);
