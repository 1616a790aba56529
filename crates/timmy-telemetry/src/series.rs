//! The names of all series the collector writes. docs/telemetry.md has the same list for people; a
//! test holds the two together.

use std::fmt::Write;

/// Defines the series, and what is told about each: its name, its unit, of what there is one, and where
/// it comes from.
macro_rules! series {
    ($($variant:ident, $name:literal, $unit:literal, $of:literal, $source:literal;)+) => {
        /// A series.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Series {
            $(
                #[doc = concat!("`", $name, "`: ", $unit)]
                $variant,
            )+
        }

        impl Series {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name, as rows have it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Its unit; for states, the words there are.
            #[must_use]
            pub fn unit(self) -> &'static str {
                match self { $(Self::$variant => $unit,)+ }
            }

            /// Of what there is one.
            #[must_use]
            pub fn of(self) -> &'static str {
                match self { $(Self::$variant => $of,)+ }
            }

            /// Where it comes from.
            #[must_use]
            pub fn source(self) -> &'static str {
                match self { $(Self::$variant => $source,)+ }
            }
        }
    };
}

series! {
    TmuxSessions, "tmux.sessions", "count", "the machine", "`tmux list-panes -a`";
    TmuxPanes, "tmux.panes", "count", "the machine", "`tmux list-panes -a`";
    TmuxPane, "tmux.pane", "state: the command that runs in it, or `dead`", "`SOCKET/SESSION:WINDOW.PANE`", "`tmux list-panes -a`";
    TimerState, "timer.state", "state: `on_time`, `late`, `unknown`", "`cron:NAME`, `systemd:UNIT`, `hermes:JOB`", "schedule and last run, see below";
    TimerLate, "timer.late_s", "seconds, 0 when on time", "as `timer.state`, where a last run is known", "schedule and last run, see below";
    ForgeOpenIssues, "forge.open_issues", "count", "repository", "`x-total-count` of one list call";
    ForgeOpenPulls, "forge.open_pulls", "count", "repository", "`x-total-count` of one list call";
    ForgeCommits, "forge.commits", "count", "repository, its default branch", "`x-total-count` of one list call";
    ForgeState, "forge.state", "state: `answers`, `fails`", "repository", "the same calls";
    RunPhase, "run.phase", "state: `starting`, `preparing`, `working`, `collecting`, `checking`, `publishing`, `offering`, `telling`", "run, the end of its id", "the event log";
    RunSilent, "run.silent_s", "seconds since its newest event", "run", "the event log";
    RunSteps, "run.steps", "count", "run", "the event log";
    RunTokens, "run.tokens", "count, in and out", "run", "the event log";
    RunLease, "run.lease", "state: `held`, `free`", "run", "the lock of its process";
    QueueOffered, "queue.offered", "count", "topic", "the queue in the database";
    QueueTaken, "queue.taken", "count", "topic", "the queue in the database";
    ModelServer, "model.server", "state: `answers`, `fails`, `refused`", "provider", "Ollama `/api/ps`, else `/models`";
    ModelLoaded, "model.loaded", "state: `loaded`", "`PROVIDER/MODEL`", "Ollama `/api/ps`, else `/models`";
    ModelVram, "model.vram_bytes", "bytes", "`PROVIDER/MODEL`", "Ollama `/api/ps`";
    DiskFree, "disk.free_bytes", "bytes an ordinary user can write", "mount point", "statvfs(3)";
    DiskTotal, "disk.total_bytes", "bytes", "mount point", "statvfs(3)";
    MemoryAvailable, "memory.available_bytes", "bytes", "the machine", "`/proc/meminfo`";
    MemoryTotal, "memory.total_bytes", "bytes", "the machine", "`/proc/meminfo`";
    Load, "load.1m", "processes, on average over a minute", "the machine", "`/proc/loadavg`";
    GpuMemoryUsed, "gpu.memory_used_bytes", "bytes", "index", "`nvidia-smi`, `rocm-smi`";
    GpuMemoryTotal, "gpu.memory_total_bytes", "bytes", "index", "`nvidia-smi`, `rocm-smi`";
    GpuBusy, "gpu.busy_ratio", "share, 0 to 1", "index", "`nvidia-smi`, `rocm-smi`";
    GpuWatts, "gpu.watts", "watts", "index", "`nvidia-smi`, `rocm-smi`";
}

/// The list as docs/telemetry.md has it.
#[must_use]
pub fn table() -> String {
    let mut table = "| series | unit | of | source |\n|---|---|---|---|\n".to_owned();
    for series in Series::ALL {
        let (name, unit, of, source) = (series.name(), series.unit(), series.of(), series.source());
        // Writing into a string cannot fail.
        let _ = writeln!(table, "| `{name}` | {unit} | {of} | {source} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_page_has_exactly_these_series() {
        let page = include_str!("../../../docs/telemetry.md");
        assert!(
            page.contains(&format!("\n{}\n", table())),
            "put this into it:\n{}",
            table()
        );
        let names: BTreeSet<&str> = Series::ALL.iter().map(|series| series.name()).collect();
        assert_eq!(Series::ALL.len(), names.len());
    }
}
