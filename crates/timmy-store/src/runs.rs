//! What the log says about a run.

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::IssueNumber;
use timmy_core::Receipt;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::event::Fingerprint;
use timmy_core::event::Outcome;
use timmy_core::money::Usage;
use timmy_core::receipt::Provenance;
use timmy_core::receipt::SandboxLevel;

/// A run, folded from its events.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// When it began.
    pub started: Timestamp,
    /// When its newest event was appended.
    pub last_event: Timestamp,
    /// The repository.
    pub repo: RepoName,
    /// The issue.
    pub issue: IssueNumber,
    /// The issue's title.
    pub title: String,
    /// The model provider it began with.
    pub provider: String,
    /// Whether a model answered or a recording was played back.
    pub provenance: Provenance,
    /// The isolation of its commands.
    pub sandbox: SandboxLevel,
    /// What the attempt began from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// The own pull request whose feedback it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<IssueNumber>,
    /// Steps the agent took.
    pub steps: u32,
    /// Model calls that were settled.
    pub model_calls: u32,
    /// What they used.
    pub usage: Usage,
    /// The evidence, if the check ran.
    pub receipt: Option<Receipt>,
    /// The branch, if one was pushed.
    pub branch: Option<String>,
    /// The pull request, if one is open.
    pub pull_request: Option<PullRequestLink>,
    /// How it ended; absent while it runs, or when its process was killed.
    pub outcome: Option<Outcome>,
    /// Wall time in milliseconds, from the end event or from the newest one.
    pub duration_ms: u64,
}

/// A pull request as the log knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PullRequestLink {
    /// Its number.
    pub number: IssueNumber,
    /// Where a person reads it.
    pub url: String,
    /// Whether it is a draft.
    pub draft: bool,
}

impl RunSummary {
    /// Folds the events of one run. `None` when its start is not among them.
    #[must_use]
    pub fn fold(events: &[Event]) -> Option<Self> {
        let mut events = events.iter();
        let mut summary = events.find_map(Self::begin)?;
        for event in events {
            summary.add(event);
        }
        Some(summary)
    }

    /// Notes when something was last heard of the run.
    pub(crate) fn heard_of(&mut self, at: Timestamp) {
        self.last_event = at;
        if self.outcome.is_none() {
            let elapsed = at.duration_since(self.started).as_millis();
            self.duration_ms = u64::try_from(elapsed).unwrap_or(0);
        }
    }

    fn begin(event: &Event) -> Option<Self> {
        let EventKind::RunStarted {
            repo,
            issue,
            title,
            provider,
            provenance,
            sandbox,
            fingerprint,
            answers,
        } = &event.kind
        else {
            return None;
        };
        Some(Self {
            run: event.run.clone()?,
            started: event.at,
            last_event: event.at,
            repo: repo.clone(),
            issue: *issue,
            title: title.clone(),
            provider: provider.clone(),
            provenance: *provenance,
            sandbox: *sandbox,
            fingerprint: fingerprint.clone(),
            answers: *answers,
            steps: 0,
            model_calls: 0,
            usage: Usage::default(),
            receipt: None,
            branch: None,
            pull_request: None,
            outcome: None,
            duration_ms: 0,
        })
    }

    /// Goes on with the next event of the run.
    pub(crate) fn add(&mut self, event: &Event) {
        self.heard_of(event.at);
        match &event.kind {
            EventKind::ToolCalled { step, .. } => self.steps = self.steps.max(*step),
            EventKind::ModelCallSettled { usage, .. } => {
                self.model_calls += 1;
                self.usage = self.usage + *usage;
            }
            EventKind::AgentFinished { steps, usage, .. } => {
                (self.steps, self.usage) = (*steps, *usage);
            }
            EventKind::CheckFinished { receipt } => self.receipt = Some(receipt.clone()),
            EventKind::BranchPushed { branch, .. } => self.branch = Some(branch.clone()),
            EventKind::PullRequestOpened {
                number, url, draft, ..
            } => {
                let (url, draft) = (url.clone(), *draft);
                self.pull_request = Some(PullRequestLink {
                    number: *number,
                    url,
                    draft,
                });
            }
            EventKind::RunEnded {
                outcome,
                duration_ms,
            } => {
                self.outcome = Some(outcome.clone());
                self.duration_ms = *duration_ms;
            }
            _ => {}
        }
    }
}
