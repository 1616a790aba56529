//! What probes saw, as rows and states.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use timmy_core::RepoName;
use timmy_core::text;
use timmy_store::Length;

use crate::compare::Covered;
use crate::compare::Seen;
use crate::probe::Unseen;
use crate::probe::disk::Disk;
use crate::probe::forge;
use crate::probe::gpu::Gpu;
use crate::probe::machine::Machine;
use crate::probe::models::ModelServer;
use crate::probe::runs::Run;
use crate::probe::timers;
use crate::probe::tmux;
use crate::rows::Row;
use crate::rows::Sample;
use crate::run_lock::Lease;
use crate::series::Series;

/// The state of a pane whose program has ended.
const DEAD: &str = "dead";

/// Samples of one moment, as they come.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Readings {
    samples: Vec<(Series, String, Sample<'static>)>,
    covered: Vec<Covered>,
    unseen: Vec<Unseen>,
}

impl Readings {
    /// As rows, as states to compare, and what could not be seen.
    pub(crate) fn of(self, at: Timestamp, host: String) -> (Vec<Row<'static>>, Seen, Vec<Unseen>) {
        let mut states = BTreeMap::new();
        for (series, of, sample) in &self.samples {
            if let Sample::State(state) = sample {
                states.insert((series.name().to_owned(), of.clone()), state.to_string());
            }
        }
        let rows = self.samples.into_iter().map(|(series, of, sample)| Row {
            at,
            host: host.clone().into(),
            series: series.name().into(),
            of: of.into(),
            sample,
        });
        let rows = rows.collect();
        let seen = Seen {
            at,
            host,
            states,
            covered: self.covered,
        };
        (rows, seen, self.unseen)
    }

    pub(crate) fn unseen(&mut self, unseen: Unseen) {
        self.unseen.push(unseen);
    }

    pub(crate) fn machine(&mut self, machine: &Machine) {
        self.bytes(Series::MemoryAvailable, "", machine.memory_available);
        self.bytes(Series::MemoryTotal, "", machine.memory_total);
        self.figure(Series::Load, "", machine.load);
    }

    pub(crate) fn disks(&mut self, disks: &[Disk]) {
        for disk in disks {
            let mount = text::clean_line(&disk.mount.to_string_lossy());
            self.bytes(Series::DiskFree, &mount, Some(disk.free));
            self.bytes(Series::DiskTotal, &mount, Some(disk.total));
        }
    }

    pub(crate) fn gpus(&mut self, gpus: &[Gpu], unseen: Vec<Unseen>) {
        for gpu in gpus {
            self.figure(Series::GpuMemoryUsed, &gpu.index, gpu.memory_used);
            self.figure(Series::GpuMemoryTotal, &gpu.index, gpu.memory_total);
            self.figure(Series::GpuBusy, &gpu.index, gpu.busy);
            self.figure(Series::GpuWatts, &gpu.index, gpu.watts);
        }
        self.unseen.extend(unseen);
    }

    pub(crate) fn tmux(&mut self, seen: &tmux::Seen) {
        // Where no server is, there is nothing to count.
        if !seen.panes.is_empty() {
            self.count(Series::TmuxSessions, "", seen.sessions() as u64);
            self.count(Series::TmuxPanes, "", seen.panes.len() as u64);
        }
        for pane in &seen.panes {
            let state = match pane.dead {
                true => DEAD.to_owned(),
                false => pane.command.clone(),
            };
            self.state(Series::TmuxPane, &pane.place(), state);
        }
        let except = seen.unseen.iter().map(|unseen| format!("{}/", unseen.what));
        self.cover(Series::TmuxPane, except.collect());
        self.unseen.extend(seen.unseen.iter().cloned());
    }

