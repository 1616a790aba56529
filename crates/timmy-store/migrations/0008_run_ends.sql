-- Whether a run ended is one look-up, and the runs of a day are found without walking all of them.
CREATE INDEX events_ended ON events (type, run) WHERE type = 'run_ended';
CREATE INDEX events_started ON events (type, at_us, seq) WHERE type = 'run_started';
