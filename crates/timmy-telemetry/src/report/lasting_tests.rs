//! What lasts from before a window, and the loops that it lasts with.

use jiff::SignedDuration;
use jiff::Timestamp;
use timmy_core::Clock;
use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::event::AlertKey;
use timmy_core::event::Fingerprint;
use timmy_core::event::Outcome;
use timmy_core::event::Severity;
use timmy_testkit::ManualClock;

use super::sample::Night;
use super::sample::commit;
use super::sample::repo;
use super::tests::ended;
use super::*;

/// A minute of a night.
fn minute(minutes: i64) -> Timestamp {
    ManualClock::default().now() + SignedDuration::from_mins(minutes)
}

/// The report of a night from one of its minutes on.
async fn since(night: Night, minutes: i64) -> Report {
    let begin = Some(Moment::At(minute(minutes)));
    let window = Window::between(begin, None, None).unwrap();
    let written = night.write().await;
    written.report_of(window, &ForgeView::default()).await
}

fn started() -> EventKind {
    EventKind::LoopStarted {
        repositories: vec![repo()],
        slots: 2,
    }
}

fn asked(reason: &str) -> EventKind {
    EventKind::PauseAsked {
        reason: reason.to_owned(),
        by: "ada@box".to_owned(),
    }
}

fn raised(key: &AlertKey) -> EventKind {
    EventKind::AlertRaised {
        key: key.clone(),
        severity: Severity::Critical,
        what: "the disk is full".to_owned(),
    }
}

fn quarantined(issue: u64) -> EventKind {
    let fingerprint = Fingerprint {
        text: "0".repeat(64),
        base: commit(0),
        model: "local/small-coder".to_owned(),
        prompt: "0".repeat(64),
    };
    EventKind::IssueQuarantined {
        repo: repo(),
        issue,
        attempts: 3,
        fingerprint,
    }
}

fn held(scope: &str) -> EventKind {
    let what = "the server does not answer";
    EventKind::DispatchPaused {
        scope: scope.to_owned(),
        problem: Problem::new(Code::new(602), ExitStatus::Unavailable, what),
    }
}

fn told(report: &Report) -> Vec<&str> {
    let needs = report.needs_a_person.iter();
    needs.map(|need| need.what.as_str()).collect()
}

#[tokio::test]
async fn what_was_said_just_before_the_window_lasts_into_it() {
    let key = |subject: &str| AlertKey {
        code: Code::new(1003),
        subject: subject.to_owned(),
    };
    let mut night = Night::new();
    night.at(0, None, raised(&key("disk of one")));
    night.at(
        55,
        None,
        EventKind::AlertCleared {
            key: key("disk of one"),
        },
    );
    night.at(56, None, quarantined(7));
    night.at(57, None, raised(&key("disk of two")));
    night.at(59, None, asked("the house is moving"));
    night.at(60, None, started());
    let report = since(night, 60).await;
    let expected = [
        "the fleet is PAUSED by ada@box: the house is moving",
        "TIMMY-1003 the disk is full",
        "quarantined after 3 attempts from the same beginnings",
    ];
    assert_eq!(expected.as_slice(), told(&report));
    assert_eq!("disk of two", report.needs_a_person[1].about);
    let pauses: Vec<_> = report
        .hours
        .pauses
        .iter()
        .map(|pause| pause.since)
        .collect();
    assert_eq!(vec![minute(59)], pauses);
}

#[tokio::test]
async fn what_was_over_just_before_the_window_is_no_part_of_it() {
    let mut night = Night::new();
    night.at(0, None, asked("a fuse"));
    night.at(57, None, EventKind::ResumeAsked);
    night.at(58, None, held("models"));
    night.at(
        59,
        None,
        EventKind::DispatchResumed {
            scope: "models".to_owned(),
        },
    );
    night.at(60, None, started());
    let report = since(night, 60).await;
    assert_eq!(
        (0, 0),
        (report.needs_a_person.len(), report.hours.pauses.len())
    );
}

#[tokio::test]
async fn many_events_of_one_type_do_not_hide_another_one() {
    let mut night = Night::new();
    night.at(0, None, asked(""));
    for issue in 1..=1_000 {
        night.at(1, None, quarantined(issue));
    }
    let report = since(night, 500).await;
    assert_eq!("the fleet is PAUSED by ada@box", told(&report)[0]);
    assert_eq!(1_001, report.needs_a_person.len());
}

