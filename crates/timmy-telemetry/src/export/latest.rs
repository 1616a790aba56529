//! The newest rows of the collector.

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;

use jiff::SignedDuration;
use jiff::Timestamp;

use crate::rows::Row;
use crate::rows::Sample;

/// How much of the end of the file is read, in bytes: some thousand rows, more than a tick writes.
const TAIL: u64 = 512 << 10;
/// A row that is older than this is not how things are.
const FRESH: SignedDuration = SignedDuration::from_mins(15);
/// Subjects of a series that are told.
const SUBJECTS: usize = 50;

/// A series that is told as a gauge, and how.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) series: &'static str,
    pub(super) prometheus: &'static str,
    pub(super) otlp: &'static str,
    pub(super) unit: &'static str,
    pub(super) what: &'static str,
    /// The name of the label that holds the subject; none for series of the machine as a whole.
    pub(super) of: Option<&'static str>,
}

const fn told(
    series: &'static str,
    prometheus: &'static str,
    otlp: &'static str,
    unit: &'static str,
    of: Option<&'static str>,
    what: &'static str,
) -> Told {
    Told {
        series,
        prometheus,
        otlp,
        unit,
        what,
        of,
    }
}

const MOUNT: Option<&str> = Some("mount");
const GPU: Option<&str> = Some("gpu");
const REPO: Option<&str> = Some("repo");
const WHOLE: Option<&str> = None;

/// Series of single runs and panes are left to the telemetry files: there is no end of them.
#[rustfmt::skip]
pub(super) const TOLD: [Told; 16] = [
    told("disk.free_bytes", "timmy_disk_free_bytes", "timmy.disk.free", "By", MOUNT, "Free bytes of a disk."),
    told("disk.total_bytes", "timmy_disk_total_bytes", "timmy.disk.total", "By", MOUNT, "Bytes of a disk."),
    told("memory.available_bytes", "timmy_memory_available_bytes", "timmy.memory.available", "By", WHOLE, "Memory that programs can still have."),
    told("memory.total_bytes", "timmy_memory_total_bytes", "timmy.memory.total", "By", WHOLE, "Memory of the machine."),
    told("load.1m", "timmy_load1", "timmy.load", "1", WHOLE, "Load of the machine, averaged over a minute."),
    told("gpu.memory_used_bytes", "timmy_gpu_memory_used_bytes", "timmy.gpu.memory.used", "By", GPU, "Memory of a GPU in use."),
    told("gpu.memory_total_bytes", "timmy_gpu_memory_total_bytes", "timmy.gpu.memory.total", "By", GPU, "Memory of a GPU."),
    told("gpu.busy_ratio", "timmy_gpu_busy_ratio", "timmy.gpu.busy", "1", GPU, "How busy a GPU is, from 0 to 1."),
    told("gpu.watts", "timmy_gpu_watts", "timmy.gpu.power", "W", GPU, "What a GPU takes, in watts."),
    told("queue.offered", "timmy_queue_offered", "timmy.queue.offered", "{issue}", Some("topic"), "Issues in the queue that nobody took."),
    told("queue.taken", "timmy_queue_taken", "timmy.queue.taken", "{issue}", Some("topic"), "Issues in the queue that a host took."),
    told("forge.open_issues", "timmy_forge_open_issues", "timmy.forge.open_issues", "{issue}", REPO, "Open issues of a repository."),
    told("forge.open_pulls", "timmy_forge_open_pulls", "timmy.forge.open_pulls", "{pull_request}", REPO, "Open pull requests of a repository."),
    told("timer.late_s", "timmy_timer_late_seconds", "timmy.timer.late", "s", Some("timer"), "How late a timer is."),
    told("tmux.panes", "timmy_tmux_panes", "timmy.tmux.panes", "{pane}", WHOLE, "Panes of tmux."),
    told("model.vram_bytes", "timmy_model_vram_bytes", "timmy.model.vram", "By", Some("model"), "Memory of a GPU that a loaded model takes."),
];

/// A figure of the newest rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Latest {
    /// The place of its series in [`TOLD`].
    pub(super) told: usize,
    pub(super) host: String,
    pub(super) of: String,
    pub(super) value: f64,
}

/// The newest figure of each told series, host and subject. None where the collector has not written
/// for a while.
pub(super) fn read(dir: &Path, now: Timestamp) -> Vec<Latest> {
    let bytes = tail(&dir.join("metrics.jsonl")).unwrap_or_default();
    let mut newest: BTreeMap<(usize, String, String), (Timestamp, f64)> = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(row) = serde_json::from_slice::<Row<'_>>(line) else {
            continue;
        };
        let place = TOLD.iter().position(|told| told.series == row.series);
        let (Some(place), Sample::Value(value)) = (place, &row.sample) else {
            continue;
        };
        if now.duration_since(row.at) > FRESH {
            continue;
        }
        let key = (place, row.host.into_owned(), row.of.into_owned());
        let slot = newest.entry(key).or_insert((row.at, *value));
        if row.at >= slot.0 {
            *slot = (row.at, *value);
        }
    }
    let mut counts = [0; TOLD.len()];
    let latest = newest
        .into_iter()
        .filter_map(|((told, host, of), (_, value))| {
            counts[told] += 1;
            let latest = Latest {
                told,
                host,
                of,
                value,
            };
            (counts[told] <= SUBJECTS).then_some(latest)
        });
    latest.collect()
}

fn tail(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(bytes)
}
