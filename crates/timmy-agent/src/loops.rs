//! Five ways of going in circles.
//!
//! The patterns and their counts follow what public agent frameworks stop at: the same call with
//! the same result four times, the same failing call three times, three messages without a call,
//! two calls in turn for six calls, and context overflows that shortening does not cure. One step
//! before the end the model is told, which is often enough.

use std::collections::VecDeque;
use std::fmt;

use sha2::Digest;
use sha2::Sha256;

const SAME_RESULT: usize = 4;
const SAME_FAILURE: usize = 3;
const SILENT_MESSAGES: usize = 3;
const ALTERNATING_CALLS: usize = 6;
const OVERFLOWS: usize = 2;

/// A way of going in circles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// The same call with the same result, four times.
    SameResult,
    /// The same call, failing three times.
    SameFailure,
    /// Three messages without a tool call.
    NoCall,
    /// Two calls in turn, six calls long.
    Alternating,
    /// The conversation overflowed again right after it was shortened.
    Overflow,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SameResult => "the same call gave the same result four times",
            Self::SameFailure => "the same call failed three times",
            Self::NoCall => "three messages called no tool",
            Self::Alternating => "two calls took turns for six calls",
            Self::Overflow => "the conversation stayed too long for the model",
        })
    }
}

/// What the detector says after an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing repeats.
    Fine,
    /// One more of the same ends the run; the model is told.
    Warn(Pattern),
    /// The run ends.
    Stop(Pattern),
}

type Digest32 = [u8; 32];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Observed {
    call: Digest32,
    result: Digest32,
    ok: bool,
}

/// Watches the calls and messages of one run.
#[derive(Debug, Default)]
pub struct Detector {
    recent: VecDeque<Observed>,
    silent_messages: usize,
    overflows: usize,
}

impl Detector {
    /// A tool was called with these arguments and gave this result.
    pub fn called(&mut self, tool: &str, arguments: &str, result: &str, ok: bool) -> Verdict {
        self.silent_messages = 0;
        self.overflows = 0;
        let call = digest(&[tool, arguments]);
        self.recent.push_front(Observed {
            call,
            result: digest(&[result]),
            ok,
        });
        self.recent.truncate(ALTERNATING_CALLS);
        let failures = self.run_of(|this, newest| this.call == newest.call && !this.ok);
        let repeats =
            self.run_of(|this, newest| this.call == newest.call && this.result == newest.result);
        let candidates = [
            (Pattern::SameFailure, failures, SAME_FAILURE),
            (Pattern::SameResult, repeats, SAME_RESULT),
            (Pattern::Alternating, self.alternation(), ALTERNATING_CALLS),
        ];
        judge(&candidates)
    }

    /// A message came without any tool call.
    pub fn said_only(&mut self) -> Verdict {
        self.overflows = 0;
        self.silent_messages += 1;
        judge(&[(Pattern::NoCall, self.silent_messages, SILENT_MESSAGES)])
    }

    /// The conversation was too long for the model.
    pub fn overflowed(&mut self) -> Verdict {
        self.overflows += 1;
        judge(&[(Pattern::Overflow, self.overflows, OVERFLOWS)])
    }

    /// How many of the newest observations in a row are like the newest.
    fn run_of(&self, alike: impl Fn(&Observed, &Observed) -> bool) -> usize {
        let Some(newest) = self.recent.front() else {
            return 0;
        };
        self.recent
            .iter()
            .take_while(|this| alike(this, newest))
            .count()
    }

    /// How many of the newest calls are two different ones in turn.
    fn alternation(&self) -> usize {
        let mut calls = self.recent.iter().map(|observed| observed.call);
        let (Some(first), Some(second)) = (calls.next(), calls.next()) else {
            return 0;
        };
        if first == second {
            return 0;
        }
        let expected = [first, second].into_iter().cycle();
        2 + calls
            .zip(expected)
            .take_while(|(found, expected)| found == expected)
            .count()
    }
}

fn judge(candidates: &[(Pattern, usize, usize)]) -> Verdict {
    if let Some((pattern, ..)) = candidates.iter().find(|(_, count, limit)| count >= limit) {
        return Verdict::Stop(*pattern);
    }
    match candidates
        .iter()
        .find(|(_, count, limit)| count + 1 == *limit)
    {
        Some((pattern, ..)) => Verdict::Warn(*pattern),
        None => Verdict::Fine,
    }
}

