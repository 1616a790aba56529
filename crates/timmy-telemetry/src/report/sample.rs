//! A made-up night in a real log, with everything in it that a report tells about.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tempfile::TempDir;
use timmy_core::Clock;
use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::ExitStatus;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::Problem;
use timmy_core::Receipt;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::event::EnergySource;
use timmy_core::event::Fingerprint;
use timmy_core::event::Outcome;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;
use timmy_core::receipt::Provenance;
use timmy_core::receipt::SandboxLevel;
use timmy_forge::PullRequest;
use timmy_forge::PullState;
use timmy_store::EventLog;
use timmy_store::Store;
use timmy_testkit::ManualClock;

use super::ForgeView;
use super::Found;
use super::Gathered;
use super::Report;
use super::Seen;
use super::Window;
use super::Zone;

pub(super) const REPO: &str = "ada/tally";
const MODELS: [(&str, &str); 2] = [("local", "small-coder"), ("remote", "large-coder")];

/// The time zone of who reads it.
pub(super) fn zone() -> Zone {
    Zone(TimeZone::fixed(jiff::tz::offset(1)))
}

pub(super) fn repo() -> RepoName {
    REPO.parse().unwrap()
}

pub(super) fn run_id(number: u64) -> RunId {
    let id = format!("019b7700-0000-7000-8000-{number:012x}");
    id.parse().unwrap()
}

pub(super) fn commit(number: u64) -> ObjectName {
    format!("{number:040x}").parse().unwrap()
}

/// One attempt: its number, issue, title, first minute, minutes, model, thousands of tokens, outcome.
pub(super) struct Attempt {
    pub(super) run: u64,
    pub(super) issue: IssueNumber,
    pub(super) title: &'static str,
    pub(super) begin: u64,
    pub(super) minutes: u64,
    pub(super) model: usize,
    pub(super) tokens: u64,
    /// What the check printed, and its exit code.
    pub(super) check: Option<(&'static str, i32)>,
    /// The pull request that is opened, and whether as a draft.
    pub(super) pull: Option<(IssueNumber, bool)>,
    pub(super) outcome: Option<Outcome>,
}

/// A log that is written in the order of its times.
pub(super) struct Night {
    events: Vec<(u64, Option<RunId>, EventKind)>,
}

impl Night {
    pub(super) fn new() -> Self {
        Self { events: Vec::new() }
    }

    /// Something happens in a minute.
    pub(super) fn at(&mut self, minute: u64, run: Option<u64>, kind: EventKind) {
        self.events.push((minute, run.map(run_id), kind));
    }

    pub(super) fn attempt(&mut self, attempt: &Attempt) {
        let (run, begin) = (Some(attempt.run), attempt.begin);
        let end = begin + attempt.minutes;
        let (provider, model) = MODELS[attempt.model];
        let started = EventKind::RunStarted {
            repo: repo(),
            issue: attempt.issue,
            title: attempt.title.to_owned(),
            provider: provider.to_owned(),
            provenance: Provenance::Live,
            sandbox: SandboxLevel::L3,
            fingerprint: None,
            answers: None,
        };
        self.at(begin, run, started);
        let usage = Usage {
            input_tokens: attempt.tokens * 900,
            output_tokens: attempt.tokens * 100,
            cost: MicroUsd(attempt.tokens * attempt.model as u64 * 1_500),
        };
        let settled = EventKind::ModelCallSettled {
            call: 1,
            provider: provider.to_owned(),
            model: model.to_owned(),
            usage,
            measured: true,
            duration_ms: attempt.minutes * 40_000,
        };
        if attempt.tokens > 0 {
            self.at(begin + attempt.minutes / 2, run, settled);
            let finished = EventKind::AgentFinished {
                reason: "finished".to_owned(),
                summary: "All tests pass, everything is done!".to_owned(),
                steps: 4,
                usage,
            };
            self.at(end, run, finished);
        }
        if let Some((printed, code)) = attempt.check {
            let receipt = receipt(attempt.run, printed, code);
            self.at(end, run, EventKind::CheckFinished { receipt });
        }
        if let Some((number, draft)) = attempt.pull {
            let opened = EventKind::PullRequestOpened {
                number,
                url: format!("https://forge.example.org/{REPO}/pulls/{number}"),
                draft,
                adopted: false,
            };
            self.at(end, run, opened);
        }
        if let Some(outcome) = &attempt.outcome {
            let ended = EventKind::RunEnded {
                outcome: outcome.clone(),
                duration_ms: attempt.minutes * 60_000,
            };
            self.at(end, run, ended);
        }
    }

