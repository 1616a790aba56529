//! What the core is told about the operator's wishes.

use std::collections::BTreeMap;
use std::time::Duration;

use timmy_core::RepoName;

use crate::selection::SelectionSettings;

/// Decisions that the core follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which issues, and in which order.
    pub selection: SelectionSettings,
    /// The login the forge knows timmy by.
    pub login: String,
    /// The repositories.
    pub repositories: Vec<RepoName>,
    /// Attempts at once, at most.
    pub slots: u32,
    /// Attempts at once in one repository, at most.
    pub per_repository: u32,
    /// Attempts at once with the first model provider, at most.
    pub per_provider: u32,
    /// Attempts at once on issues in a state (lower case), at most; section 8.3 of the Symphony
    /// specification.
    pub per_state: BTreeMap<String, u32>,
    /// Between two lists of a repository.
    pub poll: Duration,
    /// Between two lists of everything in a repository.
    pub full: Duration,
    /// Between two looks at own pull requests of which nothing was heard. Commit statuses change
    /// without a sign in any list.
    pub attend: Duration,
    /// Before the second attempt at an issue; doubled with every further one. Section 8.4 of the
    /// Symphony specification has ten seconds.
    pub first_backoff: Duration,
    /// The longest wait between two attempts.
    pub longest_backoff: Duration,
    /// Nothing may be heard of an attempt for so long before it counts as stalled, unless it said
    /// that its present step may take longer. Zero switches that off.
    pub stall: Duration,
    /// Keeps issues apart that name the same files.
    pub keep_apart: bool,
    /// When the loop ends by itself.
    pub until: Until,
}

/// When a loop ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When it is told to.
    Forever,
    /// When nothing is left that could start.
    Idle,
    /// At this time of the clock that inputs carry; what runs then is finished.
    Time(Duration),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            selection: SelectionSettings::default(),
            login: "timmy".to_owned(),
            repositories: Vec::new(),
            slots: 2,
            per_repository: 2,
            per_provider: u32::MAX,
            per_state: BTreeMap::new(),
            poll: Duration::from_secs(30),
            full: Duration::from_secs(1_200),
            attend: Duration::from_secs(300),
            first_backoff: Duration::from_secs(10),
            longest_backoff: Duration::from_secs(300),
            stall: Duration::from_secs(300),
            keep_apart: true,
            until: Until::Forever,
        }
    }
}
