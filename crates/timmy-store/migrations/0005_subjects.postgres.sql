-- Which issue a run is about, "owner/name#7", on the event that starts it; and what was booked for it.
ALTER TABLE events ADD COLUMN subject TEXT;
ALTER TABLE events DISABLE TRIGGER events_no_change;
UPDATE events
SET subject = (body::json ->> 'repo') || '#' || (body::json ->> 'issue')
WHERE type = 'run_started';
ALTER TABLE events ENABLE TRIGGER events_no_change;
CREATE INDEX events_by_subject ON events (subject, seq) WHERE subject IS NOT NULL;
-- How many calls a run made is counted without reading them.
CREATE INDEX events_settled ON events (type, run) WHERE type = 'model_call_settled';

ALTER TABLE spending ADD COLUMN repo TEXT;
ALTER TABLE spending ADD COLUMN issue BIGINT;
UPDATE spending SET
    repo = events.body::json ->> 'repo',
    issue = (events.body::json ->> 'issue')::BIGINT
FROM events
WHERE events.run = spending.run AND events.type = 'run_started';
