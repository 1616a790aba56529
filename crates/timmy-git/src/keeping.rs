//! Looking after the host's own repositories: what they hold, handing a branch over as a file, and
//! throwing away what nothing names any more.

use std::ffi::OsString;
use std::path::Path;

use timmy_core::ObjectName;

use crate::bare::BareRepository;
use crate::bare::words;
use crate::error::GitError;
use crate::names::RefName;
use crate::program::Invocation;

/// Loose objects beyond which git packs them, as `git gc --auto` has it by default.
const LOOSE_OBJECTS: &str = "gc.auto=6700";

/// Objects that nothing names are kept this long. A fetch, or a run that collects its work, names
/// what it wrote within minutes; git itself counts on the same (git-gc, "NOTES").
const KEEP_UNNAMED: &str = "--prune=14.days.ago";

impl BareRepository {
    /// The refs of ours below a name, with what they point at.
    ///
    /// # Errors
    /// [`GitError::Failed`] when the repository is broken.
    pub async fn refs_below(
        &self,
        parent: &RefName,
    ) -> Result<Vec<(RefName, ObjectName)>, GitError> {
        let below = format!("{parent}/");
        let arguments = [
            "for-each-ref",
            "--format=%(objectname) %(refname)",
            "--end-of-options",
            &below,
        ];
        let output = self.succeed(Invocation::new(arguments)).await?;
        let text = output.into_text("for-each-ref")?;
        let parse = |line: &str| {
            let (object, name) = line.split_once(' ')?;
            Some((name.parse().ok()?, object.parse().ok()?))
        };
        Ok(text.lines().filter_map(parse).collect())
    }

    /// Writes what `name` leads to into a bundle file, without what these commits lead to. Commits
    /// that are not here are left out of account.
    ///
    /// # Errors
    /// [`GitError::Failed`] when there is nothing to write, or the disk refuses.
    pub async fn write_bundle(
        &self,
        name: &RefName,
        without: &[ObjectName],
        file: &Path,
    ) -> Result<(), GitError> {
        let mut arguments = words(&["bundle", "create", "--quiet"]);
        arguments.push(file.as_os_str().to_owned());
        arguments.push(OsString::from(name.as_str()));
        for commit in without {
            if self.resolve(&commit.into()).await?.is_some() {
                arguments.push(OsString::from(format!("^{commit}")));
            }
        }
        self.succeed(Invocation::new(arguments)).await.map(drop)
    }

    /// Packs loose objects when there are many, and removes those that nothing has named for two
    /// weeks. Safe beside fetches and pushes: git keeps what is younger, and lets one such call run
    /// at a time.
    ///
    /// # Errors
    /// [`GitError::Failed`] when git cannot.
    pub async fn maintain(&self) -> Result<(), GitError> {
        let arguments = [
            "-c",
            LOOSE_OBJECTS,
            "-c",
            "gc.autoDetach=false",
            "gc",
            "--auto",
            "--quiet",
            KEEP_UNNAMED,
        ];
        self.succeed(Invocation::new(arguments)).await.map(drop)
    }
}
