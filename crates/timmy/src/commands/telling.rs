//! Events as sentences.

use timmy_core::EventKind;
use timmy_core::event::Outcome;
use timmy_core::text;

/// The part of a tool's result that is shown, in bytes.
const RESULT_BYTES: usize = 400;

/// An event as a sentence; nothing for those that only matter to machines.
pub(super) fn tell(kind: &EventKind) -> String {
    match kind {
        EventKind::ClaimAcquired {
            reference, epoch, ..
        } => {
            format!("claimed as {reference}, epoch {epoch}")
        }
        EventKind::ClaimLost { reason } => format!("CLAIM LOST: {reason}"),
        EventKind::WorkspaceReady {
            base_branch, base, ..
        } => {
            format!("workspace from {base_branch} at {}", base.short())
        }
        EventKind::HookStarted { hook } => format!("hook {hook}"),
        EventKind::PromptBuilt { bytes, .. } => format!("prompt of {bytes} bytes"),
        EventKind::ModelSpoke { text, .. } => format!("model: {}", text.trim()),
        EventKind::ToolCalled {
            tool, arguments, ..
        } => format!("> {tool} {arguments}"),
        EventKind::ToolFinished { ok, result, .. } => {
            let word = if *ok { "" } else { "FAILED " };
            format!("{word}{}", text::bound(result.trim(), RESULT_BYTES))
        }
        EventKind::ModelCallFailed {
            provider,
            code,
            what,
            answer,
            ..
        } => {
            format!("model call failed at {provider}: {code} {what}; {answer}")
        }
        EventKind::LoopDetected { pattern } => format!("STOPPED: {pattern}"),
        EventKind::AgentFinished {
            reason, summary, ..
        } => format!("agent {reason}: {summary}"),
        EventKind::CheckFinished { receipt } => {
            let code = receipt
                .exit_code
                .map_or("no exit code".to_owned(), |c| format!("exit code {c}"));
            format!(
                "check `{}`: {code} on tree {}",
                receipt.command,
                receipt.tree.short()
            )
        }
        EventKind::PublicationBlocked { reasons } => {
            format!("NOT PUBLISHED:\n{}", reasons.join("\n"))
        }
        EventKind::BranchPushed { branch, commit } => {
            format!("pushed {branch} at {}", commit.short())
        }
        EventKind::PullRequestOpened {
            number,
            url,
            draft,
            adopted,
        } => {
            let kind = if *draft {
                "draft pull request"
            } else {
                "pull request"
            };
            let how = if *adopted { "updated" } else { "opened" };
            format!("{how} {kind} #{number}: {url}")
        }
        EventKind::WorkCollected { commit: None, .. } => "nothing was changed".to_owned(),
        EventKind::WorkCollected {
            commit: Some(commit),
            ..
        } => {
            format!("took over the work as {}", commit.short())
        }
        EventKind::FeedbackTaken { number, items } => {
            format!("answers {} remarks on pull request #{number}", items.len())
        }
        EventKind::IssueCommented { issue } => format!("told issue #{issue}"),
        EventKind::Warned { problem } => format!("warning: {problem}"),
        EventKind::RunEnded {
            outcome: Outcome::Failed { problem },
            ..
        } => {
            format!("FAILED: {problem}")
        }
        EventKind::RunEnded {
            outcome: Outcome::Cancelled { reason },
            ..
        } => format!("CANCELLED: {reason}"),
        EventKind::RunEnded { outcome, .. } => {
            format!("ended: {}", outcome.word().replace('_', " "))
        }
        EventKind::ProcessStarted { .. }
        | EventKind::IssuesConsidered { .. }
        | EventKind::RunStarted { .. }
        | EventKind::ClaimRenewed { .. }
        | EventKind::ClaimReleased { .. }
        | EventKind::ModelCallReserved { .. }
        | EventKind::ModelCallSettled { .. } => String::new(),
        other => tell_of_the_night(other),
    }
}

/// The same for events of the loop.
fn tell_of_the_night(kind: &EventKind) -> String {
    match kind {
        EventKind::LoopStarted {
            repositories,
            slots,
        } => {
            format!(
                "loop over {} repositories, {slots} at once",
                repositories.len()
            )
        }
        EventKind::LoopEnded { reason } => format!("loop ended: {reason}"),
        EventKind::RetryScheduled {
            issue,
            attempt,
            delay_ms,
            reason,
            ..
        } => {
            let seconds = delay_ms.div_ceil(1_000);
            format!("attempt {attempt} at #{issue} in {seconds} s: {reason}")
        }
        EventKind::IssueQuarantined {
            issue, attempts, ..
        } => {
            format!("#{issue} is quarantined after {attempts} failed attempts")
        }
        EventKind::QuarantineLifted { issue, changed, .. } => {
            format!("#{issue} left quarantine: {} changed", changed.join(", "))
        }
        EventKind::DispatchPaused { scope, problem } => format!("PAUSED {scope}: {problem}"),
        EventKind::DispatchResumed { scope } => format!("{scope} goes on"),
        EventKind::PullRequestMerged { number, .. } => format!("pull request #{number} was merged"),
        EventKind::PullRequestRefused { number, .. } => {
            format!("pull request #{number} was closed by a person")
        }
        EventKind::BranchEdited { number, .. } => {
            format!("a person edited the branch of pull request #{number}; it is theirs now")
        }
        EventKind::IssueClosed { issue, .. } => format!("closed issue #{issue}"),
        EventKind::StackChecked { pulls, receipt, .. } => {
            let word = if receipt.passed() { "passes" } else { "FAILS" };
            format!("{} pull requests together: the check {word}", pulls.len())
        }
        EventKind::QueueRejected { number, reason, .. } => {
            format!("pull request #{number} left the merge queue: {reason}")
        }
        EventKind::DirectoryRemoved { path, facts, .. } => {
            format!("removed {path}: {}; {}", facts[0], facts[1])
        }
        EventKind::EnergyUsed { millijoules, .. } => format!("{} J", millijoules / 1_000),
        other => tell_of_the_fleet(other),
    }
}

/// The same for alerts, and for what persons asked of the fleet.
fn tell_of_the_fleet(kind: &EventKind) -> String {
    match kind {
        EventKind::AlertRaised {
            key,
            severity,
            what,
        } => format!("ALERT {severity} {key}: {what}"),
        EventKind::AlertEscalated {
            key,
            severity,
            what,
        } => format!("ALERT, now {severity}, {key}: {what}"),
        EventKind::AlertCleared { key } => format!("alert over: {key}"),
        EventKind::StopAsked { target } => {
            format!("a person asked to stop run {}", target.short())
        }
        EventKind::PauseAsked { reason, by } if by.is_empty() => {
            format!("a person PAUSED the fleet: {reason}")
        }
        EventKind::PauseAsked { reason, by } => format!("{by} PAUSED the fleet: {reason}"),
        EventKind::ResumeAsked => "a person let the fleet go on".to_owned(),
        EventKind::ModelRestored {
            subject, from, to, ..
        } if from == to => format!("could not put {subject} back, it is still {from}"),
        EventKind::ModelRestored {
            subject, from, to, ..
        } => format!("put {subject} back from {from} to {to}"),
        EventKind::LoginRefreshed { login, expires } => {
            format!("refreshed the login {login}, good until {expires}")
        }
        _ => String::new(),
    }
}
