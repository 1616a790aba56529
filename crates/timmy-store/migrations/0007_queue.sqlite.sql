-- What waits to be done, and who does it. A holder whose lease has run out holds nothing any more.
CREATE TABLE queue (
    topic          TEXT   NOT NULL,
    key            TEXT   NOT NULL,
    rank           BIGINT NOT NULL,
    due_us         BIGINT NOT NULL,
    holder         TEXT,
    lease_until_us BIGINT NOT NULL,
    payload        TEXT   NOT NULL,
    PRIMARY KEY (topic, key)
);
CREATE INDEX queue_by_rank ON queue (topic, rank, due_us, key);
