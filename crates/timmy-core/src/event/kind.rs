//! Everything that can happen.

use serde::Deserialize;
use serde::Serialize;

use super::AlertKey;
use super::EnergySource;
use super::Feedback;
use super::Fingerprint;
use super::Outcome;
use super::Severity;
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
        /// What the attempt begins from: one that failed is not repeated before this changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<Fingerprint>,
        /// The own pull request whose feedback the run answers, on the same branch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answers: Option<IssueNumber>,
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
        /// The branch that will be pushed. Events of older versions do not say it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        work_branch: Option<String>,
    },
    /// A script of the project around an attempt began to run in the sandbox. Its failure is the
    /// end of the run, or a warning.
    HookStarted {
        /// `after_create`, `before_run`, `after_run` or `before_remove`.
        hook: String,
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
    /// The host took over what the agent left in its work tree.
    WorkCollected {
        /// The commit it made of it; none when nothing changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<ObjectName>,
        /// The title the agent proposed, cleaned, redacted and bounded, as the next two.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// The description the agent proposed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// The comment for the issue that the agent proposed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
    },
    /// What people and checks said about an own pull request, as the run was given it.
    FeedbackTaken {
        /// The pull request.
        number: IssueNumber,
        /// Each is taken once.
        items: Vec<Feedback>,
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
    /// The night began: a loop took up work.
    LoopStarted {
        /// The repositories.
        repositories: Vec<RepoName>,
        /// Attempts it runs at once, at most.
        slots: u32,
    },
    /// The loop ended.
    LoopEnded {
        /// Why, as a sentence.
        reason: String,
    },
    /// An issue is tried again later.
    RetryScheduled {
        /// The repository.
        repo: RepoName,
        /// The issue.
        issue: IssueNumber,
        /// The number of the attempt that will be made, from 2.
        attempt: u32,
        /// From now, in milliseconds.
        delay_ms: u64,
        /// Why the last attempt does not count as an answer, as a sentence.
        reason: String,
    },
    /// An issue failed too often from the same beginnings. It waits until one of them changes.
    IssueQuarantined {
        /// The repository.
        repo: RepoName,
        /// The issue.
        issue: IssueNumber,
        /// Failed attempts with this fingerprint.
        attempts: u32,
        /// What they all began from.
        fingerprint: Fingerprint,
    },
    /// An issue left its quarantine.
    QuarantineLifted {
        /// The repository.
        repo: RepoName,
        /// The issue.
        issue: IssueNumber,
        /// What changed: text, base, model, prompt.
        changed: Vec<String>,
    },
    /// Something keeps new attempts from starting. Said once, however long it lasts.
    DispatchPaused {
        /// What is held back: `all`, a repository, or a provider.
        scope: String,
        /// Why.
        problem: Problem,
    },
    /// What kept attempts from starting is over.
    DispatchResumed {
        /// What was held back.
        scope: String,
    },
    /// A pull request of timmy's was merged.
    PullRequestMerged {
        /// The repository.
        repo: RepoName,
        /// The issue it answers.
        issue: IssueNumber,
        /// Its number.
        number: IssueNumber,
    },
    /// A pull request of timmy's was closed without merging, which is an answer.
    PullRequestRefused {
        /// The repository.
        repo: RepoName,
        /// The issue it was for.
        issue: IssueNumber,
        /// Its number.
        number: IssueNumber,
    },
    /// A branch of timmy's holds commits of a person. It is not touched any more.
    BranchEdited {
        /// The repository.
        repo: RepoName,
        /// The pull request.
        number: IssueNumber,
        /// The commit at its end.
        head: ObjectName,
    },
    /// An issue was closed, because its work is merged.
    IssueClosed {
        /// The repository.
        repo: RepoName,
        /// The issue.
        issue: IssueNumber,
    },
    /// Pull requests were merged on top of each other and the whole was checked.
    StackChecked {
        /// The repository.
        repo: RepoName,
        /// The pull requests, in the order in which they were stacked.
        pulls: Vec<IssueNumber>,
        /// The evidence for the whole stack.
        receipt: Receipt,
    },
    /// A pull request left the merge queue without being merged.
    QueueRejected {
        /// The repository.
        repo: RepoName,
        /// The pull request.
        number: IssueNumber,
        /// Why, as a sentence.
        reason: String,
    },
    /// A directory was removed, for two facts that do not depend on each other.
    DirectoryRemoved {
        /// Below the private root.
        path: String,
        /// What it held, in bytes.
        bytes: u64,
        /// The two facts, as sentences.
        facts: [String; 2],
    },
    /// A workflow file was read, at the start or because it changed.
    WorkflowLoaded {
        /// The repository.
        repo: RepoName,
        /// SHA-256 of the file, in hexadecimal.
        sha256: String,
    },
    /// What a run took from the socket.
    EnergyUsed {
        /// In thousandths of a joule.
        millijoules: u64,
        /// Where the figure comes from.
        source: EnergySource,
    },
    /// A finding about the fleet became an alert.
    AlertRaised {
        /// Which.
        #[serde(flatten)]
        key: AlertKey,
        /// How pressing it is.
        severity: Severity,
        /// What was found, as a sentence.
        what: String,
    },
    /// An open alert became more pressing, or has been open for so long that it counts as that.
    AlertEscalated {
        /// Which.
        #[serde(flatten)]
        key: AlertKey,
        /// How pressing it is now.
        severity: Severity,
        /// Why, as a sentence.
        what: String,
    },
    /// The operator's command took the news of an alert. What was not told is told again.
    AlertTold {
        /// Which.
        #[serde(flatten)]
        key: AlertKey,
        /// The severity that was told; none for the end of the alert.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        severity: Option<Severity>,
    },
    /// The cause of an alert is gone.
    AlertCleared {
        /// Which.
        #[serde(flatten)]
        key: AlertKey,
    },
    /// A person asked that a running attempt be stopped.
    StopAsked {
        /// The run.
        target: RunId,
    },
    /// A person asked that no host begin new attempts.
    PauseAsked {
        /// Why, in their words, cleaned and bounded.
        reason: String,
        /// Who, as their system knows them: `ada@box`. Empty where that is not known.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by: String,
    },
    /// A person ended the pause, and lets issues whose runs were stopped be tried again.
    ResumeAsked,
    /// A model that had drifted from what is expected was put back.
    ModelRestored {
        /// On which machine.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        host: String,
        /// What was drifting, as `timmy watchdog` names it.
        subject: String,
        /// What was found.
        from: String,
        /// What is there now.
        to: String,
        /// The copy of the file as it was, where a file was changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backup: Option<String>,
    },
    /// Tokens of a login were exchanged for new ones.
    LoginRefreshed {
        /// The login, as `timmy auth status` names it.
        login: String,
        /// When the new tokens expire, as RFC 3339 says it.
        expires: String,
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
