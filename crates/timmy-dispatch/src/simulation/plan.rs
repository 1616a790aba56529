//! What a night is made of: how much work, how many hosts, how rough the weather.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use timmy_core::money::MicroUsd;

use crate::night;
use crate::policy::FailedCheck;

/// One night, but for its seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Issues that are open when the night begins.
    pub issues: u64,
    /// How long hosts take up work. What runs then is finished.
    pub length: Duration,
    /// Machines that share the forge and nothing else.
    pub hosts: u32,
    /// How often things go wrong.
    pub weather: Weather,
    /// How often in an hour somebody merges, closes, edits, says or opens something.
    pub deeds_per_hour: u32,
    /// The operator's decisions. Repositories and the end of the night are filled in.
    pub settings: night::Settings,
    /// What becomes of a change whose check failed.
    pub on_failed_check: FailedCheck,
    /// Seconds without renewal after which a claim may be taken over.
    pub claim_ttl: Duration,
    /// The most that the model calls of one host may cost in the night.
    pub budget: MicroUsd,
    /// A rule that is broken on purpose.
    pub(crate) sabotage: Sabotage,
}

impl Plan {
    /// A night with these settings: 500 issues, eight hours, two hosts, rough weather.
    #[must_use]
    pub fn new(settings: night::Settings) -> Self {
        Self {
            issues: 500,
            length: Duration::from_secs(8 * 3_600),
            hosts: 2,
            weather: Weather::Rough,
            deeds_per_hour: 30,
            settings,
            on_failed_check: FailedCheck::Draft,
            claim_ttl: Duration::from_secs(600),
            budget: MicroUsd(200_000_000),
            sabotage: Sabotage::Nothing,
        }
    }
}

/// Rules that are broken on purpose, to prove that the invariants notice.
#[cfg_attr(not(test), expect(dead_code, reason = "only tests break rules"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// None.
    Nothing,
    /// Claims are pushed over whatever is there.
    ClaimWithoutLease,
    /// Branches are pushed without the claim.
    PublishWithoutClaim,
    /// A holder acts on however long its claim went unrenewed.
    NoFence,
    /// Under the claim nobody looks again whether the issue was answered meanwhile.
    NoSecondLook,
    /// Runs of a dead process are never closed.
    NoRecovery,
    /// What a dead process did not record is done again.
    CommentsWithoutMark,
    /// The end of a run is not told to the core.
    ForgottenEnd,
    /// Nothing is set aside before a model call.
    SpendingWithoutReserving,
    /// A branch is pushed over what a person put there.
    OverwritesPeople,
    /// Nobody hears that the fleet is paused.
    DeafToPauses,
    /// Whether a person stopped an issue's last run is not looked up.
    ForgetsStops,
}

/// How often things go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Never. People still work, agents still fail.
    Calm,
    /// As on a bad day: each fault some times a night.
    Rough,
    /// All the time.
    Hostile,
}

impl Weather {
    /// The names of the three.
    pub const NAMES: [&'static str; 3] = ["calm", "rough", "hostile"];

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Rough => "rough",
            Self::Hostile => "hostile",
        }
    }

    /// How much more often than on a bad day.
    pub(crate) fn factor(self) -> f64 {
        match self {
            Self::Calm => 0.0,
            Self::Rough => 1.0,
            Self::Hostile => 5.0,
        }
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Weather {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Calm, Self::Rough, Self::Hostile];
        let found = known.into_iter().find(|weather| weather.word() == text);
        found.ok_or_else(|| format!("one of {}", Self::NAMES.join(", ")))
    }
}
