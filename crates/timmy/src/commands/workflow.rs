//! `timmy workflow`: what a WORKFLOW.md on this machine means, and whether it can be used.

use std::path::Path;

use serde_json::Map;
use serde_json::Value;
use timmy_core::ExitStatus;
use timmy_dispatch::workflow::Template;
use timmy_dispatch::workflow::TrackedIssue;
use timmy_dispatch::workflow::Workflow;

use super::Ended;
use super::told;
use crate::named_workflow::NamedWorkflow;
use crate::output;

/// Reads the file, checks everything that can be checked without a forge, and shows every value in
/// force. Asks no network.
pub(super) fn run(json: bool, given: Option<&Path>) -> Ended {
    let named = NamedWorkflow::read(given)?;
    let workflow = &named.workflow;
    let mut values = values(workflow);
    values.push(("workspace.root", named.workspaces.display().to_string()));
    if let Some(adapter) = &named.adapter {
        let repositories: Vec<_> = adapter
            .repositories
            .iter()
            .map(ToString::to_string)
            .collect();
        values.push(("tracker.repositories", repositories.join(", ")));
    }
    if Template::is_in(&workflow.body) {
        let template = Template::parse(&workflow.body).map_err(told)?;
        let example = TrackedIssue::example();
        for attempt in [None, Some(2)] {
            template.render(&example, attempt).map_err(told)?;
        }
        values.push(("template", "renders".to_owned()));
    }
    if json {
        let object: Map<String, Value> = values
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Value::String(value)))
            .collect();
        output::json(&object)?;
        return Ok(ExitStatus::Success);
    }
    let rows = values
        .into_iter()
        .map(|(key, value)| vec![key.to_owned(), value]);
    output::line(&output::table(&["key", "value"], rows.collect()))?;
    Ok(ExitStatus::Success)
}

/// Every value in force that does not depend on this machine.
fn values(workflow: &Workflow) -> Vec<(&'static str, String)> {
    let yes = |script: &Option<String>| if script.is_some() { "set" } else { "" }.to_owned();
    let milliseconds = |time: std::time::Duration| time.as_millis().to_string();
    let (tracker, hooks) = (&workflow.tracker, &workflow.hooks);
    let (agent, codex) = (&workflow.agent, &workflow.codex);
    let by_state: Vec<_> = agent
        .max_concurrent_agents_by_state
        .iter()
        .map(|(state, limit)| format!("{state}: {limit}"))
        .collect();
    vec![
        ("tracker.kind", tracker.kind.clone().unwrap_or_default()),
        (
            "tracker.provider",
            tracker.provider.keys().collect::<Vec<_>>().join(", "),
        ),
        (
            "tracker.required_labels",
            tracker.required_labels.join(", "),
        ),
        ("tracker.active_states", tracker.active_states.join(", ")),
        (
            "tracker.terminal_states",
            tracker.terminal_states.join(", "),
        ),
        ("polling.interval_ms", milliseconds(workflow.poll_interval)),
        ("hooks.after_create", yes(&hooks.after_create)),
        ("hooks.before_run", yes(&hooks.before_run)),
        ("hooks.after_run", yes(&hooks.after_run)),
        ("hooks.before_remove", yes(&hooks.before_remove)),
        ("hooks.timeout_ms", milliseconds(hooks.timeout)),
        (
            "agent.max_concurrent_agents",
            agent.max_concurrent_agents.to_string(),
        ),
        ("agent.max_concurrent_agents_by_state", by_state.join(", ")),
        ("agent.max_turns", agent.max_turns.to_string()),
        (
            "agent.max_retry_backoff_ms",
            milliseconds(agent.max_retry_backoff),
        ),
        ("codex.command", codex.command.clone()),
        (
            "codex.stall_timeout_ms",
            codex.stall_timeout.map_or("0".to_owned(), milliseconds),
        ),
        (
            "timmy.check",
            workflow.timmy.check.clone().unwrap_or_default(),
        ),
        ("sha256", workflow.sha256.clone()),
    ]
}
