"""Speed and size of telemetry: `script/bench --telemetry`.

Two parts; `--telemetry PART…` measures only the parts named.

    analyze  `timmy telemetry analyze` over a million lines (and two million, and ten with --large):
             wall time, CPU and peak memory, on two cores, with every line read; and DuckDB from PyPI
             over the same files with the same aggregates, on the same cores
    collect  the CPU of one `timmy telemetry collect` beside 50 tmux panes and 50 unfinished runs

The lines are the same in every invocation: 90 % samples, 10 % changes, one in 200 damaged. DuckDB goes
into a virtual environment in the scratch directory; without a network its part is left out, and that is
said. Each part notes how busy the machine was with other work before it began: compare ratios, not
seconds, when that is not near zero.
"""
import fcntl
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path

from bench_night import over

LINES = (1_000_000, 2_000_000)
LARGE = 10_000_000
CORES = 2
REPEATS = 3
PANES = 50
RUNS = 50
DAMAGED = 200
# What the project aims at: seconds and megabytes for a million lines, a ratio, CPU milliseconds.
TARGETS = {"analyze_s": 2.0, "peak_mb": 100, "linear": 1.2, "collect_ms": 100}

AGGREGATES = """
SELECT count(*), sum(samples) FROM (
  SELECT host, series, "of", count(*) AS samples, min(value), max(value), avg(value),
         arg_min(value, "at"), arg_max(value, "at"), min("at"), max("at")
  FROM read_json('{place}/metrics*.jsonl', format = 'newline_delimited', ignore_errors = true,
    columns = {{"at": 'TIMESTAMP', host: 'VARCHAR', series: 'VARCHAR', "of": 'VARCHAR', value: 'DOUBLE', state: 'VARCHAR'}})
  WHERE value IS NOT NULL GROUP BY ALL);
SELECT count(*), sum(passed) FROM (
  SELECT host, series, "of", state, sum(length) AS passed FROM (
    SELECT host, series, "of", state,
           epoch(lead("at") OVER (PARTITION BY host, series, "of" ORDER BY "at")) - epoch("at") AS length
    FROM read_json('{place}/metrics*.jsonl', format = 'newline_delimited', ignore_errors = true,
      columns = {{"at": 'TIMESTAMP', host: 'VARCHAR', series: 'VARCHAR', "of": 'VARCHAR', value: 'DOUBLE', state: 'VARCHAR'}})
    WHERE state IS NOT NULL) GROUP BY ALL);
SELECT count(*), sum(chart) FROM (
  SELECT host, series, "of", time_bucket(INTERVAL 1 HOUR, "at"), count(*) AS chart, min(value), max(value), avg(value)
  FROM read_json('{place}/metrics*.jsonl', format = 'newline_delimited', ignore_errors = true,
    columns = {{"at": 'TIMESTAMP', host: 'VARCHAR', series: 'VARCHAR', "of": 'VARCHAR', value: 'DOUBLE', state: 'VARCHAR'}})
  WHERE value IS NOT NULL GROUP BY ALL);
SELECT count(*), sum(changes) FROM (
  SELECT host, series, "of", count(*) AS changes
  FROM read_json('{place}/events*.jsonl', format = 'newline_delimited', ignore_errors = true,
    columns = {{"at": 'TIMESTAMP', host: 'VARCHAR', series: 'VARCHAR', "of": 'VARCHAR', "from": 'VARCHAR', "to": 'VARCHAR'}})
  GROUP BY ALL);
"""


def load():
    return round(os.getloadavg()[0], 1)


def build():
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--bin", "timmy", "-p", "timmy"], check=True)


def sampled():
    """Series, subjects and how a sample looks, as one host writes them each minute."""
    chance = random.Random(4)
    runs = [f"{chance.getrandbits(32):08x}" for _ in range(RUNS)]
    panes = [f"timmy/night:0.{number}" for number in range(PANES)]
    whole = [("tmux.sessions", [""]), ("tmux.panes", [""]), ("memory.available_bytes", [""]), ("load.1m", [""])]
    disks = [("disk.free_bytes", ["/", "/home", "/data"]), ("disk.total_bytes", ["/", "/home", "/data"])]
    of_runs = [("run.silent_s", runs), ("run.steps", runs), ("run.tokens", runs)]
    values = [(series, of) for series, subjects in whole + disks + of_runs for of in subjects]
    states = [("run.phase", of, ("preparing", "working", "checking", "publishing")) for of in runs]
    states += [("tmux.pane", of, ("timmy", "bash", "less")) for of in panes]
    states += [("timer.state", f"cron:job-{number}", ("on_time", "late")) for number in range(10)]
    return values, states


