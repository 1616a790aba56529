//! What speaks for and against removing something. Pure: facts in, verdict out.
//!
//! Removing needs two facts that do not depend on each other: one from the log, one from who could
//! still refer to it. A fact that could not be found out speaks against.

use std::time::Duration;

/// What the log knows of a run has to be silent for this long before it counts as never begun: a
/// run takes its directory before it writes its first event.
pub(crate) const NEVER_BEGUN: Duration = Duration::from_secs(3_600);

/// Something half-made has to be left alone for this long.
pub(crate) const LEFT_ALONE: Duration = Duration::from_secs(3_600);

/// What the log says about a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logged {
    /// It ended.
    Ended,
    /// It began and has no end.
    Unended,
    /// There is no such run.
    Absent,
    /// The log could not be asked.
    Unknown,
}

/// Whether a process has the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nobody: this process has its lock now, or there is no directory at all.
    Nobody,
    /// A living process.
    Process,
    /// It could not be found out.
    Unknown,
}

/// Whether the forge refers to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// By nothing that is open.
    Nowhere,
    /// By a claim that has not lapsed.
    Claim,
    /// By an open pull request.
    OpenPull,
    /// The forge could not be asked, or is none of this host's.
    Unknown,
}

/// Everything known about what a run left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunFacts {
    pub(crate) logged: Logged,
    pub(crate) held: Held,
    pub(crate) named: Named,
    /// Since the run's id was made.
    pub(crate) age: Duration,
}

/// What is to become of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes, for these two facts.
    Remove([String; 2]),
    /// It stays, for this reason.
    Keep(&'static str),
}

/// Decides about a run's directory, or about the ref that keeps its commit.
pub(crate) fn judge_run(facts: &RunFacts) -> Verdict {
    let one = match facts.logged {
        Logged::Ended => "the log has the run's end",
        Logged::Absent if facts.age >= NEVER_BEGUN => {
            "the log knows no such run, an hour after its id was made"
        }
        Logged::Absent => return Verdict::Keep("it may be about to begin"),
        Logged::Unended => return Verdict::Keep("the log has no end of it"),
        Logged::Unknown => return Verdict::Keep("the log cannot be asked"),
    };
    match facts.held {
        Held::Nobody => {}
        Held::Process => return Verdict::Keep("a process works in it"),
        Held::Unknown => return Verdict::Keep("its lock cannot be asked"),
    }
    match facts.named {
        Named::Nowhere => {}
        Named::Claim => return Verdict::Keep("a claim names it"),
        Named::OpenPull => return Verdict::Keep("its pull request is open"),
        Named::Unknown => return Verdict::Keep("the forge cannot be asked about it"),
    }
    let other = "its lock is free, and no claim and no open pull request names it";
    Verdict::Remove([one.to_owned(), other.to_owned()])
}

/// Decides about a directory with a temporary name, which a killed process left behind.
/// `untouched` is how long nothing in it was written.
pub(crate) fn judge_half_made(untouched: Option<Duration>) -> Verdict {
    match untouched {
        None => Verdict::Keep("it cannot be looked at"),
        Some(time) if time < LEFT_ALONE => Verdict::Keep("it was written within the hour"),
        Some(_) => Verdict::Remove([
            "its name is one for things that are not finished".to_owned(),
            "nothing in it was written for an hour".to_owned(),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_facts() -> impl Strategy<Value = RunFacts> {
        let logged = prop_oneof![
            Just(Logged::Ended),
            Just(Logged::Unended),
            Just(Logged::Absent),
            Just(Logged::Unknown),
        ];
        let held = prop_oneof![Just(Held::Nobody), Just(Held::Process), Just(Held::Unknown)];
        let named = prop_oneof![
            Just(Named::Nowhere),
            Just(Named::Claim),
            Just(Named::OpenPull),
            Just(Named::Unknown),
        ];
        (logged, held, named, 0..20_000_u64).prop_map(|(logged, held, named, age)| RunFacts {
            logged,
            held,
            named,
            age: Duration::from_secs(age),
        })
    }

    proptest! {
        #[test]
        fn what_is_used_named_or_unknown_stays(facts in any_facts()) {
            let stays = facts.held != Held::Nobody
                || facts.named != Named::Nowhere
                || matches!(facts.logged, Logged::Unknown | Logged::Unended)
                || (facts.logged == Logged::Absent && facts.age < NEVER_BEGUN);
            let verdict = judge_run(&facts);
            prop_assert_eq!(stays, matches!(verdict, Verdict::Keep(_)), "{:?}", verdict);
        }

        /// No single fact decides: with any one of them turned round, it stays.
        #[test]
        fn one_fact_is_never_enough(facts in any_facts()) {
            if let Verdict::Remove([one, other]) = judge_run(&facts) {
                prop_assert_ne!(one, other);
                let unended = RunFacts { logged: Logged::Unended, ..facts };
                let open = RunFacts { named: Named::OpenPull, ..facts };
                let held = RunFacts { held: Held::Process, ..facts };
                for turned in [unended, open, held] {
                    prop_assert!(matches!(judge_run(&turned), Verdict::Keep(_)));
                }
            }
        }

        #[test]
        fn what_was_just_written_stays(seconds in 0..7_200_u64) {
            let verdict = judge_half_made(Some(Duration::from_secs(seconds)));
            prop_assert_eq!(seconds < 3_600, matches!(verdict, Verdict::Keep(_)));
            prop_assert!(matches!(judge_half_made(None), Verdict::Keep(_)));
        }
    }
}
