"""Speed and scale of the night: `script/bench --night`.

Five parts, each a table; `--night PART…` measures only the parts named.

    core    one tick of the pure core, learning a list, and memory, at 1k, 10k and 100k open issues
    loop    a real `timmy loop` over 50 issues of the embedded forge, 50 at once and in a row, on two
            cores, the model replayed over HTTP, the sandbox real; and what its log says of it
    claim   taking a free issue: requests to the forge and git programs started
    log     a day's log of 1k to 1M events, opened again
    nights  seconds for one simulated night of 500 issues over 8 hours

Figures are medians where a part repeats itself. Each part notes how busy the machine was with other
work before it began (the load average of one minute): compare ratios, not seconds, when that is not
near zero.
"""
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

ISSUES = (1_000, 10_000, 100_000)
EVENTS = (1_000, 10_000, 100_000, 1_000_000)
SPRINTS = 50
CORES = 2
CLAIMS = 20
REPO = "timmy/project"
# What the project aims at: milliseconds and megabytes at 10,000 issues, seconds, counts.
TARGETS = {"tick_ms": 50, "peak_mb": 100, "log_ms": 1_000, "pushes": 1, "night_s": 10}

# A project whose check fails until `state.txt` says so, and the calls that mend it.
FILES = {"state.txt": "broken\n", "test.sh": "grep -q fixed state.txt\n"}
MENDING = [
    ("run_command", {"command": "cat state.txt"}),
    ("write_file", {"path": "state.txt", "contents": "fixed\n"}),
    ("finish", {"summary": "The state is fixed."}),
]


def load():
    return round(os.getloadavg()[0], 1)


def build():
    """One call for everything: packages that are built apart get other features, and build twice."""
    packages = ("timmy", "timmy-dispatch", "timmy-forge", "timmy-store", "timmy-testkit")
    examples = ("tick", "claim", "large_log", "model_server")
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--bin", "timmy"]
    for flag, names in (("-p", packages), ("--example", examples)):
        command.extend(word for name in names for word in (flag, name))
    subprocess.run(command, check=True)


def lines_of(command, **more):
    printed = subprocess.run([str(word) for word in command], check=True, capture_output=True, **more).stdout
    return [json.loads(line) for line in printed.decode().splitlines()]


def core(release, _):
    """One process for each size: peak memory is a process's."""
    tick = release / "examples" / "tick"
    return {"load": load(), "rows": [lines_of([tick, size])[0] for size in ISSUES]}


def log(release, _):
    large_log = release / "examples" / "large_log"
    return {"load": load(), "rows": lines_of([large_log, *EVENTS])}


def subcommand(line):
    words = line.split()
    while words[0] == "-c":
        words = words[2:]
    return words[0]


def claim(release, scratch):
    """The first git in the search path writes down what it was asked, and becomes the real one."""
    example = release / "examples" / "claim"
    note, asked = scratch / "noting", scratch / "asked"
    note.mkdir()
    asked.touch()
    script = f"#!/bin/sh\nprintf '%s\\n' \"$*\" >> {asked}\nexec {shutil.which('git')} \"$@\"\n"
    (note / "git").write_text(script)
    (note / "git").chmod(0o755)
    before = load()
    path = f"{note}:{os.environ['PATH']}"
    figures = lines_of([example, CLAIMS], env={**os.environ, "PATH": path})[0]
    started = Counter(subcommand(line) for line in asked.read_text().splitlines())
    # What the forge starts to answer is not the client's; making the repositories happens once.
    figures["client"] = {
        word: count / CLAIMS for word, count in started.items() if word in ("commit-tree", "push", "fetch", "ls-remote")
    }
    figures["forge"] = {word: count / CLAIMS for word, count in started.items() if word.endswith("-pack")}
    return {"load": before, "rows": [figures]}


