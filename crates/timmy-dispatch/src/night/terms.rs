//! What a repository's own `WORKFLOW.md` asks of the loop.
//!
//! The operator's settings are the ceiling: a repository can have itself looked at less often, have
//! fewer attempts at once, wait longer and leave more issues out, never the other way round.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::workflow::Workflow;

/// The specification's defaults. A repository without a file has them too, so they say nothing: the
/// operator's settings count then.
const DEFAULT_STALL: Duration = Duration::from_secs(300);
const DEFAULT_POLL: Duration = Duration::from_secs(30);
const DEFAULT_BACKOFF: Duration = Duration::from_secs(300);
const DEFAULT_AGENTS: u32 = 10;

/// The terms of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Labels an issue must all have, compared without case and the space around them.
    pub labels: Vec<String>,
    /// At least so long between two looks.
    pub poll: Duration,
    /// Attempts at once, at most; no limit when absent.
    pub slots: Option<u32>,
    /// Attempts at once by state of the issue, lower case.
    pub per_state: BTreeMap<String, u32>,
    /// The longest wait between two attempts, when it is longer than the operator's.
    pub longest_backoff: Duration,
    /// The silence after which an attempt counts as stalled, when the file says so; zero for never.
    pub stall: Option<Duration>,
    /// States in which no issue is worked on, because the file names the others.
    pub active: Option<Vec<String>>,
}

impl Terms {
    /// The terms of a workflow file.
    #[must_use]
    pub fn of(workflow: &Workflow) -> Self {
        let stall = workflow.codex.stall_timeout.unwrap_or_default();
        let said = |value: Duration, default| match value == default {
            true => Duration::ZERO,
            false => value,
        };
        let slots = workflow.agent.max_concurrent_agents;
        let clean = |text: &String| text.trim().to_lowercase();
        let tracker = &workflow.tracker;
        // A file for another kind of tracker says nothing about this forge's labels and states.
        let ours = tracker.kind.is_none() || tracker.supported_kind().is_ok();
        let cleaned = |texts: &[String]| texts.iter().filter(|_| ours).map(clean).collect();
        Self {
            labels: cleaned(&tracker.required_labels),
            poll: said(workflow.poll_interval, DEFAULT_POLL),
            slots: (slots != DEFAULT_AGENTS).then_some(slots),
            per_state: workflow.agent.max_concurrent_agents_by_state.clone(),
            longest_backoff: said(workflow.agent.max_retry_backoff, DEFAULT_BACKOFF),
            stall: (stall != DEFAULT_STALL).then_some(stall),
            active: ours.then(|| cleaned(&tracker.active_states)),
        }
    }

    /// The rule of the file that leaves an issue out, as a sentence.
    pub(super) fn excludes(&self, state: &str, labels: &[String]) -> Option<String> {
        let active = self.active.as_ref();
        if active.is_some_and(|active| !active.iter().any(|name| name == state)) {
            return Some(format!("WORKFLOW.md leaves {state} issues alone"));
        }
        let has = |wanted: &&String| {
            // A blank label matches no issue: section 5.3.1 of the Symphony specification.
            let same = |label: &String| label.trim().to_lowercase() == **wanted;
            !wanted.is_empty() && labels.iter().any(same)
        };
        let missing = self.labels.iter().find(|wanted| !has(wanted))?;
        Some(format!(
            "it lacks the label `{missing}` that WORKFLOW.md asks for"
        ))
    }
}