    pub(crate) fn timers(&mut self, seen: &timers::Seen, now: Timestamp, late_after_s: u64) {
        for timer in &seen.timers {
            let key = timers::key(timer);
            let state = timers::state(timer, now, late_after_s);
            self.state(Series::TimerState, &key, state.to_owned());
            let late = timer.late(now).unwrap_or(SignedDuration::ZERO);
            let known = timer.last.and(timer.due);
            self.figure(Series::TimerLate, &key, known.map(|_| late.as_secs_f64()));
        }
        let except = seen.unseen.iter().map(|unseen| format!("{}:", unseen.what));
        self.cover(Series::TimerState, except.collect());
        self.unseen.extend(seen.unseen.iter().cloned());
    }

    pub(crate) fn runs(&mut self, runs: &[Run], queue: &BTreeMap<String, Length>, now: Timestamp) {
        for run in runs {
            let of = run.run.short();
            let silent = run
                .heard
                .map(|heard| now.duration_since(heard).as_secs_f64());
            self.state(Series::RunPhase, of, run.progress.phase.clone());
            self.figure(Series::RunSilent, of, silent.map(|silent| silent.max(0.0)));
            self.count(Series::RunSteps, of, u64::from(run.progress.steps));
            self.count(Series::RunTokens, of, run.progress.tokens);
            let lease = match run.lease {
                Lease::Held => "held",
                Lease::Free | Lease::Elsewhere | Lease::Unknown => "free",
            };
            self.state(Series::RunLease, of, lease.to_owned());
        }
        for (topic, length) in queue {
            self.count(Series::QueueOffered, topic, length.offered);
            self.count(Series::QueueTaken, topic, length.taken);
        }
        self.cover(Series::RunPhase, Vec::new());
        self.cover(Series::RunLease, Vec::new());
    }

    /// Only who was asked has a state; of the others it stays, unless they are nobody's any more.
    pub(crate) fn forge(&mut self, repositories: &[RepoName], seen: &forge::Seen) {
        for (repo, counted) in &seen.counted {
            let of = repo.to_string();
            self.count(Series::ForgeOpenIssues, &of, counted.open_issues);
            self.count(Series::ForgeOpenPulls, &of, counted.open_pulls);
            self.count(Series::ForgeCommits, &of, counted.commits);
            self.state(Series::ForgeState, &of, "answers".to_owned());
        }
        for (repo, unseen) in &seen.unseen {
            self.state(Series::ForgeState, &repo.to_string(), "fails".to_owned());
            self.unseen.push(unseen.clone());
        }
        let ours = repositories.iter().map(RepoName::to_string);
        self.cover(Series::ForgeState, ours.collect());
    }

    pub(crate) fn models(&mut self, servers: &[ModelServer]) {
        let mut silent = Vec::new();
        for server in servers {
            let provider = &server.provider;
            self.state(
                Series::ModelServer,
                provider,
                server.state.word().to_owned(),
            );
            let Some(loaded) = &server.loaded else {
                silent.push(format!("{provider}/"));
                continue;
            };
            for loaded in loaded {
                let of = format!("{provider}/{}", loaded.model);
                self.state(Series::ModelLoaded, &of, "loaded".to_owned());
                self.bytes(Series::ModelVram, &of, loaded.vram);
            }
        }
        self.cover(Series::ModelServer, Vec::new());
        self.cover(Series::ModelLoaded, silent);
    }

    fn cover(&mut self, series: Series, except: Vec<String>) {
        self.covered.push(Covered { series, except });
    }

    fn state(&mut self, series: Series, of: &str, state: String) {
        let sample = Sample::State(state.into());
        self.samples.push((series, of.to_owned(), sample));
    }

    fn figure(&mut self, series: Series, of: &str, figure: Option<f64>) {
        if let Some(figure) = figure {
            self.samples
                .push((series, of.to_owned(), Sample::Value(figure)));
        }
    }

    fn count(&mut self, series: Series, of: &str, count: u64) {
        self.bytes(series, of, Some(count));
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to 9 peta, and near enough beyond"
    )]
    fn bytes(&mut self, series: Series, of: &str, bytes: Option<u64>) {
        self.figure(series, of, bytes.map(|bytes| bytes as f64));
    }
}
