-- One row a reservation: what it still holds, or what it came to.
CREATE VIEW spending_reservations AS
SELECT reservation, MIN(run) AS run, MIN(repo) AS repo, MIN(issue) AS issue, MIN(day) AS day,
    CAST(CASE COUNT(*) WHEN 1 THEN SUM(input_tokens) ELSE 0 END AS BIGINT) AS reserved_input,
    CAST(CASE COUNT(*) WHEN 1 THEN SUM(output_tokens) ELSE 0 END AS BIGINT) AS reserved_output,
    CAST(CASE COUNT(*) WHEN 1 THEN SUM(cost_micros) ELSE 0 END AS BIGINT) AS reserved_cost,
    CAST(CASE COUNT(*) WHEN 1 THEN 0 ELSE SUM(input_tokens) END AS BIGINT) AS spent_input,
    CAST(CASE COUNT(*) WHEN 1 THEN 0 ELSE SUM(output_tokens) END AS BIGINT) AS spent_output,
    CAST(CASE COUNT(*) WHEN 1 THEN 0 ELSE SUM(cost_micros) END AS BIGINT) AS spent_cost
FROM spending GROUP BY reservation;

-- What every call is held against. Derived from spending in the same transaction, so that a cap is
-- looked up instead of summed up. day is empty for run, issue and fleet; key for day and fleet.
CREATE TABLE spending_totals (
    scope           TEXT   NOT NULL CHECK (scope IN ('run', 'issue', 'repository', 'day', 'fleet')),
    day             TEXT   NOT NULL,
    key             TEXT   NOT NULL,
    reserved_input  BIGINT NOT NULL,
    reserved_output BIGINT NOT NULL,
    reserved_cost   BIGINT NOT NULL,
    spent_input     BIGINT NOT NULL,
    spent_output    BIGINT NOT NULL,
    spent_cost      BIGINT NOT NULL,
    PRIMARY KEY (scope, day, key)
);

-- The totals as the entries make them.
CREATE VIEW spending_recount AS
SELECT scope, day, key,
    CAST(SUM(reserved_input) AS BIGINT) AS reserved_input,
    CAST(SUM(reserved_output) AS BIGINT) AS reserved_output,
    CAST(SUM(reserved_cost) AS BIGINT) AS reserved_cost,
    CAST(SUM(spent_input) AS BIGINT) AS spent_input,
    CAST(SUM(spent_output) AS BIGINT) AS spent_output,
    CAST(SUM(spent_cost) AS BIGINT) AS spent_cost
FROM (
    SELECT 'run' AS scope, '' AS day, run AS key, reserved_input, reserved_output, reserved_cost,
        spent_input, spent_output, spent_cost FROM spending_reservations
    UNION ALL
    SELECT 'issue', '', repo || '#' || CAST(issue AS TEXT), reserved_input, reserved_output,
        reserved_cost, spent_input, spent_output, spent_cost FROM spending_reservations
        WHERE issue IS NOT NULL
    UNION ALL
    SELECT 'repository', day, repo, reserved_input, reserved_output, reserved_cost,
        spent_input, spent_output, spent_cost FROM spending_reservations WHERE repo IS NOT NULL
    UNION ALL
    SELECT 'day', day, '', reserved_input, reserved_output, reserved_cost,
        spent_input, spent_output, spent_cost FROM spending_reservations
    UNION ALL
    SELECT 'fleet', '', '', reserved_input, reserved_output, reserved_cost,
        spent_input, spent_output, spent_cost FROM spending_reservations
) AS parts GROUP BY scope, day, key;

INSERT INTO spending_totals SELECT scope, day, key, reserved_input, reserved_output, reserved_cost,
    spent_input, spent_output, spent_cost FROM spending_recount;