#[tokio::test]
async fn an_issue_whose_quarantine_a_run_lifted_is_told_by_its_newest_run() {
    let lifted = |issue: u64| EventKind::QuarantineLifted {
        repo: repo(),
        issue,
        changed: vec!["text".to_owned()],
    };
    let mut night = Night::new();
    for issue in [7, 8, 9] {
        night.at(0, None, quarantined(issue));
    }
    // One was lifted just before the window, one in it, and one is in quarantine again.
    night.at(59, Some(3), lifted(9));
    for (run, issue) in [(1, 7), (2, 8)] {
        night.attempt(&ended(run, issue, 60, Outcome::NoChange));
        night.at(60, Some(run), lifted(issue));
    }
    night.at(66, None, quarantined(8));
    let report = since(night, 60).await;
    let needs = report.needs_a_person.iter();
    let needs: Vec<_> = needs
        .map(|need| (need.about.as_str(), need.what.as_str()))
        .collect();
    let expected = [
        (
            "ada/tally#8",
            "quarantined after 3 attempts from the same beginnings",
        ),
        ("ada/tally#7", "the agent changed nothing"),
    ];
    assert_eq!(expected.as_slice(), needs);
}

fn loop_ended() -> EventKind {
    EventKind::LoopEnded {
        reason: "nothing is left".to_owned(),
    }
}

/// When something was held back: what, from which minute, and until which.
fn stretches(report: &Report) -> Vec<(&str, Timestamp, Option<Timestamp>)> {
    let pauses = report.hours.pauses.iter();
    pauses
        .map(|pause| (pause.scope.as_str(), pause.since, pause.until))
        .collect()
}

/// The longest idle time: since when, and until when.
fn idle(report: &Report) -> Option<(Timestamp, Timestamp)> {
    let idle = report.hours.longest_idle.as_ref()?;
    Some((idle.since, idle.until))
}

#[tokio::test]
async fn the_pauses_of_a_loop_last_while_another_one_comes_and_goes() {
    let mut night = Night::new();
    night.at(0, None, started());
    night.at(10, None, held("models"));
    night.at(20, None, started());
    night.at(30, None, held("forge"));
    night.at(40, None, loop_ended());
    night.at(90, None, loop_ended());
    let written = night.write().await;
    let open = Window::between(None, Some(Moment::At(minute(60))), None).unwrap();
    let report = written.report_of(open, &ForgeView::default()).await;
    let expected = [("models", minute(10), None), ("forge", minute(30), None)];
    assert_eq!(expected.as_slice(), stretches(&report));
    let report = written.report(&ForgeView::default()).await;
    let expected = [
        ("models", minute(10), Some(minute(90))),
        ("forge", minute(30), Some(minute(90))),
    ];
    assert_eq!(expected.as_slice(), stretches(&report));
    assert_eq!(Some((minute(0), minute(90))), idle(&report));
}

#[tokio::test]
async fn a_loop_that_began_before_the_window_is_idle_in_it() {
    let mut night = Night::new();
    night.at(0, None, started());
    night.at(5, None, held("models"));
    night.attempt(&ended(1, 7, 200, Outcome::NoChange));
    night.at(300, None, loop_ended());
    let report = since(night, 100).await;
    assert_eq!(Some((minute(100), minute(200))), idle(&report));
}

#[tokio::test]
async fn the_time_before_the_first_run_may_be_the_longest_idle_one() {
    let mut night = Night::new();
    night.at(0, None, started());
    night.at(5, None, held("models"));
    let scope = "models".to_owned();
    night.at(60, None, EventKind::DispatchResumed { scope });
    night.attempt(&ended(1, 7, 60, Outcome::NoChange));
    night.attempt(&ended(2, 7, 80, Outcome::NoChange));
    night.at(90, None, loop_ended());
    let report = since(night, 0).await;
    assert_eq!(Some((minute(0), minute(60))), idle(&report));
}

#[tokio::test]
async fn the_end_of_each_of_two_loops_is_told() {
    let mut night = Night::new();
    for minute in [0, 1] {
        night.at(minute, None, started());
    }
    night.attempt(&ended(1, 7, 2, Outcome::NoChange));
    night.at(10, None, loop_ended());
    night.at(20, None, loop_ended());
    // After both ended nobody worked, whatever was held back.
    night.at(30, None, held("models"));
    night.attempt(&ended(2, 7, 100, Outcome::NoChange));
    let written = night.write().await;
    let everything = Window::between(None, None, None).unwrap();
    let gathered = Gathered::read(&written.log, &everything).await.unwrap();
    let expected = vec![(minute(0), Some(minute(20))), (minute(1), Some(minute(10)))];
    assert_eq!(expected, gathered.loops);
    let report = written.report(&ForgeView::default()).await;
    assert_eq!(None, idle(&report));
}
