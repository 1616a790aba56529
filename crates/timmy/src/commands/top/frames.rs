//! Frames of a fixed log, in rooms of all kinds.

use jiff::SignedDuration;
use jiff::Timestamp;
use ratatui::crossterm::event::KeyCode;
use ratatui::crossterm::event::KeyEvent;
use ratatui::crossterm::event::KeyModifiers;
use timmy_core::Code;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::ObjectName;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::event::AlertKey;
use timmy_core::event::Outcome;
use timmy_core::event::SCHEMA_VERSION;
use timmy_core::event::Severity;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;
use timmy_core::receipt::Provenance;
use timmy_core::receipt::SandboxLevel;
use timmy_store::Cap;
use timmy_store::Standing;

use super::app::App;
use super::app::Effect;
use super::app::Input;
use super::books::Account;
use super::books::Books;
use super::fleet::Fleet;
use super::frame;
use super::looks::Looks;

pub(super) const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (40, 12)];

fn beginning() -> Timestamp {
    "2026-01-31T22:00:00Z".parse().unwrap()
}

fn repo() -> RepoName {
    "me/project".parse().unwrap()
}

pub(super) fn run(number: u64) -> RunId {
    format!("019c0000-0000-7000-8000-0000000000{number:02x}")
        .parse()
        .unwrap()
}

fn usage(tokens: u64) -> Usage {
    Usage {
        input_tokens: tokens,
        output_tokens: tokens / 10,
        cost: MicroUsd(tokens * 3),
    }
}

/// A log that is written second by second.
#[derive(Default)]
pub(super) struct Script(pub(super) Vec<Event>);

impl Script {
    fn at(&mut self, seconds: i64, run: Option<u64>, kind: EventKind) {
        let at = beginning() + SignedDuration::from_secs(seconds);
        self.0.push(Event {
            seq: i64::try_from(self.0.len()).unwrap() + 1,
            schema: SCHEMA_VERSION,
            at,
            run: run.map(self::run),
            kind,
        });
    }

    fn begin(&mut self, seconds: i64, number: u64, title: &str) {
        let started = EventKind::RunStarted {
            repo: repo(),
            issue: number,
            title: title.to_owned(),
            provider: "ollama".to_owned(),
            provenance: Provenance::Live,
            sandbox: SandboxLevel::L3,
            fingerprint: None,
            answers: None,
        };
        self.at(seconds, Some(number), started);
        let claimed = EventKind::ClaimAcquired {
            reference: format!("refs/timmy/claims/{number}"),
            epoch: 1,
            ttl_s: 600,
        };
        self.at(seconds + 1, Some(number), claimed);
        let ready = EventKind::WorkspaceReady {
            base_branch: "main".to_owned(),
            base: "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"
                .parse::<ObjectName>()
                .unwrap(),
            work_branch: None,
        };
        self.at(seconds + 3, Some(number), ready);
        let built = EventKind::PromptBuilt {
            sha256: "0".repeat(64),
            bytes: 5_210,
        };
        self.at(seconds + 3, Some(number), built);
    }

    fn call(&mut self, seconds: i64, number: u64, step: u32, arguments: &str) {
        let reserved = EventKind::ModelCallReserved {
            call: step,
            provider: "ollama".to_owned(),
            reserved: usage(8_000),
        };
        self.at(seconds, Some(number), reserved);
        let settled = EventKind::ModelCallSettled {
            call: step,
            provider: "ollama".to_owned(),
            model: "qwen3:14b".to_owned(),
            usage: usage(4_100),
            measured: true,
            duration_ms: 8_400,
        };
        self.at(seconds + 8, Some(number), settled);
        let called = EventKind::ToolCalled {
            step,
            tool: "run_command".to_owned(),
            arguments: arguments.to_owned(),
        };
        self.at(seconds + 8, Some(number), called);
    }

    fn finished(&mut self, seconds: i64, number: u64, step: u32, result: &str) {
        let finished = EventKind::ToolFinished {
            step,
            tool: "run_command".to_owned(),
            ok: true,
            duration_ms: 900,
            result: result.to_owned(),
        };
        self.at(seconds, Some(number), finished);
    }

    fn alert(&mut self, seconds: i64, code: u16, subject: &str, severity: Severity, what: &str) {
        let key = AlertKey {
            code: Code::new(code),
            subject: subject.to_owned(),
        };
        let what = what.to_owned();
        let raised = EventKind::AlertRaised {
            key,
            severity,
            what,
        };
        self.at(seconds, None, raised);
    }

