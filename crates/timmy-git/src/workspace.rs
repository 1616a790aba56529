//! Directories that are filled once by the host and belong to an agent from then on.

use std::ffi::OsString;
use std::path::Path;

use timmy_core::ObjectName;

use crate::bare::BareRepository;
use crate::bare::words;
use crate::error::GitError;
use crate::names::BranchName;
use crate::names::Refspec;
use crate::program::Git;
use crate::program::Invocation;
use crate::program::Place;
use crate::remote::GitUrl;
use crate::remote::Remote;

/// The name and address that the agent's own commits carry. Nothing of theirs is published: the
/// host makes the one commit that is.
const AGENT_NAME: &str = "timmy agent";
const AGENT_EMAIL: &str = "agent@timmy.invalid";

/// Makes the agent's own clone: all objects its own, no remote, no alternates, no hooks, the work
/// branch checked out at `base`. Call it before anything of the agent's ran there.
///
/// # Errors
/// [`GitError::InvalidName`] for a bad branch name, [`GitError::Io`] when `destination` holds
/// something already, [`GitError::NotFound`] when `base` is not in the repository.
pub async fn prepare_workspace(
    git: &Git,
    bare: &BareRepository,
    base: &ObjectName,
    base_branch: &str,
    work_branch: &str,
    destination: &Path,
) -> Result<(), GitError> {
    let base_branch: BranchName = base_branch.parse()?;
    let work_branch: BranchName = work_branch.parse()?;
    create_empty(destination)?;
    let place = Place::Tree(destination);
    let init = format!("--initial-branch={work_branch}");
    let run = |arguments: Vec<OsString>| git.succeed(Invocation::new(arguments).at(place));
    run(words(&["init", "--quiet", "--template=", &init, "."])).await?;
    let origin = Remote::open(GitUrl::local(bare.path())?);
    let refspec = Refspec::object(base, &base_branch.reference());
    let fetch = [
        "fetch",
        "--progress",
        "--no-tags",
        "--no-write-fetch-head",
        "--update-head-ok",
        "--recurse-submodules=no",
        "--end-of-options",
        origin.url.as_str(),
        refspec.as_str(),
    ];
    let fetch = Invocation::new(fetch).at(place).remote(&origin);
    let fetched = git.run(fetch).await?;
    if !fetched.success() {
        return Err(crate::classify::reading_failure(&fetched, "fetch", &origin));
    }
    let settings = [
        ("user.name", AGENT_NAME),
        ("user.email", AGENT_EMAIL),
        ("commit.gpgSign", "false"),
        ("gc.auto", "0"),
    ];
    for (key, value) in settings {
        run(words(&["config", "--local", key, value])).await?;
    }
    run(words(&["reset", "--quiet", "--hard", base.as_str()])).await?;
    Ok(())
}

impl BareRepository {
    /// Writes the files of a commit into a new directory: no `.git`, no hooks, no filters.
    ///
    /// # Errors
    /// [`GitError::Io`] when `destination` holds something already, [`GitError::Failed`] when the
    /// commit is not here.
    pub async fn materialise(
        &self,
        commit: &ObjectName,
        destination: &Path,
    ) -> Result<(), GitError> {
        create_empty(destination)?;
        let index = tempfile::Builder::new()
            .prefix("index-")
            .tempdir_in(self.path())
            .map_err(GitError::io("create a directory in", self.path()))?;
        let index_file = index.path().join("index");
        let invocation = |arguments: &[&str]| {
            Invocation::new(arguments)
                .variable("GIT_INDEX_FILE", &index_file)
                .variable("GIT_WORK_TREE", destination)
        };
        self.succeed(invocation(&["read-tree", commit.as_str()]))
            .await?;
        self.succeed(invocation(&["checkout-index", "--all", "--quiet"]))
            .await?;
        Ok(())
    }
}

fn create_empty(directory: &Path) -> Result<(), GitError> {
    std::fs::create_dir_all(directory).map_err(GitError::io("create", directory))?;
    let mut entries = std::fs::read_dir(directory).map_err(GitError::io("list", directory))?;
    if entries.next().is_none() {
        return Ok(());
    }
    let taken = std::io::Error::from(std::io::ErrorKind::DirectoryNotEmpty);
    Err(GitError::io("fill", directory)(taken))
}
