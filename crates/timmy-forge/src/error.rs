//! What can go wrong between timmy and a forge.

use std::fmt;
use std::time::Duration;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::RepoName;

/// A refusal: the request and what the forge said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Method and URL.
    pub call: String,
    /// The forge's own message: cleaned, redacted, bounded, often empty.
    pub said: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.said.is_empty() {
            return Ok(());
        }
        write!(f, " (it said: {})", self.said)
    }
}

/// An error of a forge. `call` is always method and URL; no variant holds a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
    /// 404. The caller decides whether absence is an answer; the operator checks name and access.
    #[error("the forge has nothing there, or hides it from this token{0}")]
    NotFound(Refusal),
    /// 401. The operator sets a valid token; nothing is tried again.
    #[error("the forge does not accept the token{0}")]
    Unauthorized(Refusal),
    /// 403. The operator gives the token the scope or its user the right; nothing is tried again.
    #[error("the token or its user may not do that{refusal}")]
    Forbidden {
        /// What was refused.
        refusal: Refusal,
        /// The scope that the token lacks, when that is the reason.
        scope: Option<String>,
    },
    /// 423. The repository is passed over until a person brings it back.
    #[error("the repository is archived and takes no writes{0}")]
    Archived(Refusal),
    /// The repository has no commit. It is passed over until a person pushes one.
    #[error("the repository is empty{0}")]
    EmptyRepository(Refusal),
    /// 409. The caller looks at what is there and adopts it or gives up.
    #[error("it collides with what is there already{0}")]
    Conflict(Refusal),
    /// 400 or 422. A defect of the request: the caller stops and reports.
    #[error("the forge refused the values it was sent{0}")]
    Validation(Refusal),
    /// 412. The caller waits for the issues it depends on.
    #[error("the issue depends on others that are open{0}")]
    Blocked(Refusal),
    /// A body over a limit, the forge's (413) or ours. The caller passes the thing over.
    #[error("{what}")]
    TooLarge {
        /// Method and URL.
        call: String,
        /// What was too large for whom.
        what: String,
    },
    /// 429. The caller comes back after the time given.
    #[error("the forge asks to slow down{}", wait(retry_after))]
    RateLimited {
        /// Method and URL.
        call: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// No usable answer to a read, or a write that was certainly not sent. The caller tries later.
    #[error("the forge gives no usable answer: {why}")]
    Unavailable {
        /// Method and URL.
        call: String,
        /// The fault.
        why: String,
    },
    /// The reply to a write was lost and a look at the forge could not tell whether it happened.
    /// The caller must not repeat it before it knows.
    #[error("it is unknown whether the forge did it: {why}")]
    UnknownOutcome {
        /// Method and URL.
        call: String,
        /// The fault that hid the outcome.
        why: String,
    },
    /// An answer that is no forge's. The operator checks the address and what stands before it.
    #[error("the answer is not what a forge would say: {what}")]
    Malformed {
        /// Method and URL.
        call: String,
        /// What was wrong with it.
        what: String,
    },
    /// A page for people where an answer of the forge should be: something before it asks for a login
    /// or is being maintained. The caller tries later.
    #[error("a page came instead of an answer of the forge: {what}")]
    Page {
        /// Method and URL.
        call: String,
        /// What came: a size, or where it points.
        what: String,
    },
    /// 3xx. Never followed, so that a token goes to nobody else. The operator corrects the address
    /// or the repository's name.
    #[error("the forge points to another place: {to}")]
    Redirected {
        /// Method and URL.
        call: String,
        /// Where it points.
        to: String,
    },
    /// The pull request cannot be merged now. The caller leaves it open and says why.
    #[error("the pull request cannot be merged{0}")]
    NotMergeable(Refusal),
    /// Labels that neither the repository nor its organisation has. The operator creates them.
    #[error("{repo} has no label {}", labels.join(", "))]
    MissingLabels {
        /// The repository.
        repo: RepoName,
        /// The names that were looked for.
        labels: Vec<String>,
    },
    /// The configured address cannot be used. The operator corrects it.
    #[error("{value:?} cannot be used as the address of a forge: {why}")]
    Address {
        /// What was configured.
        value: String,
        /// What is wrong with it.
        why: String,
    },
}

fn wait(retry_after: &Option<Duration>) -> String {
    retry_after
        .map(|time| format!(" for {} s", time.as_secs()))
        .unwrap_or_default()
}

