-- Which issue a run is about, "owner/name#7", on the event that starts it; and what was booked for it.
ALTER TABLE events ADD COLUMN subject TEXT;
DROP TRIGGER events_no_update;
UPDATE events
SET subject = json_extract(body, '$.repo') || '#' || json_extract(body, '$.issue')
WHERE type = 'run_started';
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END;
CREATE INDEX events_by_subject ON events (subject, seq) WHERE subject IS NOT NULL;
-- How many calls a run made is counted without reading them.
CREATE INDEX events_settled ON events (type, run) WHERE type = 'model_call_settled';

ALTER TABLE spending ADD COLUMN repo TEXT;
ALTER TABLE spending ADD COLUMN issue BIGINT;
UPDATE spending SET
    repo = (SELECT json_extract(body, '$.repo') FROM events
            WHERE events.run = spending.run AND type = 'run_started'),
    issue = (SELECT json_extract(body, '$.issue') FROM events
             WHERE events.run = spending.run AND type = 'run_started');
