//! Merging without a working tree: nothing of a repository's content is ever a file, and no hook,
//! filter or merge driver of its making runs.

use timmy_core::ObjectName;
use timmy_core::text;

use crate::bare::BareRepository;
use crate::error::GitError;
use crate::program::Invocation;

/// The most paths of a conflict that are named.
const PATHS: usize = 10;
/// The longest path that is named, in bytes.
const PATH_BYTES: usize = 200;

/// Two commits, merged or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergedTree {
    /// The tree that came of it.
    Clean(ObjectName),
    /// They contradict each other in these paths (ten at most, cleaned), or, when none is named,
    /// have no common history.
    Conflict(Vec<String>),
}

impl BareRepository {
    /// Merges two commits and moves no ref.
    ///
    /// # Errors
    /// [`GitError::Failed`] when a commit is not here, or git is older than 2.38.
    pub async fn merge_tree(
        &self,
        ours: &ObjectName,
        theirs: &ObjectName,
    ) -> Result<MergedTree, GitError> {
        if self.merge_base(ours, theirs).await?.is_none() {
            return Ok(MergedTree::Conflict(Vec::new()));
        }
        let arguments = [
            "merge-tree",
            "--write-tree",
            "--name-only",
            "--no-messages",
            "-z",
            ours.as_str(),
            theirs.as_str(),
        ];
        let output = self.run(Invocation::new(arguments)).await?;
        let clean = match output.status.code() {
            Some(0) => true,
            Some(1) => false,
            _ => return Err(output.failure("merge-tree")),
        };
        let mut fields = output.stdout.split(|byte| *byte == 0);
        let tree = String::from_utf8_lossy(fields.next().unwrap_or_default());
        let tree: ObjectName = tree
            .trim()
            .parse()
            .map_err(|error| GitError::unreadable("merge-tree", format!("{error}")))?;
        if clean {
            return Ok(MergedTree::Clean(tree));
        }
        let paths = fields.filter(|path| !path.is_empty()).take(PATHS);
        Ok(MergedTree::Conflict(paths.map(named).collect()))
    }
}

fn named(path: &[u8]) -> String {
    let path = text::clean_line(&String::from_utf8_lossy(path));
    text::bound(&path, PATH_BYTES).into_owned()
}
