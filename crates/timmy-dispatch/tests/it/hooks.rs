//! Scripts of a project in a real sandbox.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tempfile::TempDir;
use timmy_core::Coded;
use timmy_core::Redactor;
use timmy_dispatch::workflow::WorkflowError;
use timmy_dispatch::workflow::hooks;
use timmy_dispatch::workflow::hooks::Hook;
use timmy_sandbox::Helper;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;
use timmy_sandbox::Settings;
use timmy_sandbox::Unsandboxed;
use tokio::sync::OnceCell;

/// Proving a sandbox takes a while, and all tests use the same.
static SANDBOX: OnceCell<Arc<dyn Sandbox>> = OnceCell::const_new();

async fn sandbox() -> Arc<dyn Sandbox> {
    let choose = async || {
        let helper = Helper::new(env!("CARGO_BIN_EXE_timmy-dispatch-helper"));
        let settings = Settings {
            agent_user: Some("nobody".to_owned()),
            allow_unsandboxed: true,
            ..Settings::default()
        };
        let chosen = timmy_sandbox::choose(&settings, &helper, Unsandboxed::Allowed);
        chosen.await.unwrap()
    };
    Arc::clone(SANDBOX.get_or_init(choose).await)
}

struct Workspace {
    _directory: TempDir,
    policy: Policy,
}

impl Workspace {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let passable = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(directory.path(), passable).unwrap();
        let tree = directory.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        sandbox().await.hand_over(&tree).unwrap();
        Self {
            policy: Policy::new(tree),
            _directory: directory,
        }
    }

    fn tree(&self) -> &Path {
        &self.policy.workspace
    }

    async fn run(&self, script: &str, timeout: Duration) -> Result<(), WorkflowError> {
        let redactor = Redactor::new([&SecretString::from("t0ps3cretvalue")]);
        let sandbox = sandbox().await;
        hooks::run(
            sandbox.as_ref(),
            &self.policy,
            Hook::BeforeRun,
            script,
            timeout,
            &redactor,
        )
        .await
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_hook_works_in_the_workspace() {
    let workspace = Workspace::new().await;
    let script = "set -e\nmkdir sub\nprintf made > sub/file\npwd > where\n";
    workspace.run(script, MINUTE).await.unwrap();
    let read = |name| std::fs::read_to_string(workspace.tree().join(name)).unwrap();
    assert_eq!("made", read("sub/file"));
    assert_eq!(workspace.tree(), Path::new(read("where").trim_end()));
}

#[tokio::test]
async fn a_hook_that_fails_says_how_without_secrets() {
    let workspace = Workspace::new().await;
    let script = "echo it is t0ps3cretvalue; echo no >&2; exit 3";
    let error = workspace.run(script, MINUTE).await.unwrap_err();
    assert_eq!("hook_failed", error.class());
    let told = error.problem().to_string();
    assert!(told.contains("before_run exited with 3"), "{told}");
    assert!(
        told.contains("no") && !told.contains("t0ps3cretvalue"),
        "{told}"
    );
}

#[tokio::test]
async fn a_hook_that_does_not_end_is_killed_at_its_limit() {
    let workspace = Workspace::new().await;
    let limit = Duration::from_millis(300);
    let error = workspace
        .run("while :; do :; done", limit)
        .await
        .unwrap_err();
    assert_eq!("hook_timeout", error.class());
    assert!(error.to_string().contains("300 ms"), "{error}");
}

#[tokio::test]
async fn the_hosts_own_limit_holds_for_hooks_too() {
    let mut workspace = Workspace::new().await;
    workspace.policy.limits.wall = Duration::from_millis(200);
    let error = workspace
        .run("while :; do :; done", MINUTE)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("200 ms"), "{error}");
}
