use super::plan::Sabotage;
use super::*;
use crate::night::Settings;

/// A short night with a lot going on.
fn plan(hosts: u32, weather: Weather) -> Plan {
    let settings = Settings {
        slots: 5,
        per_repository: 5,
        ..Settings::default()
    };
    Plan {
        issues: 60,
        length: Duration::from_secs(2 * 3_600),
        hosts,
        weather,
        deeds_per_hour: 60,
        ..Plan::new(settings)
    }
}

/// Whether one of these nights breaks an invariant.
fn breaks(plan: &Plan, invariant: Invariant, mut seeds: std::ops::Range<u64>) -> bool {
    seeds.any(|seed| {
        let violations = play(plan, seed, Keep::Nothing).violations;
        violations.iter().any(|one| one.invariant == invariant)
    })
}

#[track_caller]
fn holds(plan: &Plan, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let played = play(plan, seed, Keep::UntilViolation(60));
        assert_eq!(
            Vec::<Violation>::new(),
            played.violations,
            "seed {seed}: {:#?}",
            played.trace
        );
    }
}

#[test]
fn calm_nights_hold_every_invariant() {
    holds(&plan(1, Weather::Calm), 0..5);
    holds(&plan(2, Weather::Calm), 5..10);
}

#[test]
fn rough_nights_hold_every_invariant() {
    holds(&plan(2, Weather::Rough), 100..120);
}

#[test]
fn hostile_nights_of_three_hosts_hold_every_invariant() {
    holds(&plan(3, Weather::Hostile), 200..215);
}

#[test]
fn the_same_seed_is_the_same_night() {
    let plan = plan(3, Weather::Hostile);
    let (one, other) = (
        play(&plan, 7, Keep::Everything),
        play(&plan, 7, Keep::Everything),
    );
    assert_eq!(one, other);
    assert!(one.trace.len() > 1_000, "{}", one.trace.len());
    assert_ne!(one.digest, play(&plan, 8, Keep::Nothing).digest);
    // What is kept of a trace changes nothing about it.
    assert_eq!(one.digest, play(&plan, 7, Keep::Nothing).digest);
}

#[test]
fn a_night_has_everything_in_it() {
    let plan = plan(3, Weather::Hostile);
    let mut sum = Tally::default();
    for seed in 0..8 {
        sum.add(&play(&plan, seed, Keep::Nothing).tally);
    }
    let counts = [
        sum.crashes,
        sum.faults,
        sum.takeovers,
        sum.claims_lost,
        sum.merged,
        sum.refused,
        sum.asked,
    ];
    assert!(counts.iter().all(|count| *count > 0), "{sum:?}");
    for word in [
        "pull_request",
        "draft",
        "no_change",
        "blocked",
        "stopped",
        "claim_lost",
        "abandoned",
        "stalled",
        "failed",
        "cancelled",
    ] {
        assert!(
            sum.outcomes.contains_key(word),
            "no run ended as {word}: {:?}",
            sum.outcomes
        );
    }
}

#[test]
fn an_idle_fleet_asks_no_model_and_lists_once_a_tick() {
    let plan = Plan {
        issues: 0,
        deeds_per_hour: 0,
        ..plan(1, Weather::Calm)
    };
    let played = play(&plan, 1, Keep::Nothing);
    assert_eq!(Vec::<Violation>::new(), played.violations);
    let ticks = plan.length.as_secs() / plan.settings.poll.as_secs();
    let lists = played.tally.lists;
    assert_eq!((0, 0), (played.tally.model_calls, played.tally.attempts));
    assert!(
        (ticks - ticks / 50..=ticks + 1).contains(&lists),
        "{lists} of {ticks}"
    );
    // A full list also asks where new work would start from.
    let full = plan.length.as_secs() / plan.settings.full.as_secs() + 1;
    let calls = played.tally.forge_calls;
    assert!(calls <= lists + full + 2, "{calls} calls for {lists} lists");
}

#[test]
fn a_budget_that_is_too_small_stops_the_night_and_is_the_reason() {
    let plan = Plan {
        budget: timmy_core::money::MicroUsd(500_000),
        ..plan(1, Weather::Calm)
    };
    let played = play(&plan, 3, Keep::Nothing);
    assert_eq!(Vec::<Violation>::new(), played.violations);
    assert!(played.tally.cost.0 <= 530_000, "{}", played.tally.cost);
    assert!(played.tally.pull_requests < 10, "{:?}", played.tally);
}

/// Each rule, broken on purpose, is noticed as the invariant that it protects.
#[test]
fn broken_rules_are_noticed() {
    let cases = [
        (Sabotage::ClaimWithoutLease, Invariant::OneHolder),
        (
            Sabotage::PublishWithoutClaim,
            Invariant::OnlyTheHolderPublishes,
        ),
        (Sabotage::NoFence, Invariant::OneHolder),
        (Sabotage::NoSecondLook, Invariant::OnePullRequest),
        (Sabotage::NoRecovery, Invariant::NoLeakedSlot),
        (Sabotage::CommentsWithoutMark, Invariant::OneComment),
        (Sabotage::ForgottenEnd, Invariant::NoLeakedSlot),
        (Sabotage::SpendingWithoutReserving, Invariant::Budget),
        (Sabotage::OverwritesPeople, Invariant::PeopleDecide),
        (Sabotage::DeafToPauses, Invariant::PauseHolds),
        (Sabotage::ForgetsStops, Invariant::StopHolds),
    ];
    for (sabotage, invariant) in cases {
        let budget = match sabotage {
            Sabotage::SpendingWithoutReserving => timmy_core::money::MicroUsd(400_000),
            _ => plan(1, Weather::Calm).budget,
        };
        let plan = Plan {
            sabotage,
            budget,
            ..plan(3, Weather::Hostile)
        };
        assert!(
            breaks(&plan, invariant, 0..240),
            "{sabotage:?} was not noticed"
        );
    }
}
