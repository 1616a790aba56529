//! An agent's workspace with a sandbox around it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use timmy_core::ObjectName;
use timmy_core::Redactor;
use timmy_git::GitError;
use timmy_git::RefName;
use timmy_git::collect;
use timmy_git::prepare_workspace;
use timmy_git::tools::SandboxRunner;
use timmy_sandbox::Command;
use timmy_sandbox::Helper;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;
use timmy_sandbox::Settings;
use timmy_sandbox::Unsandboxed;

use crate::sample::Sample;

/// Says to a poisoned program that it runs inside, where it may.
pub(crate) const INSIDE: &str = "TIMMY_TEST_INSIDE";

pub(crate) struct Workshop {
    pub(crate) sample: Sample,
    pub(crate) base: ObjectName,
    pub(crate) policy: Policy,
    pub(crate) workspace: PathBuf,
    sandbox: Arc<dyn Sandbox>,
}

impl Workshop {
    pub(crate) async fn new(files: &[(&str, &str)]) -> Self {
        let (sample, base) = Sample::with_commit(files).await;
        // The agent's user has to get to its workspace.
        let traversable = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(sample.root.path(), traversable).unwrap();
        let workspace = sample.path("workspace");
        prepare_workspace(
            &sample.git,
            &sample.bare,
            &base,
            "main",
            "timmy/7-1",
            &workspace,
        )
        .await
        .unwrap();
        let helper = Helper::new(env!("CARGO_BIN_EXE_timmy-git-helper"));
        let settings = Settings {
            agent_user: Some("nobody".to_owned()),
            allow_unsandboxed: true,
            ..Settings::default()
        };
        let sandbox = timmy_sandbox::choose(&settings, &helper, Unsandboxed::Allowed)
            .await
            .unwrap();
        sandbox.hand_over(&workspace).unwrap();
        let mut policy = Policy::new(&workspace);
        policy.environment.insert(INSIDE.to_owned(), "1".to_owned());
        Self {
            sample,
            base,
            policy,
            workspace,
            sandbox,
        }
    }

    /// What an agent does with `run_command`.
    pub(crate) async fn shell(&self, script: &str) -> String {
        let finished = self
            .sandbox
            .run(&self.policy, &Command::shell(script))
            .await
            .unwrap();
        let text = finished.text(&Redactor::default());
        assert!(finished.success(), "{script}: {:?} {text}", finished.end);
        text.trim_end().to_owned()
    }

    pub(crate) fn runner(&self) -> SandboxRunner<'_> {
        SandboxRunner::new(self.sandbox.as_ref(), &self.policy, &Redactor::default())
    }

    pub(crate) async fn collect(&self) -> Result<Option<ObjectName>, GitError> {
        let target: RefName = "refs/timmy/work/7".parse().unwrap();
        let (bare, sandbox) = (&self.sample.bare, self.sandbox.as_ref());
        collect(
            sandbox,
            &self.policy,
            bare,
            &self.base,
            "Fix it\n\nIssue: #7\n",
            &target,
        )
        .await
    }

    /// The paths that the collected commit changes.
    pub(crate) async fn collected_paths(&self) -> Vec<String> {
        let commit = self.collect().await.unwrap().unwrap();
        let changes = self.sample.bare.changes(&self.base, &commit).await.unwrap();
        changes.into_iter().map(|change| change.path).collect()
    }
}
