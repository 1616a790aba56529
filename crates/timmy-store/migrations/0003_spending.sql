-- What model calls may use and did use. A reservation adds its upper bound; settling it adds the
-- (usually negative) difference to what was used, so a plain sum is always what counts.
CREATE TABLE spending (
    reservation   TEXT   NOT NULL,
    entry         TEXT   NOT NULL CHECK (entry IN ('reserve', 'settle')),
    run           TEXT   NOT NULL,
    provider      TEXT   NOT NULL,
    day           TEXT   NOT NULL,
    input_tokens  BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_micros   BIGINT NOT NULL,
    at_us         BIGINT NOT NULL,
    PRIMARY KEY (reservation, entry)
);
CREATE INDEX spending_by_run ON spending (run);
CREATE INDEX spending_by_day ON spending (day);
