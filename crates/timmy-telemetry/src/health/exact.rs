//! Whether a success rate fell by more than chance explains: Fisher's exact test, one-sided.
//!
//! R. A. Fisher, Statistical Methods for Research Workers (5th edition, 1934), section 21.02. With both
//! margins given, the number of recent successes is hypergeometric; the value is the chance of as few
//! or fewer.

/// Tries and how many of them succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) succeeded: u32,
    pub(crate) tried: u32,
}

impl Rate {
    /// The share that succeeded; 0 of none.
    pub(crate) fn share(self) -> f64 {
        f64::from(self.succeeded) / f64::from(self.tried.max(1))
    }
}

/// The chance of `recent` or fewer successes among as many tries, were nothing different from
/// `before`.
pub(crate) fn chance_of_so_few(recent: Rate, before: Rate) -> f64 {
    let all = recent.tried + before.tried;
    let good = recent.succeeded + before.succeeded;
    let least = recent.tried.saturating_sub(all - good);
    let most = recent.succeeded.min(good);
    let factorials = logarithms_of_factorials(all);
    let choose = |of: u32, taken: u32| {
        let at = |number: u32| factorials[number as usize];
        at(of) - at(taken) - at(of - taken)
    };
    let chance = |successes: u32| {
        let ways = choose(good, successes) + choose(all - good, recent.tried - successes);
        (ways - choose(all, recent.tried)).exp()
    };
    (least..=most).map(chance).sum::<f64>().min(1.0)
}

fn logarithms_of_factorials(largest: u32) -> Vec<f64> {
    let mut sum = 0.0;
    let rest = (1..=largest).map(|number| {
        sum += f64::from(number).ln();
        sum
    });
    std::iter::once(0.0).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(succeeded: u32, tried: u32) -> Rate {
        Rate { succeeded, tried }
    }

    fn near(expected: f64, recent: Rate, before: Rate) {
        let chance = chance_of_so_few(recent, before);
        assert!(
            (chance - expected).abs() < 1e-12,
            "{chance} is not {expected}"
        );
    }

    #[test]
    fn known_values() {
        // The lady who tastes tea, 1 of 4 right where 3 of the other 4 are: 17 of 70.
        near(17.0 / 70.0, rate(1, 4), rate(3, 4));
        near(1.0 / 70.0, rate(0, 4), rate(4, 4));
        // Fisher's convicts with criminal twins: of 17 dizygotic 2, of 13 monozygotic 10 convicted.
        near(
            f64::from(38_896 + 1_326 + 13) / 86_493_225.0,
            rate(2, 17),
            rate(10, 13),
        );
        near(1.0, rate(0, 0), rate(3, 9));
        near(1.0, rate(9, 9), rate(0, 3));
    }

    /// The same by counting, in whole numbers.
    fn counted(recent: Rate, before: Rate) -> f64 {
        let choose = |of: u32, taken: u32| {
            let taken = u128::from(taken);
            (0..taken).fold(1_u128, |ways, one| {
                ways * (u128::from(of) - one) / (one + 1)
            })
        };
        let all = recent.tried + before.tried;
        let good = recent.succeeded + before.succeeded;
        let ways = (0..=recent.succeeded).filter(|few| recent.tried - few <= all - good);
        let ways: u128 = ways
            .map(|few| choose(good, few) * choose(all - good, recent.tried - few))
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "compared with a tolerance")]
        let share = ways as f64 / choose(all, recent.tried) as f64;
        share
    }

    fn rates() -> impl Strategy<Value = Rate> {
        (0..30_u32).prop_flat_map(|tried| (0..=tried).prop_map(move |good| rate(good, tried)))
    }

    proptest! {
        #[test]
        fn it_is_what_counting_gives(recent in rates(), before in rates()) {
            let chance = chance_of_so_few(recent, before);
            prop_assert!((chance - counted(recent, before)).abs() < 1e-9);
        }

        #[test]
        fn fewer_successes_are_less_likely(recent in rates(), before in rates()) {
            prop_assume!(recent.succeeded > 0);
            // The same margins: one success moves from the one to the other.
            prop_assume!(before.succeeded < before.tried);
            let fewer = rate(recent.succeeded - 1, recent.tried);
            let more = rate(before.succeeded + 1, before.tried);
            prop_assert!(chance_of_so_few(fewer, more) <= chance_of_so_few(recent, before));
        }
    }
}