def lines(count, kind):
    """The lines of metrics.jsonl or events.jsonl."""
    chance = random.Random(f"{kind} 7")
    values, states = sampled()
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    made = 0
    now = {}
    while made < count:
        at += timedelta(seconds=60, microseconds=chance.randrange(1_000))
        stamp = at.isoformat().replace("+00:00", "Z")
        tick = []
        if kind == "metrics":
            for series, of in values:
                value = round(chance.random() * 1e9, 3)
                tick.append({"at": stamp, "host": "night", "series": series, "of": of, "value": value})
        for series, of, words in states:
            before = now.get((series, of))
            state = chance.choice(words) if before is None or chance.random() < 0.1 else before
            now[series, of] = state
            if kind == "metrics":
                tick.append({"at": stamp, "host": "night", "series": series, "of": of, "state": state})
            elif state != before:
                change = {"at": stamp, "host": "night", "series": series, "of": of, "from": before, "to": state}
                tick.append({name: word for name, word in change.items() if word is not None})
        for line in tick[: count - made]:
            line = {name: word for name, word in line.items() if word != ""}
            text = json.dumps(line, separators=(",", ":"))
            made += 1
            if chance.randrange(DAMAGED) == 0:
                text = chance.choice((text[: len(text) // 2], "Permission denied", text + text, "{}"))
            yield text


def write(place, count):
    place.mkdir(mode=0o700, parents=True)
    for kind, share in (("metrics", 9), ("events", 1)):
        with open(place / f"{kind}.jsonl", "w") as file:
            for line in lines(count * share // 10, kind):
                file.write(line + "\n")


def measured(command, environment):
    """Wall and CPU seconds and peak megabytes of a program, and what it printed."""
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    begun = time.monotonic()
    child = subprocess.Popen(
        [str(word) for word in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    output = child.stdout.read().decode()
    errors = child.stderr.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command} failed with {child.returncode}:\n{output}{errors}")
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}, output


def median_of(command, environment):
    rows = [measured(command, environment)[0] for _ in range(REPEATS)]
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def environment(home):
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TIMMY_HOME": str(home)}


def duckdb(scratch):
    """The Python that has DuckDB, or None."""
    place = scratch / "duckdb"
    made = subprocess.run([sys.executable, "-m", "venv", str(place)], capture_output=True)
    python = place / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "duckdb"]
    if made.returncode != 0 or subprocess.run(pip, capture_output=True).returncode != 0:
        return None
    return python


def analyze(release, scratch, large):
    before = load()
    python = duckdb(scratch)
    rows = []
    for count in (*LINES, LARGE) if large else LINES:
        home = scratch / f"lines-{count}"
        write(home / "telemetry", count)
        command = [release / "timmy", "telemetry", "analyze", "--until", "2030-01-01T00:00:00Z"]
        told = json.loads(measured([*command, "--json"], environment(home))[1])
        if told["lines"]["total"] != count:
            sys.exit(f"{count} lines were written and {told['lines']['total']} read")
        faulty = sum(one["count"] for one in told["lines"]["faults"])
        row = {"lines": count, "faulty": faulty, **median_of(command, environment(home))}
        if python:
            statements = AGGREGATES.format(place=home / "telemetry")
            script = f"import duckdb; [duckdb.sql(one).fetchall() for one in {statements!r}.split(';')[:-1]]"
            script = f"import duckdb; duckdb.sql('SET threads = {CORES}'); {script}"
            found = median_of([python, "-c", script], environment(home))
            row.update({f"duckdb_{name}": figure for name, figure in found.items()})
        rows.append(row)
        shutil.rmtree(home)
    per_line = [row["wall_s"] / row["lines"] for row in rows]
    return {"load": before, "rows": rows, "linear": per_line[-1] / per_line[0], "duckdb": python is not None}


def unfinished(home, timmy):
    """Runs without an end, written into the log's own tables. Gives their locks, which are held for as
    long as somebody keeps them."""
    subprocess.run([str(timmy), "runs"], env=environment(home), check=True, capture_output=True)
    locks = []
    database = sqlite3.connect(home / "timmy.db")
    at = int(time.time() * 1e6)
    seq = 0
    for number in range(RUNS):
        run = str(uuid.UUID(int=(at // 1000 << 80) | (7 << 76) | (2 << 62) | number))
        place = home / "runs" / run
        place.mkdir(parents=True, mode=0o700)
        lock = open(place / "lock", "w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        locks.append(lock)
        started = {
            "type": "run_started", "repo": "a/b", "issue": number + 1, "title": "t", "provider": "p",
            "provenance": "live", "sandbox": "L2",
        }
        called = {"type": "tool_called", "step": 1, "tool": "run_command", "arguments": "{}"}
        for body in (started, called):
            seq += 1
            database.execute(
                "INSERT INTO events (seq, schema, at_us, run, type, body) VALUES (?, 1, ?, ?, ?, ?)",
                (seq, at, run, body["type"], json.dumps(body)),
            )
    database.commit()
    database.close()
    return locks


def collect(release, scratch, _):
    before = load()
    home = scratch / "collect"
    home.mkdir(mode=0o700)
    timmy = release / "timmy"
    locks = unfinished(home, timmy)
    sockets = scratch / "tmux"
    sockets.mkdir(mode=0o700)
    around = {**environment(home), "TMUX_TMPDIR": str(sockets)}
    panes = shutil.which("tmux") is not None
    tmux = ["tmux", "-f", "/dev/null"]
    try:
        for number in range(PANES if panes else 0):
            start = ["new-session", "-d", "-s", "bench"] if number == 0 else ["new-window", "-t", "bench"]
            subprocess.run([*tmux, *start, "sleep 1000"], env=around, check=True)
        rows = [measured([timmy, "telemetry", "collect", "--json"], around) for _ in range(REPEATS + 1)]
        told = json.loads(rows[-1][1])
    finally:
        if panes:
            subprocess.run([*tmux, "kill-server"], env=around)
        for lock in locks:
            lock.close()
    figures = [row for row, _ in rows[1:]]
    row = {name: statistics.median(one[name] for one in figures) for name in figures[0]}
    series = [sample["series"] for sample in told.get("rows", [])]
    seen = {"panes": series.count("tmux.pane"), "runs": series.count("run.phase")}
    return {"load": before, "rows": [{**seen, **row, "cpu_ms": row["cpu_s"] * 1000}]}


PARTS = {"analyze": analyze, "collect": collect}


def table(rows, columns):
    widths = [max(len(name), 10) + 2 for name in columns]
    print("".join(f"{name:>{width}}" for name, width in zip(columns, widths)))
    for row in rows:
        cells = [row.get(name, "-") for name in columns]
        text = [f"{cell:,.2f}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else cell for cell in cells]
        print("".join(f"{cell:>{width}}" for cell, width in zip(text, widths)))


def print_part(name, found):
    rows = found["rows"]
    print(f"\n{name} (load before: {found['load']})\n")
    if name == "analyze":
        figures = ("wall_s", "cpu_s", "peak_mb")
        table(rows, ("lines", "faulty", *figures, *(f"duckdb_{figure}" for figure in figures)))
        if not found["duckdb"]:
            print("DuckDB could not be installed; its part is left out")
        over("a million lines, s", rows[0]["wall_s"], TARGETS["analyze_s"])
        over("peak memory of a million lines, MB", rows[0]["peak_mb"], TARGETS["peak_mb"])
        over("time a line, most lines / fewest", found["linear"], TARGETS["linear"])
    else:
        table(rows, ("panes", "runs", "wall_s", "cpu_ms", "peak_mb"))
        if rows[0]["panes"] != PANES or rows[0]["runs"] != RUNS:
            print(f"not all of the {PANES} panes and {RUNS} runs were seen")
        over("CPU of a look, ms", rows[0]["cpu_ms"], TARGETS["collect_ms"])


def main(release, scratch, arguments):
    wanted = [word for word in arguments if not word.startswith("--")] or list(PARTS)
    unknown = [word for word in wanted if word not in PARTS]
    if unknown:
        sys.exit(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    found = {}
    for name in wanted:
        found[name] = PARTS[name](release, scratch, "--large" in arguments)
        if "--json" not in arguments:
            print_part(name, found[name])
            sys.stdout.flush()
    if "--json" in arguments:
        print(json.dumps({**found, "targets": TARGETS}))
