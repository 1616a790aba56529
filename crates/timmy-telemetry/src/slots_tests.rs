use std::collections::BTreeMap;
use std::collections::BTreeSet;

use proptest::prelude::*;
use timmy_core::event::Outcome;
use timmy_core::event::SCHEMA_VERSION;
use timmy_core::receipt::Provenance;
use timmy_core::receipt::SandboxLevel;

use super::*;

/// One thing that happens in a made-up log: to which run, and how many minutes after the last.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Starts(usize),
    Speaks(usize),
    Ends(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    let run = 0_usize..8;
    prop_oneof![
        2 => run.clone().prop_map(Happening::Starts),
        3 => run.clone().prop_map(Happening::Speaks),
        1 => run.prop_map(Happening::Ends),
    ]
}

/// A log of at most eight runs, each on an issue of its own, with this many minutes between events.
fn log(happenings: &[(Happening, u32)]) -> Vec<Event> {
    let runs: Vec<RunId> = (0..8).map(|_| RunId::generate()).collect();
    let mut at = Timestamp::UNIX_EPOCH;
    let mut started = BTreeSet::new();
    let mut ended = BTreeSet::new();
    let mut events = Vec::new();
    for (happening, minutes) in happenings {
        at += SignedDuration::from_mins(i64::from(*minutes));
        let (number, kind) = match happening {
            Happening::Starts(number) => (number, start(*number)),
            Happening::Speaks(number) => (number, EventKind::ClaimRenewed { epoch: 1 }),
            Happening::Ends(number) => (number, end()),
        };
        let starts = matches!(happening, Happening::Starts(_));
        if ended.contains(number) || starts == started.contains(number) {
            continue;
        }
        started.insert(*number);
        if matches!(happening, Happening::Ends(_)) {
            ended.insert(*number);
        }
        events.push(event(&runs[*number], at, kind));
    }
    events
}

fn event(run: &RunId, at: Timestamp, kind: EventKind) -> Event {
    Event {
        seq: 1,
        schema: SCHEMA_VERSION,
        at,
        run: Some(run.clone()),
        kind,
    }
}

fn start(number: usize) -> EventKind {
    EventKind::RunStarted {
        repo: "timmy/small".parse().unwrap(),
        issue: number as u64 + 1,
        title: "A title".to_owned(),
        provider: "scripted".to_owned(),
        provenance: Provenance::Live,
        sandbox: SandboxLevel::L3,
        fingerprint: None,
        answers: None,
    }
}

fn end() -> EventKind {
    EventKind::RunEnded {
        outcome: Outcome::NoChange,
        duration_ms: 1,
    }
}

fn folded(events: &[Event]) -> Slots {
    let mut slots = Slots::default();
    for event in events {
        slots.apply(event);
    }
    slots
}

#[test]
fn the_lowest_free_slot_is_taken() {
    let [one, two, three, four] = [(); 4].map(|()| RunId::generate());
    let at = Timestamp::UNIX_EPOCH;
    let slots = folded(&[
        event(&one, at, start(0)),
        event(&two, at, start(1)),
        event(&three, at, start(2)),
        event(&two, at, end()),
        event(&four, at, start(3)),
    ]);
    let expected = vec![(1, &one), (2, &four), (3, &three)];
    assert_eq!(expected, slots.at_work(at));
}

#[test]
fn a_run_of_a_dead_host_gives_up_its_slot_to_the_next() {
    let [dead, next] = [(); 2].map(|()| RunId::generate());
    let (then, later) = (
        Timestamp::UNIX_EPOCH,
        Timestamp::UNIX_EPOCH + SILENCE + SignedDuration::from_secs(1),
    );
    let mut slots = folded(&[event(&dead, then, start(0))]);
    assert_eq!(vec![(1, &dead)], slots.at_work(then + SILENCE));
    assert!(slots.at_work(later).is_empty());
    slots.apply(&event(&next, later, start(1)));
    assert_eq!(vec![(1, &next)], slots.at_work(later));
    // It lives after all: it is shown again, in another place.
    slots.apply(&event(&dead, later, EventKind::ClaimRenewed { epoch: 1 }));
    assert_eq!(vec![(1, &next), (2, &dead)], slots.at_work(later));
}

#[test]
fn the_next_run_on_an_issue_takes_the_place_of_the_last() {
    let [dead, next] = [(); 2].map(|()| RunId::generate());
    let at = Timestamp::UNIX_EPOCH;
    let mut slots = folded(&[event(&dead, at, start(0)), event(&next, at, start(0))]);
    assert_eq!(vec![(1, &next)], slots.at_work(at));
    slots.apply(&event(&dead, at, end()));
    assert_eq!(vec![(1, &next)], slots.at_work(at));
}

proptest! {
    #[test]
    fn two_runs_never_share_a_slot_and_none_that_works_is_without(
        happenings in prop::collection::vec((happening(), 0_u32..90), 0..120)
    ) {
        let events = log(&happenings);
        let mut slots = Slots::default();
        let mut heard: BTreeMap<RunId, Timestamp> = BTreeMap::new();
        for event in &events {
            let free: Vec<u32> = (1..=9).filter(|slot| {
                let at_work = slots.at_work(event.at);
                !at_work.iter().any(|(taken, _)| taken == slot)
            }).collect();
            let run = event.run.clone().unwrap();
            slots.apply(event);
            if Begun::of(event).is_some() {
                prop_assert_eq!(Some(free[0]), slots.of(&run));
            }
            match event.kind {
                EventKind::RunEnded { .. } => drop(heard.remove(&run)),
                _ => drop(heard.insert(run, event.at)),
            }
            let at_work = slots.at_work(event.at);
            let places: BTreeSet<u32> = at_work.iter().map(|(slot, _)| *slot).collect();
            let runs: BTreeSet<RunId> = at_work.iter().map(|(_, run)| (*run).clone()).collect();
            prop_assert_eq!(at_work.len(), places.len());
            let alive = heard.iter().filter(|(_, heard)| event.at.duration_since(**heard) <= SILENCE);
            let alive: BTreeSet<RunId> = alive.map(|(run, _)| run.clone()).collect();
            prop_assert_eq!(alive, runs);
        }
    }

    #[test]
    fn a_view_that_begins_late_shows_what_the_others_show(
        happenings in prop::collection::vec((happening(), 0_u32..4), 0..120)
    ) {
        let events = log(&happenings);
        // Nothing is silent here for longer than a run may be.
        let now = events.last().map_or(Timestamp::UNIX_EPOCH, |event| event.at);
        let first = events.first().map_or(now, |event| event.at);
        prop_assume!(now.duration_since(first) <= SILENCE);
        let newest = |run: &RunId| {
            let of_run = events.iter().filter(|event| event.run.as_ref() == Some(run));
            of_run.map(|event| event.at).max().unwrap()
        };
        let mut late = Slots::default();
        for event in &events {
            if let Some(begun) = Begun::of(event) {
                let heard = newest(&begun.run);
                late.begin(Begun { heard, ..begun });
            } else if let EventKind::RunEnded { .. } = event.kind {
                late.end(event.run.as_ref().unwrap());
            }
        }
        let whole = folded(&events);
        prop_assert_eq!(whole.at_work(now), late.at_work(now));
    }
}
