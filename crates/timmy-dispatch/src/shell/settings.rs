//! `[night]`: what an operator decides about the loop.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use timmy_core::RepoName;

use crate::night;
use crate::night::Until;
use crate::selection::SelectionSettings;

/// `[night]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NightSettings {
    /// Attempts at once, at most.
    pub slots: u32,
    /// Attempts at once in one repository, at most.
    pub per_repository: u32,
    /// Seconds between two looks at a repository.
    pub poll_s: u64,
    /// Seconds between two lists of everything in a repository.
    pub full_s: u64,
    /// Seconds between two looks at own pull requests of which nothing was heard.
    pub attend_s: u64,
    /// Seconds before the second attempt at an issue; doubled with every further one.
    pub first_backoff_s: u64,
    /// The longest wait between two attempts, in seconds.
    pub longest_backoff_s: u64,
    /// Seconds of silence after which an attempt counts as stalled, where its present step has no
    /// limit of its own; 0 switches that off.
    pub stall_s: u64,
    /// Whether issues that name the same files are kept apart.
    pub keep_apart: bool,
}

impl Default for NightSettings {
    fn default() -> Self {
        let core = night::Settings::default();
        Self {
            slots: core.slots,
            per_repository: core.per_repository,
            poll_s: core.poll.as_secs(),
            full_s: core.full.as_secs(),
            attend_s: core.attend.as_secs(),
            first_backoff_s: core.first_backoff.as_secs(),
            longest_backoff_s: core.longest_backoff.as_secs(),
            // A local model may think for minutes before its first word.
            stall_s: 900,
            keep_apart: core.keep_apart,
        }
    }
}

impl NightSettings {
    /// What the core is told.
    #[must_use]
    pub fn core(
        &self,
        selection: SelectionSettings,
        login: String,
        repositories: Vec<RepoName>,
        until: Until,
    ) -> night::Settings {
        let seconds = Duration::from_secs;
        night::Settings {
            selection,
            login,
            repositories,
            slots: self.slots,
            per_repository: self.per_repository,
            per_provider: u32::MAX,
            per_state: BTreeMap::new(),
            poll: seconds(self.poll_s.max(1)),
            full: seconds(self.full_s.max(self.poll_s)),
            attend: seconds(self.attend_s.max(1)),
            first_backoff: seconds(self.first_backoff_s),
            longest_backoff: seconds(self.longest_backoff_s),
            stall: seconds(self.stall_s),
            keep_apart: self.keep_apart,
            until,
        }
    }
}
