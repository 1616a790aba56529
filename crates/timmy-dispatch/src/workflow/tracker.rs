//! The issues of a forge as a tracker: two reads, and what every scheduler may rely on.
//!
//! The adapter profile for `gitea`, `forgejo` and `embedded` is in `docs/symphony.md`. Writes are
//! none of a tracker's business here: timmy's own rules of publication make them.

use std::collections::BTreeSet;
use std::fmt;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::IssueNumber;
use timmy_core::Problem;
use timmy_core::RepoName;
use timmy_forge::Forge;
use timmy_forge::ForgeError;
use timmy_forge::Issue;
use timmy_forge::IssueFilter;
use timmy_forge::IssueState;
use timmy_forge::StateFilter;

use super::issue::TrackedIssue;
use super::issue::identifier;
use super::issue::state;
use super::settings::normalised;
use crate::selection;
use crate::selection::SelectionSettings;

/// The rules whose answers make an issue dispatchable; the others are the scheduler's.
const FORGE_RULES: [&str; 3] = ["kind", "assignee", "blockers"];

/// The kinds of trackers that timmy reads.
pub const KINDS: [&str; 3] = super::error::KINDS;

/// Repositories of a forge, read as a tracker.
pub struct Tracker<'a> {
    /// The forge.
    pub forge: &'a dyn Forge,
    /// The repositories whose issues are seen.
    pub repositories: &'a [RepoName],
    /// Which issues timmy works on at all.
    pub selection: &'a SelectionSettings,
    /// The login the forge knows timmy by.
    pub login: &'a str,
}

/// What kind of error a tracker met: the categories of the specification's section 11.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// The configuration, or what it names, is wrong.
    InvalidTrackerConfig,
    /// The credential is missing or not accepted.
    MissingTrackerSecret,
    /// There was no usable answer.
    TrackerRequest,
    /// The tracker refused.
    TrackerStatus,
    /// The answer is not what a tracker would say.
    TrackerResponse,
    /// Pages do not fit together.
    TrackerPagination,
    /// The tracker asks to slow down.
    TrackerRateLimited,
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidTrackerConfig => "invalid_tracker_config",
            Self::MissingTrackerSecret => "missing_tracker_secret",
            Self::TrackerRequest => "tracker_request",
            Self::TrackerStatus => "tracker_status",
            Self::TrackerResponse => "tracker_response",
            Self::TrackerPagination => "tracker_pagination",
            Self::TrackerRateLimited => "tracker_rate_limited",
        })
    }
}

/// A read that failed. Nothing of it is used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrackerError {
    /// The forge failed. The scheduler tries again at its next tick.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// An issue that was asked for by its id has no number or title. Its run goes on as it was.
    #[error("issue {id} cannot be read: it has no {lacks}")]
    Malformed {
        /// The issue.
        id: String,
        /// What is missing.
        lacks: &'static str,
    },
}

impl TrackerError {
    /// The category of the error.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Forge(error) => category(error),
            Self::Malformed { .. } => Category::TrackerResponse,
        }
    }
}

impl Coded for TrackerError {
    fn problem(&self) -> Problem {
        match self {
            Self::Forge(error) => error.problem(),
            Self::Malformed { id, .. } => {
                Problem::new(Code::new(815), ExitStatus::Data, self.to_string())
                    .at(id.clone())
                    .fix("look at the issue on the forge; give it a title")
            }
        }
    }
}

/// What kind of error a forge met.
#[must_use]
pub fn category(error: &ForgeError) -> Category {
    match error {
        ForgeError::Address { .. } | ForgeError::Redirected { .. } => {
            Category::InvalidTrackerConfig
        }
        ForgeError::Unauthorized(_) => Category::MissingTrackerSecret,
        ForgeError::Unavailable { .. } | ForgeError::UnknownOutcome { .. } => {
            Category::TrackerRequest
        }
        ForgeError::Malformed { .. } | ForgeError::Page { .. } => Category::TrackerResponse,
        ForgeError::TooLarge { .. } => Category::TrackerPagination,
        ForgeError::RateLimited { .. } => Category::TrackerRateLimited,
        ForgeError::NotFound(_)
        | ForgeError::Forbidden { .. }
        | ForgeError::Archived(_)
        | ForgeError::EmptyRepository(_)
        | ForgeError::Conflict(_)
        | ForgeError::Validation(_)
        | ForgeError::Blocked(_)
        | ForgeError::NotMergeable(_)
        | ForgeError::MissingLabels { .. } => Category::TrackerStatus,
    }
}

