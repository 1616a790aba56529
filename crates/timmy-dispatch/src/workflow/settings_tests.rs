use proptest::prelude::*;
use timmy_core::Coded;

use super::*;

fn front(front: &str) -> Result<Workflow, WorkflowError> {
    Workflow::parse(&format!("---\n{front}\n---\nWork.\n"))
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    let workflow = Workflow::parse("Work on it.\n").unwrap();
    let expected = Workflow {
        tracker: TrackerSection {
            kind: None,
            provider: Provider::default(),
            required_labels: Vec::new(),
            active_states: vec!["open".to_owned()],
            terminal_states: vec!["closed".to_owned()],
        },
        poll_interval: Duration::from_secs(30),
        workspace_root: None,
        hooks: HooksSection {
            after_create: None,
            before_run: None,
            after_run: None,
            before_remove: None,
            timeout: Duration::from_secs(60),
        },
        agent: AgentSection {
            max_concurrent_agents: 10,
            max_turns: 20,
            max_retry_backoff: Duration::from_secs(300),
            max_concurrent_agents_by_state: BTreeMap::new(),
        },
        codex: CodexSection {
            command: "codex app-server".to_owned(),
            approval_policy: None,
            thread_sandbox: None,
            turn_sandbox_policy: None,
            turn_timeout: Duration::from_secs(3_600),
            read_timeout: Duration::from_secs(5),
            stall_timeout: Some(Duration::from_secs(300)),
        },
        timmy: TimmySection::default(),
        body: "Work on it.".to_owned(),
        sha256: workflow.sha256.clone(),
    };
    assert_eq!(expected, workflow);
    // An empty section says as much as an absent one.
    let empty = front("tracker:\npolling: {}\nhooks: ~\nagent:\ncodex:\ntimmy:").unwrap();
    assert_eq!(expected.agent, empty.agent);
    assert_eq!(expected.codex, empty.codex);
}

#[test]
fn a_workflow_of_another_program_is_read_as_it_is() {
    let workflow = front(
        "tracker:\n  kind: linear\n  provider:\n    project_slug: x\n  active_states: [Todo, In Progress]\n\
         server:\n  port: 8080\nworkspace:\n  root: ~/code/workspaces\n  unknown: 1\n\
         hooks:\n  after_create: |\n    git clone x .\n\
         agent:\n  max_concurrent_agents: 4\n  max_turns: \"7\"\n\
         codex:\n  command: codex --config a=\"$b\" app-server\n  approval_policy: never\n\
         \x20 turn_sandbox_policy:\n    type: workspaceWrite\n  stall_timeout_ms: 0",
    )
    .unwrap();
    assert_eq!(Some("linear"), workflow.tracker.kind.as_deref());
    assert_eq!(
        vec!["project_slug"],
        workflow.tracker.provider.keys().collect::<Vec<_>>()
    );
    assert_eq!(4, workflow.agent.max_concurrent_agents);
    assert_eq!(7, workflow.agent.max_turns);
    assert_eq!(
        Some("git clone x .\n"),
        workflow.hooks.after_create.as_deref()
    );
    assert_eq!(None, workflow.codex.stall_timeout);
    assert!(workflow.codex.turn_sandbox_policy.is_some());
}

#[test]
fn the_codex_command_stays_a_line_for_a_shell() {
    let workflow = front("codex:\n  command: $CODEX -c '~/x y' app-server").unwrap();
    assert_eq!("$CODEX -c '~/x y' app-server", workflow.codex.command);
    assert!(front("codex:\n  command: ' '").is_err());
}

#[test]
fn limits_by_state_are_normalised_and_wrong_ones_are_ignored() {
    let workflow = front(
        "agent:\n  max_concurrent_agents: 5\n  max_concurrent_agents_by_state:\n    ' Open ': 2\n\
         \x20   TODO: '3'\n    zero: 0\n    less: -1\n    word: many\n    list: [1]\n    7: 1",
    )
    .unwrap();
    let limits = &workflow.agent.max_concurrent_agents_by_state;
    assert_eq!(
        BTreeMap::from([("open".to_owned(), 2), ("todo".to_owned(), 3)]),
        *limits
    );
    assert_eq!(2, workflow.agent.limit_for("OPEN "));
    assert_eq!(5, workflow.agent.limit_for("zero"));
}

#[test]
fn values_that_cannot_be_are_typed_errors_that_name_the_key() {
    let told: Vec<_> = [
        "agent:\n  max_turns: 0",
        "agent:\n  max_turns: 1.5",
        "agent:\n  max_concurrent_agents: many",
        "hooks:\n  timeout_ms: 0",
        "hooks:\n  timeout_ms: -5",
        "hooks:\n  before_run: [a, b]",
        "polling:\n  interval_ms: soon",
        "polling: 7",
        "tracker:\n  provider: x",
        "tracker:\n  active_states: open",
        "codex:\n  command: ''",
        "timmy:\n  chek: x",
        "timmy:\n  entirely: x",
    ]
    .into_iter()
    .map(|text| {
        let error = front(text).unwrap_err();
        assert_eq!("workflow_parse_error", error.class());
        error.problem().to_string()
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_a_provider_says_is_never_printed() {
    let workflow = front("tracker:\n  provider:\n    token: s3cret-value").unwrap();
    assert!(!format!("{workflow:?}").contains("s3cret-value"));
    assert!(format!("{workflow:?}").contains("token"));
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused_without_panic(
        section in "(tracker|polling|workspace|hooks|agent|codex|timmy)",
        key in "(kind|provider|interval_ms|root|timeout_ms|max_turns|command|check|[a-z]{1,4})",
        value in "(?s).{0,40}",
        body in "(?s).{0,40}",
    ) {
        let _ = Workflow::parse(&format!("---\n{section}:\n  {key}: {value}\n---\n{body}"));
        let _ = Workflow::parse(&format!("---\n{value}\n---\n{body}"));
        let _ = Workflow::parse(&value);
    }
}
