//! A bare repository that only timmy writes: where the host looks at commits and pushes from.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use timmy_core::ObjectName;

use crate::classify;
use crate::error::GitError;
use crate::names::RefName;
use crate::names::RefPattern;
use crate::names::Refspec;
use crate::names::Revision;
use crate::program::Git;
use crate::program::Invocation;
use crate::program::Output;
use crate::program::Place;
use crate::remote::Remote;

/// Who timmy is in the commits that it makes.
pub(crate) const AUTHOR_NAME: &str = "timmy";
/// `.invalid` can never be somebody's mailbox (RFC 2606).
pub(crate) const AUTHOR_EMAIL: &str = "timmy@timmy.invalid";

/// The tree without entries, written when a repository is made.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// The longest part of a commit before its message that is read, in bytes.
const COMMIT_HEADERS: usize = 4_096;

/// A bare repository of the host.
#[derive(Debug, Clone)]
pub struct BareRepository {
    git: Git,
    path: PathBuf,
}

impl BareRepository {
    /// Opens the repository at `path`, making it first when nothing is there.
    ///
    /// # Errors
    /// [`GitError::Failed`] when git cannot make it, [`GitError::Io`] for its directory.
    pub async fn open_or_init(git: &Git, path: &Path) -> Result<Self, GitError> {
        if !path.join("HEAD").is_file() {
            Self::make(git, path).await?;
        }
        Ok(Self {
            git: git.clone(),
            path: path.to_owned(),
        })
    }

