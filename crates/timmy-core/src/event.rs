//! Everything that can happen, as one typed enum.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::ids::IssueNumber;
use crate::ids::ObjectName;
use crate::ids::RepoName;
use crate::ids::RunId;
use crate::money::Usage;
use crate::problem::Code;
use crate::problem::Problem;
use crate::receipt::Provenance;
use crate::receipt::Receipt;
use crate::receipt::SandboxLevel;

/// The version written with every event. Raised when the meaning of a field changes; readers keep
/// every older version readable.
pub const SCHEMA_VERSION: u16 = 1;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the log, from 1, without gaps that mean anything.
    pub seq: i64,
    /// The [`SCHEMA_VERSION`] it was written with.
    pub schema: u16,
    /// When it was appended.
    pub at: Timestamp,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Where events are sent: the log, or a test's list.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Appends an event. When this returns, the event is durable to the degree the sink promises.
    ///
    /// # Errors
    /// When the event could not be kept. Callers stop: work that cannot be recorded is not done.
    async fn append(&self, run: Option<&RunId>, kind: EventKind) -> Result<Event, Problem>;
}

/// What happened. The `type` of the JSON form is the variant in snake case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// A process of timmy began to work.
    ProcessStarted {
        /// The version of the program.
        version: String,
        /// The subcommand, without its arguments.
        command: String,
    },
    /// The open issues of a repository were judged.
    IssuesConsidered {
        /// The repository.
        repo: RepoName,
        /// The chosen issue, if one was workable.
        selected: Option<IssueNumber>,
        /// The others, each with the first rule that failed.
        passed_over: Vec<PassedOver>,
    },
    /// A run began: one attempt at one issue.
    RunStarted {
        /// The repository.
        repo: RepoName,
        /// The issue.
        issue: IssueNumber,
        /// Its title, cleaned and bounded.
        title: String,
        /// The name of the model provider.
        provider: String,
        /// Whether a model answers or a recording is played back.
        provenance: Provenance,
        /// The isolation that the canary proved.
        sandbox: SandboxLevel,
    },
    /// The issue's claim ref was won.
    ClaimAcquired {
        /// The claim ref on the forge.
        reference: String,
        /// Counts up with every takeover.
        epoch: u64,
        /// Seconds without renewal after which another host may take over.
        ttl_s: u64,
    },
    /// The claim was renewed.
    ClaimRenewed {
        /// Counts up with every takeover.
        epoch: u64,
    },
    /// The claim belongs to somebody else now; the run stopped.
    ClaimLost {
        /// What the forge answered.
        reason: String,
    },
    /// The claim was given back.
    ClaimReleased {
        /// Counts up with every takeover.
        epoch: u64,
    },
    /// The private workspace holds a clone of the base branch.
    WorkspaceReady {
        /// The branch it starts from.
        base_branch: String,
        /// The commit it starts from.
        base: ObjectName,
    },
    /// The prompt was built.
    PromptBuilt {
        /// SHA-256 of the whole prompt, in hexadecimal.
        sha256: String,
        /// Its length in bytes.
        bytes: u64,
    },
    /// Tokens and cost were set aside before a model call.
    ModelCallReserved {
        /// The call's number in its run, from 1.
        call: u32,
        /// The provider that will be asked.
        provider: String,
        /// The most it can use.
        reserved: Usage,
    },
    /// A model answered, and what was not used went back.
    ModelCallSettled {
        /// The call's number in its run, from 1.
        call: u32,
        /// The provider that answered.
        provider: String,
        /// The model's name, as the provider gave it.
        model: String,
        /// What it used.
        usage: Usage,
        /// False when the provider reported no usage and the figures are an estimate.
        measured: bool,
        /// Wall time in milliseconds.
        duration_ms: u64,
    },
    /// A model call failed.
    ModelCallFailed {
        /// The call's number in its run, from 1.
        call: u32,
        /// The provider that was asked.
        provider: String,
        /// The error's code.
        code: Code,
        /// What happened.
        what: String,
        /// What comes next: a retry, another provider, a wait, the end of the run.
        answer: String,
    },
    /// The model asked for a tool.
    ToolCalled {
        /// The step of the loop, from 1.
        step: u32,
        /// The tool.
        tool: String,
        /// Its arguments as JSON text, cleaned, redacted and bounded.
        arguments: String,
    },
    /// The tool answered.
    ToolFinished {
        /// The step of the loop, from 1.
        step: u32,
        /// The tool.
        tool: String,
        /// Whether it did what was asked.
        ok: bool,
        /// Wall time in milliseconds.
        duration_ms: u64,
        /// Its result, cleaned, redacted and bounded.
        result: String,
    },
    /// The model said something beside its tool calls.
    ModelSpoke {
        /// The step of the loop, from 1.
        step: u32,
        /// The text, cleaned, redacted and bounded.
        text: String,
    },
    /// The loop detector stopped the agent.
    LoopDetected {
        /// Which of the five patterns.
        pattern: String,
    },
    /// The agent's part of a run is over.
    AgentFinished {
        /// Why it stopped, in a word: finished, limit, loop, failed.
        reason: String,
        /// The agent's own account. Not evidence.
        summary: String,
        /// Steps taken.
        steps: u32,
        /// Everything its model calls used.
        usage: Usage,
    },
    /// The project's check command ended.
    CheckFinished {
        /// The evidence.
        receipt: Receipt,
    },
    /// Publication was refused.
    PublicationBlocked {
        /// Every reason, each naming the path it is about.
        reasons: Vec<String>,
    },
    /// The branch was pushed together with a renewal of the claim.
    BranchPushed {
        /// The branch.
        branch: String,
        /// Its commit.
        commit: ObjectName,
    },
    /// A pull request carries the result.
    PullRequestOpened {
        /// Its number.
        number: IssueNumber,
        /// Where a person reads it.
        url: String,
        /// Whether it is marked as a draft.
        draft: bool,
        /// True when it existed already and was updated.
        adopted: bool,
    },
    /// The issue was told.
    IssueCommented {
        /// The issue.
        issue: IssueNumber,
    },
    /// Something went wrong that the run survived.
    Warned {
        /// What it was.
        problem: Problem,
    },
    /// The run is over.
    RunEnded {
        /// How.
        outcome: Outcome,
        /// Wall time in milliseconds.
        duration_ms: u64,
    },
}