impl ForgeError {
    /// Method and URL, or the name of the repository or the setting it is about.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::NotFound(refusal)
            | Self::Unauthorized(refusal)
            | Self::Forbidden { refusal, .. }
            | Self::Archived(refusal)
            | Self::EmptyRepository(refusal)
            | Self::Conflict(refusal)
            | Self::Validation(refusal)
            | Self::Blocked(refusal)
            | Self::NotMergeable(refusal) => refusal.call.clone(),
            Self::TooLarge { call, .. }
            | Self::RateLimited { call, .. }
            | Self::Unavailable { call, .. }
            | Self::UnknownOutcome { call, .. }
            | Self::Malformed { call, .. }
            | Self::Page { call, .. }
            | Self::Redirected { call, .. } => call.clone(),
            Self::MissingLabels { repo, .. } => repo.to_string(),
            Self::Address { .. } => "forge.url".to_owned(),
        }
    }

    /// Whether the same call may well succeed later without anybody changing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::Unavailable { .. }
                | Self::Page { .. }
                | Self::UnknownOutcome { .. }
        )
    }

    fn code(&self) -> (u16, ExitStatus) {
        match self {
            Self::NotFound(_) => (501, ExitStatus::NotFound),
            Self::Unauthorized(_) => (502, ExitStatus::Permission),
            Self::Forbidden { .. } => (503, ExitStatus::Permission),
            Self::Archived(_) => (504, ExitStatus::Data),
            Self::EmptyRepository(_) => (505, ExitStatus::Data),
            Self::Conflict(_) => (506, ExitStatus::Later),
            Self::Validation(_) => (507, ExitStatus::Data),
            Self::Blocked(_) => (508, ExitStatus::Later),
            Self::TooLarge { .. } => (509, ExitStatus::Data),
            Self::RateLimited { .. } => (510, ExitStatus::Later),
            Self::Unavailable { .. } => (511, ExitStatus::Unavailable),
            Self::UnknownOutcome { .. } => (512, ExitStatus::Unavailable),
            Self::Malformed { .. } => (513, ExitStatus::Data),
            Self::Redirected { .. } => (514, ExitStatus::Refused),
            Self::NotMergeable(_) => (515, ExitStatus::Failure),
            Self::MissingLabels { .. } => (517, ExitStatus::Refused),
            Self::Address { .. } => (518, ExitStatus::Refused),
            Self::Page { .. } => (521, ExitStatus::Unavailable),
        }
    }

    fn fix(&self) -> String {
        let fix = match self {
            Self::NotFound(_) => {
                "check the name; if it exists, give the token's user access to the repository"
            }
            Self::Unauthorized(_) => {
                "make a new token on the forge and set it with `timmy init`, or check forge.token"
            }
            Self::Forbidden {
                scope: Some(scope), ..
            } => {
                return format!(
                    "make a token that has the scope {scope} and set forge.token to it"
                );
            }
            Self::Forbidden { scope: None, .. } => {
                "give the token's user write access to the repository; a bot needs the scopes \
                 write:issue and write:repository"
            }
            Self::Archived(_) => "unarchive the repository, or take it out of forge.repositories",
            Self::EmptyRepository(_) => "push a first commit to its default branch",
            Self::Conflict(_) => "look at what is there; run the command again when it is settled",
            Self::Validation(_) => "correct the value that the forge names",
            Self::Blocked(_) => "close the issues it depends on first",
            Self::TooLarge { .. } => "make it smaller, or close the issue that holds it",
            Self::RateLimited { .. } => "wait, or look at fewer repositories in a night",
            Self::Unavailable { .. } => {
                "check that the forge runs and that forge.url is its address, then run this again"
            }
            Self::UnknownOutcome { .. } => {
                "look at the forge: if it is not there, run this again when the forge answers"
            }
            Self::Malformed { .. } => {
                "check that forge.url is the address of a Gitea or Forgejo, not of a page or proxy \
                 before it"
            }
            Self::Page { .. } => {
                "open forge.url in a browser: it must lead to the forge itself, without a login page \
                 or proxy before /api/v1"
            }
            Self::Redirected { .. } => {
                "set forge.url, or the repository's name, to where it is now"
            }
            Self::NotMergeable(_) => "look at the pull request; resolve conflicts, then try again",
            Self::MissingLabels { .. } => {
                "create them on the forge, or correct the labels in timmy.toml"
            }
            Self::Address { .. } => "set forge.url to something like https://forge.example.org",
        };
        fix.to_owned()
    }
}

impl Coded for ForgeError {
    fn problem(&self) -> Problem {
        let (code, exit) = self.code();
        Problem::new(Code::new(code), exit, self.to_string())
            .at(self.place())
            .fix(self.fix())
    }
}