fn digest(parts: &[&str]) -> Digest32 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn last(calls: &[(&str, &str, bool)]) -> Verdict {
        let mut detector = Detector::default();
        let mut verdict = Verdict::Fine;
        for (arguments, result, ok) in calls {
            verdict = detector.called("tool", arguments, result, *ok);
        }
        verdict
    }

    #[test]
    fn the_same_call_with_the_same_result_ends_at_the_fourth() {
        assert_eq!(Verdict::Fine, last(&[("a", "x", true); 2]));
        assert_eq!(
            Verdict::Warn(Pattern::SameResult),
            last(&[("a", "x", true); 3])
        );
        assert_eq!(
            Verdict::Stop(Pattern::SameResult),
            last(&[("a", "x", true); 4])
        );
        assert_eq!(
            Verdict::Fine,
            last(&[("a", "1", true), ("a", "2", true), ("a", "3", true)])
        );
    }

    #[test]
    fn the_same_failing_call_ends_at_the_third_whatever_it_says() {
        let calls = [("a", "1", false), ("a", "2", false), ("a", "3", false)];
        assert_eq!(Verdict::Warn(Pattern::SameFailure), last(&calls[..2]));
        assert_eq!(Verdict::Stop(Pattern::SameFailure), last(&calls));
        assert_eq!(Verdict::Fine, last(&[calls[0], ("b", "", true), calls[1]]));
    }

    #[test]
    fn two_calls_in_turn_end_at_the_sixth() {
        let calls: Vec<_> = ["a", "b"]
            .iter()
            .cycle()
            .take(6)
            .map(|a| (*a, "", true))
            .collect();
        assert_eq!(Verdict::Warn(Pattern::Alternating), last(&calls[..5]));
        assert_eq!(Verdict::Stop(Pattern::Alternating), last(&calls));
    }

    #[test]
    fn messages_without_a_call_end_at_the_third_and_a_call_forgives() {
        let mut detector = Detector::default();
        assert_eq!(Verdict::Fine, detector.said_only());
        assert_eq!(Verdict::Warn(Pattern::NoCall), detector.said_only());
        detector.called("tool", "a", "", true);
        assert_eq!(Verdict::Fine, detector.said_only());
        detector.said_only();
        assert_eq!(Verdict::Stop(Pattern::NoCall), detector.said_only());
    }

    #[test]
    fn a_second_overflow_in_a_row_ends_the_run() {
        let mut detector = Detector::default();
        assert_eq!(Verdict::Warn(Pattern::Overflow), detector.overflowed());
        assert_eq!(Verdict::Stop(Pattern::Overflow), detector.overflowed());
    }

    #[test]
    fn an_overflow_that_shortening_cured_is_forgiven() {
        let mut detector = Detector::default();
        detector.overflowed();
        detector.said_only();
        assert_eq!(Verdict::Warn(Pattern::Overflow), detector.overflowed());
        detector.called("tool", "a", "", true);
        assert_eq!(Verdict::Warn(Pattern::Overflow), detector.overflowed());
    }

    proptest! {
        #[test]
        fn calls_that_all_differ_are_never_stopped(count in 1_usize..60) {
            let mut detector = Detector::default();
            for number in 0..count {
                let verdict = detector.called("tool", &number.to_string(), "", number % 2 == 0);
                prop_assert_eq!(Verdict::Fine, verdict);
            }
        }

        #[test]
        fn nothing_goes_on_for_ever(choices in prop::collection::vec(0_usize..2, 40)) {
            // Only two different calls with constant results: some pattern must have stopped it
            // before forty calls, unless they keep changing turn.
            let mut detector = Detector::default();
            let mut stopped = false;
            let mut longest_run = 0;
            let mut run = 0;
            for pair in choices.windows(2) {
                run = if pair[0] == pair[1] { run + 1 } else { 0 };
                longest_run = longest_run.max(run);
            }
            for choice in &choices {
                let name = ["a", "b"][*choice];
                stopped |= matches!(detector.called("tool", name, "", true), Verdict::Stop(_));
            }
            prop_assert!(longest_run < SAME_RESULT - 1 || stopped);
        }
    }
}