    /// Writes the log.
    pub(super) async fn write(mut self) -> Written {
        self.events.sort_by_key(|(minute, ..)| *minute);
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("timmy")).await.unwrap();
        let clock = Arc::new(ManualClock::default());
        let log = store.log(Arc::clone(&clock) as Arc<dyn Clock>);
        let mut now = 0;
        for (minute, run, kind) in self.events {
            clock.advance(Duration::from_mins(minute - now));
            now = minute;
            log.append(run.as_ref(), kind).await.unwrap();
        }
        Written { log, _home: home }
    }
}

pub(super) struct Written {
    pub(super) log: EventLog,
    _home: TempDir,
}

impl Written {
    /// The report of everything in it.
    pub(super) async fn report(&self, view: &ForgeView) -> Report {
        self.report_of(Window::between(None, None, None).unwrap(), view)
            .await
    }

    pub(super) async fn report_of(&self, window: Window, view: &ForgeView) -> Report {
        let gathered = Gathered::read(&self.log, &window).await.unwrap();
        Report::of(window, gathered, view)
    }
}

pub(super) fn receipt(run: u64, printed: &str, code: i32) -> Receipt {
    Receipt {
        command: "cargo test".to_owned(),
        exit_code: Some(code),
        tree: commit(run),
        commit: commit(run),
        duration_ms: 30_000,
        output_tail: printed.to_owned(),
        sandbox: SandboxLevel::L3,
        output_sha256: "0".repeat(64),
    }
}

/// A pull request of timmy's as the forge has it, at the commit of a run.
pub(super) fn seen(number: IssueNumber, issue: IssueNumber, run: u64, state: PullState) -> Seen {
    Seen {
        pull: PullRequest {
            number,
            title: format!("Answers #{issue}"),
            body: String::new(),
            state,
            draft: false,
            head_branch: format!("timmy/{issue}-1"),
            head: commit(run),
            from_fork: false,
            base_branch: "main".to_owned(),
            mergeable: Some(true),
            merge_commit: None,
            labels: Vec::new(),
            author: "timmy".to_owned(),
            web_url: String::new(),
        },
        merges: Some(true),
        changes_asked: Vec::new(),
        failing: Vec::new(),
    }
}

/// A view of a forge with these pull requests and open issues.
pub(super) fn view(pulls: Vec<Seen>, open: &[IssueNumber]) -> ForgeView {
    let mut view = ForgeView {
        user: "timmy".to_owned(),
        ..ForgeView::default()
    };
    for seen in pulls {
        let key = (repo(), seen.pull.number);
        view.pulls.insert(key, Found::Pull(Box::new(seen)));
    }
    let open: BTreeSet<IssueNumber> = open.iter().copied().collect();
    view.open_issues.insert(repo(), open);
    view
}

const PASSED: Option<(&str, i32)> = Some(("test result: ok. 12 passed\n", 0));
const FAILED: Option<(&str, i32)> = Some(("test result: FAILED. 11 passed; 1 failed\n", 101));

fn attempt(run: u64, issue: IssueNumber, title: &'static str, begin: u64) -> Attempt {
    Attempt {
        run,
        issue,
        title,
        begin,
        minutes: 25,
        model: 0,
        tokens: 40,
        check: PASSED,
        pull: None,
        outcome: None,
    }
}

fn answered(number: IssueNumber) -> (Option<(IssueNumber, bool)>, Option<Outcome>) {
    (Some((number, false)), Some(Outcome::PullRequest { number }))
}

fn down() -> Problem {
    Problem::new(
        Code::new(602),
        ExitStatus::Unavailable,
        "the server does not answer",
    )
    .at("http://127.0.0.1:11434")
    .fix("start the server, or correct base_url of the provider")
}