class Night:
    """A private root with the embedded forge, a project and its issues."""

    def __init__(self, scratch, name, address, release, slots):
        self.timmy = release / "timmy"
        self.home = scratch / f"night-{name}"
        self.home.mkdir(mode=0o700)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TIMMY_HOME": str(self.home)}
        self.slots = slots
        (self.home / "timmy.toml").write_text(
            f"""
[forge]
kind = "embedded"
repositories = ["{REPO}"]

[repository."{REPO}"]
check = "sh test.sh"

[night]
per_repository = {slots}

[[provider]]
name = "bench"
kind = "openai"
base_url = "{address}"
model = "written-by-hand"
stream = false
"""
        )
        source = scratch / f"source-{name}"
        source.mkdir()
        for file, text in FILES.items():
            (source / file).write_text(text)
        author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        git = ["git", "-C", str(source), *author]
        subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
        subprocess.run([*git, "add", "--all"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message=Start"], check=True)
        self.run("forge", "create", REPO, "--from", str(source))
        for number in range(SPRINTS):
            self.run("forge", "issue", REPO, f"The state is broken, case {number}", "--body", "It should be fixed.")

    def run(self, *arguments):
        command = [str(self.timmy), *arguments]
        ended = subprocess.run(command, env=self.environment, capture_output=True)
        if ended.returncode != 0:
            sys.exit(f"{command} failed:\n{ended.stdout.decode()}{ended.stderr.decode()}")
        return ended.stdout.decode()

    def pass_night(self):
        """Wall and CPU seconds of a loop and everything it started, and its own peak memory."""
        command = [str(self.timmy), "loop", "--until-idle", "--slots", str(self.slots), "--json"]
        cores = sorted(os.sched_getaffinity(0))[:CORES]
        begun = time.monotonic()
        child = subprocess.Popen(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        peak = Peak(child.pid)
        peak.start()
        output = child.stdout.read().decode()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"the loop failed with {child.returncode}:\n{output}")
        return {
            "slots": self.slots,
            "wall_s": time.monotonic() - begun,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "peak_rss_mb": peak.megabytes,
            "lost": self.lost(),
            "events": len(self.events()),
        }

    def events(self):
        return [json.loads(line) for line in self.run("events", "--json").splitlines()]

    def lost(self):
        """Everything the log should say and does not, as sentences."""
        events = self.events()
        missing = []
        numbers = [event["seq"] for event in events]
        if numbers != list(range(1, len(numbers) + 1)):
            missing.append("the log has gaps")
        counts = Counter(event["type"] for event in events)
        for kind in ("run_started", "run_ended", "pull_request_opened", "issue_commented", "claim_released"):
            if counts[kind] != SPRINTS:
                missing.append(f"{counts[kind]} of {SPRINTS} {kind}")
        pulls = json.loads(self.run("pr", "list", "--json"))
        if len(pulls) != SPRINTS:
            missing.append(f"{len(pulls)} of {SPRINTS} pull requests are open")
        runs = {}
        for event in events:
            if "run" in event:
                runs.setdefault(event["run"], []).append(event)
        for run, told in runs.items():
            missing.extend(f"run {run}: {fault}" for fault in faults_of(told))
        return missing


def faults_of(told):
    """What is missing in the events of one run."""
    types = [event["type"] for event in told]
    if types[0] != "run_started" or types.count("run_ended") != 1:
        yield "no beginning or not one end"
    pairs = {"step": ("tool_called", "tool_finished"), "call": ("model_call_reserved", "model_call_settled")}
    for number, kinds in pairs.items():
        first, second = ([event[number] for event in told if event["type"] == kind] for kind in kinds)
        if first != second or first != list(range(1, len(MENDING) + 1)):
            yield f"{kinds[0]} {first}, {kinds[1]} {second}"


class Peak(threading.Thread):
    """The most memory a process had, read while it lives: what it waited for does not count."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.status = Path(f"/proc/{pid}/status")
        self.megabytes = 0

    def run(self):
        while True:
            try:
                fields = self.status.read_text()
            except OSError:
                return
            lines = [line for line in fields.splitlines() if line.startswith("VmHWM")]
            if not lines:
                return
            self.megabytes = int(lines[0].split()[1]) / 1024
            time.sleep(0.05)


def loop(release, scratch):
    server_program = release / "examples" / "model_server"
    script = scratch / "mending.json"
    script.write_text(json.dumps([{"calls": [{"tool": tool, "arguments": given}]} for tool, given in MENDING]))
    server = subprocess.Popen([server_program, script], stdout=subprocess.PIPE)
    before = load()
    try:
        address = server.stdout.readline().decode().strip()
        rows = [Night(scratch, slots, address, release, slots).pass_night() for slots in (1, SPRINTS)]
    finally:
        server.kill()
        server.wait()
    row, together = rows
    ratio = {name: together[name] / row[name] for name in ("wall_s", "cpu_s", "peak_rss_mb")}
    return {"load": before, "rows": rows, "together_to_row": ratio}


def nights(release, _):
    before = load()
    command = [release / "timmy", "simulate", "--issues", "500", "--hours", "8", "--seeds", "20", "--json"]
    return {"load": before, "rows": [lines_of(command)[-1]]}


PARTS = {"core": core, "loop": loop, "claim": claim, "log": log, "nights": nights}


def table(rows, columns):
    widths = [max(len(name), 9) + 2 for name in columns]
    print("".join(f"{name:>{width}}" for name, width in zip(columns, widths)))
    for row in rows:
        cells = [row[name] for name in columns]
        text = [f"{cell:,.2f}" if isinstance(cell, float) else f"{cell:,}" for cell in cells]
        print("".join(f"{cell:>{width}}" for cell, width in zip(text, widths)))


def over(name, value, limit):
    verdict = "within" if value <= limit else "OVER"
    print(f"{name}: {value:,.2f}, {verdict} the target of {limit:,}")


def print_part(name, found):
    rows = found["rows"]
    print(f"\n{name} (load before: {found['load']})\n")
    if name == "core":
        times = ("issues", "ready", "brief_us", "learn_ms", "relearn_ms", "changes_ms")
        table(rows, times)
        table(rows, ("issues", "tick_ms", "crowded_tick_ms", "apart_tick_ms", "kept_mb", "told_mb", "peak_mb"))
        worst = max(rows[1][kind] for kind in ("tick_ms", "crowded_tick_ms", "apart_tick_ms"))
        over("slowest tick at 10,000 issues, ms", worst, TARGETS["tick_ms"])
        over("peak memory at 10,000 issues, MB", rows[1]["peak_mb"], TARGETS["peak_mb"])
    elif name == "loop":
        table(rows, ("slots", "wall_s", "cpu_s", "peak_rss_mb", "events"))
        ratios = ", ".join(f"{key} {value:.2f}" for key, value in found["together_to_row"].items())
        print(f"{SPRINTS} at once / in a row: {ratios}")
        for row in rows:
            print(f"slots {row['slots']}: " + ("no event is lost" if not row["lost"] else "; ".join(row["lost"])))
    elif name == "claim":
        table(rows, ("claims", "requests", "pushes", "median_ms"))
        print(f"git programs per claim: of the client {rows[0]['client']}, of the forge {rows[0]['forge']}")
        over("pushes per claim", rows[0]["pushes"], TARGETS["pushes"])
    elif name == "log":
        table(rows, ("events", "runs", "open_ms", "read_ms", "reopened_ms", "cpu_ms", "runs_on_us", "append_us"))
        over("a million events opened again, ms", rows[-1]["reopened_ms"], TARGETS["log_ms"])
    else:
        print(json.dumps(rows[0]))
        over("seconds per night", rows[0]["seconds_per_night"], TARGETS["night_s"])


def main(release, scratch, arguments):
    wanted = [word for word in arguments if not word.startswith("--")] or list(PARTS)
    unknown = [word for word in wanted if word not in PARTS]
    if unknown:
        sys.exit(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    found = {}
    for name in wanted:
        found[name] = PARTS[name](release, scratch)
        if "--json" not in arguments:
            print_part(name, found[name])
            sys.stdout.flush()
    if "--json" in arguments:
        print(json.dumps({**found, "targets": TARGETS}))
