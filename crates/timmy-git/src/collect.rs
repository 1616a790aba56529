//! Taking an agent's work out of its workspace.
//!
//! git runs over the workspace once, inside the sandbox, and leaves one bundle file. The host reads
//! that file, has git check every object in it, and makes the commit that can be published itself:
//! one commit on the base, in timmy's name. What the agent committed in between, hid in its history
//! or configured never leaves the workspace.

use std::path::Path;
use std::str::FromStr;

use timmy_core::Clock;
use timmy_core::ObjectName;
use timmy_core::Redactor;
use timmy_core::SystemClock;
use timmy_sandbox::Command;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;
use timmy_sandbox::Tree;

use crate::bare::BareRepository;
use crate::error::GitError;
use crate::names::RefName;
use crate::program::shown;
use crate::tools::sandbox_environment;

/// The largest bundle that the host reads.
pub const BUNDLE_LIMIT: u64 = 256 << 20;

const BUNDLE: &str = ".git/timmy-collect.bundle";
const BUNDLE_REF: &str = "refs/timmy/collect";
const UNCHANGED: &str = "unchanged";

/// `$1` is the base commit. A copy of the index keeps a lock that a killed git left from being in
/// the way.
const SCRIPT: &str = r#"
set -eu
safe() { git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c gc.auto=0 "$@"; }
export GIT_DIR=.git GIT_WORK_TREE=. GIT_INDEX_FILE=.git/timmy-collect.index
rm -f .git/timmy-collect.*
cp .git/index "$GIT_INDEX_FILE" 2>/dev/null || safe read-tree "$1"
safe add -A .
tree=$(safe write-tree)
if [ "$tree" = "$(safe rev-parse --verify "$1^{tree}")" ]; then echo unchanged; exit 0; fi
commit=$(echo work | safe commit-tree "$tree" -p "$1")
safe update-ref refs/timmy/collect "$commit"
safe bundle create --quiet .git/timmy-collect.bundle refs/timmy/collect "^$1"
"#;

/// Makes one commit of everything that differs from `base` in the policy's workspace, in `bare`,
/// with `target` pointing at it. `None` when nothing differs.
///
/// # Errors
/// [`GitError::Collect`] when the agent's repository is unusable, [`GitError::UnsafeObjects`] when
/// git's checks refuse what is in it, [`GitError::TooLarge`] above [`BUNDLE_LIMIT`].
pub async fn collect(
    sandbox: &dyn Sandbox,
    policy: &Policy,
    bare: &BareRepository,
    base: &ObjectName,
    message: &str,
    target: &RefName,
) -> Result<Option<ObjectName>, GitError> {
    let mut policy = policy.clone();
    policy.environment.extend(sandbox_environment());
    let command = Command::new(["sh", "-c", SCRIPT, "collect", base.as_str()]);
    let finished = sandbox.run(&policy, &command).await?;
    let said = String::from_utf8_lossy(&finished.stdout);
    if !finished.success() {
        let errors = String::from_utf8_lossy(&finished.stderr);
        let detail = format!(
            "{:?}: {}",
            finished.end,
            shown(&errors, &Redactor::default())
        );
        return Err(GitError::Collect { detail });
    }
    if said.trim() == UNCHANGED {
        return Ok(None);
    }
    let workspace = policy.workspace.clone();
    let bundle = tokio::task::spawn_blocking(move || read_bundle(&workspace)).await;
    let bundle = bundle.map_err(|error| GitError::Collect {
        detail: error.to_string(),
    })??;
    let source = RefName::from_str(BUNDLE_REF)?;
    let taken = bare.take_bundle(&bundle, &source, target).await?;
    let tree = bare.tree_of(&taken).await?;
    let now = SystemClock::new().now();
    let commit = bare.commit_tree(&tree, &[base], message, now).await?;
    bare.set_ref(target, &commit).await?;
    Ok(Some(commit))
}

fn read_bundle(workspace: &Path) -> Result<Vec<u8>, GitError> {
    Ok(Tree::open(workspace)?.read(Path::new(BUNDLE), BUNDLE_LIMIT)?)
}