    /// The night that the snapshots show.
    pub(super) fn night() -> Self {
        let mut log = Self::default();
        let started = EventKind::LoopStarted {
            repositories: vec![repo()],
            slots: 2,
        };
        log.at(0, None, started);
        log.begin(10, 7, "Sums of an empty list are wrong");
        log.begin(
            15,
            12,
            "日本語のタイトル: \u{1b}[31mred\u{202e} and a title that is far too long",
        );
        log.call(30, 7, 1, "{\"command\":\"cargo test --workspace\"}");
        log.finished(
            60,
            7,
            1,
            "running 12 tests\ntest sums ... \u{1b}[31mFAILED\u{1b}[0m\n\tat line 3",
        );
        log.call(70, 12, 1, "{\"command\":\"ls\"}");
        log.call(90, 7, 2, "{\"command\":\"sed -n 1,80p src/sums.rs\"}");
        let failed = EventKind::ModelCallFailed {
            call: 2,
            provider: "openrouter".to_owned(),
            code: Code::new(603),
            what: "the provider's quota is used up".to_owned(),
            answer: "another provider is asked".to_owned(),
        };
        log.at(95, Some(12), failed);
        log.begin(100, 3, "Say which file is broken");
        let reason = "the last attempt ended: no change".to_owned();
        log.at(
            110,
            Some(3),
            EventKind::RunEnded {
                outcome: Outcome::NoChange,
                duration_ms: 10_000,
            },
        );
        log.at(
            110,
            None,
            EventKind::RetryScheduled {
                repo: repo(),
                issue: 3,
                attempt: 2,
                delay_ms: 40_000,
                reason,
            },
        );
        let problem = Problem::new(
            Code::new(603),
            ExitStatus::Later,
            "the quota of openrouter is used up",
        );
        let scope = "models".to_owned();
        log.at(115, None, EventKind::DispatchPaused { scope, problem });
        log.alert(
            116,
            1_005,
            "me/project",
            Severity::Notice,
            "fewer attempts succeed than before",
        );
        log.alert(
            118,
            1_008,
            "box:/home",
            Severity::Critical,
            "the disk is full in about 40 minutes",
        );
        log
    }
}

pub(super) fn books() -> Books {
    let account = |tokens, limit: Option<u64>, cost: Option<u64>| Account {
        limit: Cap {
            tokens: limit,
            cost: cost.map(MicroUsd),
        },
        standing: Standing {
            reserved: usage(8_000),
            spent: usage(tokens),
        },
    };
    Books {
        day: account(400_000, Some(500_000), Some(5_000_000)),
        fleet: account(4_000_000, None, None),
        offered: 1,
        taken: 2,
        hosts: 2,
    }
}

/// The view some seconds after the night began.
pub(super) fn app(log: &Script, size: (u16, u16), seconds: i64) -> App {
    let looks = Looks {
        colour: false,
        unicode: true,
    };
    let now = beginning() + SignedDuration::from_secs(seconds);
    let mut app = App::new(size, looks, now);
    app.update(Input::Opened(Box::default()));
    app.update(Input::Events(log.0.clone()));
    app.update(Input::Books(Box::new(books())));
    app
}