    /// Makes an empty repository, wholly or not at all: other processes look for it, and this one
    /// may be killed.
    async fn make(git: &Git, path: &Path) -> Result<(), GitError> {
        let parent = path.parent().unwrap_or(path);
        std::fs::create_dir_all(parent).map_err(GitError::io("create", parent))?;
        let fresh = tempfile::Builder::new().prefix("new-").tempdir_in(parent);
        let fresh = fresh.map_err(GitError::io("create", parent))?;
        let arguments = ["init", "--quiet", "--bare", "--template=", "."];
        git.succeed(Invocation::new(arguments).at(Place::Tree(fresh.path())))
            .await?;
        let empty_tree = Invocation::new(["mktree"]).input("");
        git.succeed(empty_tree.at(Place::Bare(fresh.path())))
            .await?;
        match std::fs::rename(fresh.path(), path) {
            Ok(()) => {
                let _moved_away = fresh.keep();
                Ok(())
            }
            // Somebody else was faster.
            Err(_) if path.join("HEAD").is_file() => Ok(()),
            Err(error) => Err(GitError::io("create", path)(error)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The git it uses.
    #[must_use]
    pub fn git(&self) -> &Git {
        &self.git
    }

    pub(crate) async fn run(&self, invocation: Invocation<'_>) -> Result<Output, GitError> {
        self.git.run(invocation.at(Place::Bare(&self.path))).await
    }

    pub(crate) async fn succeed(&self, invocation: Invocation<'_>) -> Result<Output, GitError> {
        self.git
            .succeed(invocation.at(Place::Bare(&self.path)))
            .await
    }

    /// Runs a command that prints one object name.
    pub(crate) async fn object(
        &self,
        subcommand: &str,
        invocation: Invocation<'_>,
    ) -> Result<ObjectName, GitError> {
        let text = self.succeed(invocation).await?.into_text(subcommand)?;
        ObjectName::from_str(text.trim())
            .map_err(|error| GitError::unreadable(subcommand, error.to_string()))
    }

    /// Fetches refs or commits, with git's object checks.
    ///
    /// # Errors
    /// [`GitError::Unauthorized`], [`GitError::Forbidden`], [`GitError::NotFound`] for a repository
    /// or ref that is not there, [`GitError::Network`], [`GitError::UnsafeObjects`].
    pub async fn fetch(&self, remote: &Remote, refspecs: &[Refspec]) -> Result<(), GitError> {
        let mut arguments = words(&[
            "fetch",
            "--progress",
            "--no-tags",
            "--no-write-fetch-head",
            "--recurse-submodules=no",
            "--end-of-options",
            remote.url.as_str(),
        ]);
        arguments.extend(refspecs.iter().map(|spec| OsString::from(spec.as_str())));
        let output = self.run(Invocation::new(arguments).remote(remote)).await?;
        if output.success() {
            return Ok(());
        }
        Err(classify::reading_failure(&output, "fetch", remote))
    }

    /// The refs of the other side that match, by name. An empty repository has none.
    ///
    /// # Errors
    /// As for [`Self::fetch`].
    pub async fn list_remote(
        &self,
        remote: &Remote,
        patterns: &[RefPattern],
    ) -> Result<Vec<(RefName, ObjectName)>, GitError> {
        let options = ["ls-remote", "--quiet", "--refs", "--end-of-options"];
        let mut arguments = words(&options);
        arguments.push(remote.url.as_str().into());
        arguments.extend(patterns.iter().map(|pattern| pattern.argument().into()));
        let output = self.run(Invocation::new(arguments).remote(remote)).await?;
        if !output.success() {
            return Err(classify::reading_failure(&output, "ls-remote", remote));
        }
        let listed = parse_ref_list(&output.into_text("ls-remote")?);
        let wanted = |name: &RefName| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
        };
        Ok(listed
            .into_iter()
            .filter(|(name, _)| wanted(name))
            .collect())
    }

    /// The commit that something names, if it exists here.
    ///
    /// # Errors
    /// [`GitError::Failed`] when the repository is broken.
    pub async fn resolve(&self, revision: &Revision) -> Result<Option<ObjectName>, GitError> {
        let commit = format!("{revision}^{{commit}}");
        let arguments = [
            "rev-parse",
            "--quiet",
            "--verify",
            "--end-of-options",
            &commit,
        ];
        let output = self.run(Invocation::new(arguments)).await?;
        match output.status.code() {
            Some(0) => {
                let text = output.into_text("rev-parse")?;
                let name = ObjectName::from_str(text.trim());
                name.map(Some)
                    .map_err(|error| GitError::unreadable("rev-parse", error.to_string()))
            }
            // A missing object is a "fatal" of its own, a missing ref is silent.
            Some(1 | 128) => Ok(None),
            _ => Err(output.failure("rev-parse")),
        }
    }

    /// The tree of a commit.
    ///
    /// # Errors
    /// [`GitError::Failed`] when the commit is not here.
    pub async fn tree_of(&self, commit: &ObjectName) -> Result<ObjectName, GitError> {
        let tree = format!("{commit}^{{tree}}");
        let arguments = ["rev-parse", "--verify", "--end-of-options", &tree];
        self.object("rev-parse", Invocation::new(arguments)).await
    }

    /// The commit at which two histories parted, or `None` when they share nothing.
    ///
    /// # Errors
    /// [`GitError::Failed`] when a commit is not here.
    pub async fn merge_base(
        &self,
        one: &ObjectName,
        other: &ObjectName,
    ) -> Result<Option<ObjectName>, GitError> {
        let arguments = ["merge-base", one.as_str(), other.as_str()];
        let output = self.run(Invocation::new(arguments)).await?;
        match output.status.code() {
            Some(0) => ObjectName::from_str(output.into_text("merge-base")?.trim())
                .map(Some)
                .map_err(|error| GitError::unreadable("merge-base", error.to_string())),
            Some(1) => Ok(None),
            _ => Err(output.failure("merge-base")),
        }
    }

    /// Writes a commit without parents on the empty tree: the carrier of a claim.
    ///
    /// # Errors
    /// [`GitError::Failed`] when the disk refuses.
    pub async fn empty_commit(&self, message: &str, at: Timestamp) -> Result<ObjectName, GitError> {
        let tree = EMPTY_TREE.parse()?;
        self.commit_tree(&tree, &[], message, at).await
    }

    /// Writes a tree of plain files, each given by its name, without directories, and its contents.
    ///
    /// # Errors
    /// [`GitError::Failed`] when a name is none that git takes, or the disk refuses.
    pub async fn tree_of_files(&self, files: &[(&str, &[u8])]) -> Result<ObjectName, GitError> {
        let mut listing = Vec::new();
        for (name, contents) in files {
            let write = Invocation::new(["hash-object", "-w", "--stdin"]).input(*contents);
            let blob = self.object("hash-object", write).await?;
            listing.extend_from_slice(format!("100644 blob {blob}\t{name}\0").as_bytes());
        }
        let tree = Invocation::new(["mktree", "-z"]).input(listing);
        self.object("mktree", tree).await
    }

    /// Writes a commit in timmy's own name.
    ///
    /// # Errors
    /// [`GitError::Failed`] when an object is missing or the disk refuses.
    pub async fn commit_tree(
        &self,
        tree: &ObjectName,
        parents: &[&ObjectName],
        message: &str,
        at: Timestamp,
    ) -> Result<ObjectName, GitError> {
        let mut arguments = words(&["commit-tree", "-F", "-"]);
        for parent in parents {
            arguments.extend([OsString::from("-p"), parent.as_str().into()]);
        }
        arguments.push(tree.as_str().into());
        let date = format!("@{} +0000", at.as_second());
        let invocation = Invocation::new(arguments)
            .input(message)
            .variable("GIT_AUTHOR_NAME", AUTHOR_NAME)
            .variable("GIT_AUTHOR_EMAIL", AUTHOR_EMAIL)
            .variable("GIT_AUTHOR_DATE", &date)
            .variable("GIT_COMMITTER_NAME", AUTHOR_NAME)
            .variable("GIT_COMMITTER_EMAIL", AUTHOR_EMAIL)
            .variable("GIT_COMMITTER_DATE", &date);
        self.object("commit-tree", invocation).await
    }

    /// The message of a commit, at most `limit` bytes of it, lossily decoded.
    ///
    /// # Errors
    /// [`GitError::Failed`] when the commit is not here.
    pub async fn message(&self, commit: &ObjectName, limit: usize) -> Result<String, GitError> {
        let invocation = Invocation::new(["cat-file", "commit", commit.as_str()])
            .limit(limit, crate::stream::Overflow::Cut);
        let output = self.succeed(invocation).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let message = text.split_once("\n\n").map_or("", |(_, message)| message);
        Ok(message.to_owned())
    }

    /// When a commit was made, by the clock of whoever made it. None when it does not say so in a
    /// way that can be read.
    ///
    /// # Errors
    /// [`GitError::Failed`] when the commit is not here.
    pub async fn committed_at(&self, commit: &ObjectName) -> Result<Option<Timestamp>, GitError> {
        let invocation = Invocation::new(["cat-file", "commit", commit.as_str()])
            .limit(COMMIT_HEADERS, crate::stream::Overflow::Cut);
        let output = self.succeed(invocation).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let headers = text.split("\n\n").next().unwrap_or_default();
        Ok(committer_time(headers))
    }

    /// Points a ref of ours at a commit.
    ///
    /// # Errors
    /// [`GitError::Failed`] when the commit is not here.
    pub async fn set_ref(&self, name: &RefName, commit: &ObjectName) -> Result<(), GitError> {
        let arguments = [
            "update-ref",
            "--end-of-options",
            name.as_str(),
            commit.as_str(),
        ];
        self.succeed(Invocation::new(arguments)).await.map(drop)
    }

    /// Removes a ref of ours; one that is not there is no error.
    ///
    /// # Errors
    /// [`GitError::Failed`] when the disk refuses.
    pub async fn remove_ref(&self, name: &RefName) -> Result<(), GitError> {
        let arguments = ["update-ref", "-d", "--end-of-options", name.as_str()];
        self.succeed(Invocation::new(arguments)).await.map(drop)
    }
}

pub(crate) fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// `committer NAME <ADDRESS> SECONDS ZONE`; the name may hold anything but a line end.
fn committer_time(headers: &str) -> Option<Timestamp> {
    let mut lines = headers.lines();
    let committer = lines.find_map(|line| line.strip_prefix("committer "))?;
    let seconds = committer.rsplit(' ').nth(1)?.parse().ok()?;
    Timestamp::from_second(seconds).ok()
}

/// Lines of `object TAB ref`. Refs whose names timmy does not accept are none of its business.
fn parse_ref_list(text: &str) -> Vec<(RefName, ObjectName)> {
    let parse = |line: &str| {
        let (object, name) = line.split_once('\t')?;
        Some((name.parse().ok()?, object.parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_listing_is_read_without_panic(text in any::<String>()) {
            let _ = parse_ref_list(&text);
        }

        #[test]
        fn a_listing_is_read_back(names in proptest::collection::vec("[a-z]{1,8}", 0..6)) {
            let object = "a".repeat(40);
            let text: String =
                names.iter().map(|name| format!("{object}\trefs/heads/{name}\n")).collect();
            let read: Vec<String> = parse_ref_list(&text)
                .into_iter()
                .filter_map(|(name, _)| name.branch().map(str::to_owned))
                .collect();
            prop_assert_eq!(names, read);
        }
    }
}