/// The attempts of the night.
fn attempts() -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let pulls = [
        (1, 12, "Totals are rounded twice", 2, 30),
        (2, 13, "Quote `|` and <b> in names, @everyone", 4, 31),
        (8, 18, "Read amounts with a comma", 160, 33),
        (9, 19, "Say which line has no amount", 190, 34),
        (10, 20, "Sort categories", 220, 35),
        (13, 23, "Print a yearly total", 300, 36),
    ];
    for (run, issue, title, begin, number) in pulls {
        let (pull, outcome) = answered(number);
        attempts.push(Attempt {
            model: usize::from(run > 8),
            pull,
            outcome,
            ..attempt(run, issue, title, begin)
        });
    }
    let failing = [
        (3, 14, "A month has no end", 30, Outcome::CheckFailed, None),
        (
            4,
            15,
            "Weeks begin on Monday",
            34,
            Outcome::Draft { number: 32 },
            Some((32, true)),
        ),
        (5, 14, "A month has no end", 62, Outcome::CheckFailed, None),
    ];
    for (run, issue, title, begin, outcome, pull) in failing {
        attempts.push(Attempt {
            tokens: 90,
            check: FAILED,
            pull,
            outcome: Some(outcome),
            ..attempt(run, issue, title, begin)
        });
    }
    let without = [
        (
            6,
            16,
            "Import from a bank",
            64,
            3,
            0,
            Some(Outcome::Failed { problem: down() }),
        ),
        (
            7,
            17,
            "Make it faster",
            150,
            12,
            60,
            Some(Outcome::NoChange),
        ),
        (
            11,
            21,
            "Publish to the web",
            225,
            18,
            70,
            Some(Outcome::Blocked),
        ),
        (12, 22, "Keep a history", 260, 55, 600, None),
    ];
    for (run, issue, title, begin, minutes, tokens, outcome) in without {
        attempts.push(Attempt {
            minutes,
            tokens,
            check: None,
            outcome,
            ..attempt(run, issue, title, begin)
        });
    }
    attempts
}

/// A night with everything.
pub(super) async fn varied() -> Written {
    let mut night = Night::new();
    let began = EventKind::LoopStarted {
        repositories: vec![repo()],
        slots: 2,
    };
    night.at(0, None, began);
    for attempt in attempts() {
        night.attempt(&attempt);
    }
    let failed = EventKind::ModelCallFailed {
        call: 1,
        provider: "local".to_owned(),
        code: Code::new(602),
        what: "the server does not answer".to_owned(),
        answer: "the run ends".to_owned(),
    };
    night.at(66, Some(6), failed);
    let scope = "models".to_owned();
    night.at(
        67,
        None,
        EventKind::DispatchPaused {
            scope: scope.clone(),
            problem: down(),
        },
    );
    night.at(148, None, EventKind::DispatchResumed { scope });
    let fingerprint = Fingerprint {
        text: "0".repeat(64),
        base: commit(0),
        model: "local/small-coder".to_owned(),
        prompt: "0".repeat(64),
    };
    let quarantined = EventKind::IssueQuarantined {
        repo: repo(),
        issue: 17,
        attempts: 3,
        fingerprint,
    };
    night.at(163, None, quarantined);
    let reasons = vec!["`deploy.yml` is a workflow of the forge".to_owned()];
    night.at(243, Some(11), EventKind::PublicationBlocked { reasons });
    let merged = EventKind::PullRequestMerged {
        repo: repo(),
        issue: 12,
        number: 30,
    };
    night.at(140, None, merged);
    let energy = EventKind::EnergyUsed {
        millijoules: 84_000_000,
        source: EnergySource::Declared,
    };
    night.at(27, Some(1), energy);
    for (run, minute) in [(3, 40), (4, 45), (5, 70), (7, 155)] {
        let wrote = EventKind::ToolCalled {
            step: 1,
            tool: "write_file".to_owned(),
            arguments: r#"{"path": "./src/calendar.rs", "contents": ""}"#.to_owned(),
        };
        night.at(minute, Some(run), wrote);
    }
    night.write().await
}

/// What the forge says in the morning after it.
pub(super) fn morning() -> ForgeView {
    let mut asked = seen(34, 19, 9, PullState::Open);
    asked.changes_asked = vec!["grace".to_owned()];
    let mut conflicts = seen(35, 20, 10, PullState::Open);
    conflicts.merges = Some(false);
    let mut draft = seen(32, 15, 4, PullState::Open);
    draft.pull.draft = true;
    let mut moved = seen(31, 13, 2, PullState::Open);
    moved.pull.head = commit(99);
    let pulls = vec![
        seen(30, 12, 1, PullState::Merged),
        moved,
        draft,
        seen(33, 18, 8, PullState::Closed),
        asked,
        conflicts,
        seen(5, 3, 0, PullState::Open),
    ];
    let mut view = view(pulls, &[3, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23]);
    view.pulls.insert((repo(), 36), Found::Nothing);
    view
}