pub(super) fn press(app: &mut App, code: KeyCode) -> Vec<Effect> {
    app.update(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn type_in(app: &mut App, text: &str) {
    for character in text.chars() {
        assert_eq!(Vec::<Effect>::new(), press(app, KeyCode::Char(character)));
    }
}

fn frames(name: &str, make: impl Fn((u16, u16)) -> App) {
    for size in SIZES {
        let (columns, rows) = size;
        insta::assert_snapshot!(format!("{name}_{columns}x{rows}"), frame(&make(size)));
    }
}

#[test]
fn a_night_at_work() {
    frames("working", |size| app(&Script::night(), size, 130));
}

#[test]
fn the_page_shows_a_frame_as_it_is() {
    let page = include_str!("../../../../../docs/top.md");
    let shown = page.split("```text\n").nth(1).unwrap_or_default();
    let shown = shown.split("\n```").next().unwrap_or_default();
    assert_eq!(frame(&app(&Script::night(), (80, 24), 130)), shown);
}

#[test]
fn a_fleet_that_is_paused() {
    let mut log = Script::night();
    let paused = EventKind::PauseAsked {
        reason: "the power is cut at ten".to_owned(),
        by: "ada@box".to_owned(),
    };
    log.at(120, None, paused);
    log.at(121, None, EventKind::StopAsked { target: run(12) });
    frames("paused", |size| app(&log, size, 200));
}

#[test]
fn a_fleet_of_which_nothing_is_known() {
    frames("unknown", |size| {
        let looks = Looks {
            colour: false,
            unicode: true,
        };
        let mut app = App::new(size, looks, beginning());
        let why = "the database at db.example.org does not answer".to_owned();
        app.update(Input::Trouble(why));
        app
    });
}

#[test]
fn a_log_that_follows_and_one_that_does_not() {
    frames("log", |size| {
        let log = Script::night();
        let mut app = app(&log, size, 130);
        assert_eq!(vec![Effect::Read(run(7))], press(&mut app, KeyCode::Enter));
        let own = log.0.iter().filter(|event| event.run == Some(run(7)));
        let own: Vec<Event> = own.cloned().collect();
        app.update(Input::Log(run(7), own));
        app
    });
}

#[test]
fn the_keys_are_explained() {
    frames("help", |size| {
        let mut app = app(&Script::night(), size, 130);
        press(&mut app, KeyCode::Char('?'));
        app
    });
}

#[test]
fn a_terminal_without_unicode_shows_the_same_in_ascii() {
    let mut app = app(&Script::night(), (80, 24), 130);
    app.looks.unicode = false;
    let frame = frame(&app);
    assert!(frame.is_ascii(), "{frame}");
    insta::assert_snapshot!("ascii", frame);
}

#[test]
fn colour_changes_no_character() {
    let mut app = app(&Script::night(), (80, 24), 130);
    let without = frame(&app);
    app.looks.colour = true;
    assert_eq!(without, frame(&app));
}

#[test]
fn a_stop_is_asked_for_before_it_is_made() {
    let mut app = app(&Script::night(), (80, 24), 130);
    press(&mut app, KeyCode::Down);
    assert_eq!(Vec::<Effect>::new(), press(&mut app, KeyCode::Char('s')));
    assert!(frame(&app).ends_with("Stop run 0000000c? y/n"));
    assert_eq!(Vec::<Effect>::new(), press(&mut app, KeyCode::Char('x')));
    assert_eq!(Vec::<Effect>::new(), press(&mut app, KeyCode::Char('n')));
    press(&mut app, KeyCode::Char('s'));
    assert_eq!(
        vec![Effect::Stop(run(12))],
        press(&mut app, KeyCode::Char('y'))
    );
}

#[test]
fn a_pause_is_asked_for_with_a_reason_and_so_is_its_end() {
    let mut app = app(&Script::night(), (80, 24), 130);
    type_in(&mut app, "pythe mains");
    assert!(frame(&app).ends_with("Why? (Enter pauses, Esc does not) the mains_"));
    press(&mut app, KeyCode::Backspace);
    let asked = vec![Effect::Pause("the main".to_owned())];
    assert_eq!(asked, press(&mut app, KeyCode::Enter));
    let mut log = Script::night();
    let (reason, by) = ("the main".to_owned(), String::new());
    log.at(131, None, EventKind::PauseAsked { reason, by });
    app.update(Input::Events(log.0));
    type_in(&mut app, "p");
    assert_eq!(vec![Effect::Resume], press(&mut app, KeyCode::Char('y')));
}

#[test]
fn only_what_has_the_text_is_shown() {
    let mut app = app(&Script::night(), (80, 24), 130);
    type_in(&mut app, "/日本");
    assert_eq!(Some(run(12)), app.selected);
    press(&mut app, KeyCode::Enter);
    assert_eq!(1, app.runs().len());
    press(&mut app, KeyCode::Esc);
    assert_eq!(2, app.runs().len());
}

#[test]
fn what_was_stopped_waits_until_the_fleet_goes_on() {
    let mut log = Script::night();
    log.at(120, None, EventKind::StopAsked { target: run(12) });
    let reason = "a person asked for it".to_owned();
    let ended = EventKind::RunEnded {
        outcome: Outcome::Cancelled { reason },
        duration_ms: 1,
    };
    log.at(122, Some(12), ended);
    let mut fleet = Fleet::default();
    log.0.iter().for_each(|event| fleet.take(event));
    let waiting = |fleet: &Fleet| {
        fleet
            .waiting
            .keys()
            .map(|key| key.number)
            .collect::<Vec<_>>()
    };
    assert_eq!(vec![3, 12], waiting(&fleet));
    log.at(123, None, EventKind::ResumeAsked);
    log.0.iter().for_each(|event| fleet.take(event));
    assert_eq!(vec![3], waiting(&fleet));
    let reason = String::new();
    assert!(!fleet.held.is_empty());
    let mut killed = fleet.clone();
    let again = EventKind::LoopStarted {
        repositories: vec![repo()],
        slots: 2,
    };
    let mut next = log.0.last().unwrap().clone();
    (next.seq, next.kind) = (next.seq + 1, again);
    killed.take(&next);
    assert!(killed.held.is_empty());
    log.at(124, None, EventKind::LoopEnded { reason });
    log.0.iter().for_each(|event| fleet.take(event));
    assert_eq!(Vec::<u64>::new(), waiting(&fleet));
    assert!(fleet.held.is_empty());
}