/// An issue that was not chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// The issue.
    pub issue: IssueNumber,
    /// The first selection rule that failed, as a sentence.
    pub reason: String,
}

/// How a run ended. Only the first two are results, and both carry a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The check passed and a pull request is open.
    PullRequest {
        /// Its number.
        number: IssueNumber,
    },
    /// The check failed and policy asked for a draft.
    Draft {
        /// Its number.
        number: IssueNumber,
    },
    /// The agent changed nothing.
    NoChange,
    /// The check failed and policy asked for nothing to be published.
    CheckFailed,
    /// Publication was refused.
    Blocked,
    /// The claim was lost to another host.
    ClaimLost,
    /// A limit on steps, time, tokens or cost ended it, or the loop detector did.
    Stopped {
        /// The code of the limit or pattern.
        code: Code,
    },
    /// An error ended it.
    Failed {
        /// What happened.
        problem: Problem,
    },
    /// A later process found the run without an end and closed it.
    Abandoned,
}

impl Outcome {
    /// The outcome in one or two words, for tables and results.csv.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::PullRequest { .. } => "pull_request",
            Self::Draft { .. } => "draft",
            Self::NoChange => "no_change",
            Self::CheckFailed => "check_failed",
            Self::Blocked => "blocked",
            Self::ClaimLost => "claim_lost",
            Self::Stopped { .. } => "stopped",
            Self::Failed { .. } => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_back_as_it_was_written() {
        let event = Event {
            seq: 7,
            schema: SCHEMA_VERSION,
            at: Timestamp::UNIX_EPOCH,
            run: None,
            kind: EventKind::RunEnded {
                outcome: Outcome::Stopped {
                    code: Code::new(701),
                },
                duration_ms: 12,
            },
        };
        let text = serde_json::to_string(&event).unwrap();
        insta::assert_snapshot!(text, @r#"{"seq":7,"schema":1,"at":"1970-01-01T00:00:00Z","type":"run_ended","outcome":{"outcome":"stopped","code":"TIMMY-0701"},"duration_ms":12}"#);
        assert_eq!(event, serde_json::from_str(&text).unwrap());
    }
}