impl Tracker<'_> {
    /// The issues in these states, of every repository. States are compared without case; one that
    /// forges do not have matches nothing. An issue without a title is left out and logged.
    ///
    /// # Errors
    /// When the forge fails. No states, no call.
    pub async fn fetch_issues_by_states(
        &self,
        states: &[String],
    ) -> Result<Vec<TrackedIssue>, TrackerError> {
        let wanted: BTreeSet<String> = states.iter().map(|state| normalised(state)).collect();
        let wants = |issue_state| wanted.contains(state(issue_state));
        let filter = match (wants(IssueState::Open), wants(IssueState::Closed)) {
            (true, true) => StateFilter::All,
            (true, false) => StateFilter::Open,
            (false, true) => StateFilter::Closed,
            (false, false) => return Ok(Vec::new()),
        };
        let filter = IssueFilter {
            state: filter,
            labels: Vec::new(),
        };
        let mut tracked = Vec::new();
        for repo in self.repositories {
            for issue in self.forge.issues(repo, &filter).await? {
                match self.tracked(repo, &issue).await {
                    Ok(issue) => tracked.push(issue),
                    Err(TrackerError::Malformed { id, lacks }) => {
                        tracing::warn!(id, lacks, "an issue is left out");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(tracked)
    }

    /// What these issues are now, each once. Those that are gone, and those of other repositories,
    /// are not in it.
    ///
    /// # Errors
    /// When the forge fails, or an issue that is there cannot be read: leaving it out would say
    /// that it is gone. No ids, no call.
    pub async fn fetch_issues_by_ids(
        &self,
        ids: &[String],
    ) -> Result<Vec<TrackedIssue>, TrackerError> {
        let wanted: BTreeSet<&String> = ids.iter().collect();
        let mut tracked = Vec::new();
        for id in wanted {
            let Some((repo, number)) = self.issue_of(id) else {
                continue;
            };
            match self.forge.issue(repo, number).await {
                Ok(issue) => tracked.push(self.tracked(repo, &issue).await?),
                Err(ForgeError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(tracked)
    }

    /// The repository and number behind an id that is one of ours.
    fn issue_of(&self, id: &str) -> Option<(&RepoName, IssueNumber)> {
        let (_, number) = id.rsplit_once('#')?;
        let number = number.parse().ok()?;
        let repo = self
            .repositories
            .iter()
            .find(|repo| identifier(repo, number) == id)?;
        Some((repo, number))
    }

    /// Normalises an issue. Its blockers are looked up while it is open and nothing else forbids
    /// it, one call an issue.
    async fn tracked(&self, repo: &RepoName, issue: &Issue) -> Result<TrackedIssue, TrackerError> {
        let malformed = |malformed: super::issue::Malformed| TrackerError::Malformed {
            id: identifier(repo, malformed.number),
            lacks: malformed.lacks,
        };
        let allowed = self.allows(issue, &[]);
        let mut blockers = Vec::new();
        if allowed && issue.state == IssueState::Open {
            blockers = self.forge.blockers(repo, issue.number).await?;
        }
        let dispatchable = self.allows(issue, &blockers);
        TrackedIssue::normalise(repo, issue, &blockers, dispatchable, self.selection)
            .map_err(malformed)
    }

    /// Whether the forge's own rules let an issue be worked on: it is no epic or study, nobody else
    /// is assigned, and nothing that blocks it is open.
    fn allows(&self, issue: &Issue, blockers: &[Issue]) -> bool {
        let blocker = |issue: &Issue| selection::Blocker {
            number: issue.number,
            open: issue.state == IssueState::Open,
        };
        let candidate = selection::Candidate {
            issue: issue.clone(),
            blockers: Some(blockers.iter().map(blocker).collect()),
            claim: None,
            past: selection::Past::default(),
        };
        let answers = selection::judge(&candidate, self.selection, self.login);
        let mut of_the_forge = answers.iter().filter(|a| FORGE_RULES.contains(&a.rule));
        of_the_forge.all(|answer| answer.passed == Some(true))
    }
}
