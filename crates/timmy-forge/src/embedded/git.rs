//! git in a bare repository of the forge's own.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use timmy_core::Clock;
use timmy_core::ObjectName;
use timmy_core::text;
use timmy_git::BranchName;
use timmy_git::Git;
use timmy_git::RefName;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use tokio::process::Command;

use super::error::EmbeddedError;

/// The most of git's own words that go into an error, in bytes.
const SAID_LIMIT: usize = 2000;

/// Beyond what every call of git gets. Nobody writes to the refs of pull requests but the forge;
/// what is pushed is checked; a client may ask for any commit by name, and for a part.
const SETTINGS: [(&str, &str); 5] = [
    ("receive.autogc", "false"),
    ("receive.fsckObjects", "true"),
    ("receive.hideRefs", "refs/pull"),
    ("uploadpack.allowAnySHA1InWant", "true"),
    ("uploadpack.allowFilter", "true"),
];

/// The host's git program as a server uses it.
#[derive(Clone)]
pub(super) struct GitProgram {
    git: Git,
    clock: Arc<dyn Clock>,
}

/// What git printed.
pub(super) struct Output {
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Output {
    pub(super) fn stderr_says(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.stderr).contains(words)
    }
}

impl GitProgram {
    /// Uses `private` for an empty home directory and an empty configuration file.
    pub(super) fn new(private: &Path, clock: Arc<dyn Clock>) -> Result<Self, EmbeddedError> {
        make_directory(private)?;
        let git = Git::new(private)?;
        Ok(Self { git, clock })
    }

    /// A call of git, its three streams piped. Dropping the child ends it.
    fn command<I, A>(&self, bare: &Path, arguments: I) -> Command
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let settings = SETTINGS.map(|(key, value)| ["-c".into(), format!("{key}={value}").into()]);
        let mut all: Vec<OsString> = settings.concat();
        all.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self.git.command_in(bare, all)
    }
}

/// Makes a directory that is the owner's alone, with its parents.
pub(super) fn make_directory(path: &Path) -> Result<(), EmbeddedError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(EmbeddedError::files(path))
}

/// Feeds a child and reads it to its end.
pub(super) async fn converse(mut child: Child, input: &[u8]) -> io::Result<Output> {
    let stdin = child.stdin.take();
    let feeding = async {
        if let Some(mut stdin) = stdin {
            // A child that has heard enough closes its end.
            let fed = stdin.write_all(input).await;
            tracing::trace!(?fed, "fed git");
        }
    };
    let ((), output) = tokio::join!(feeding, child.wait_with_output());
    let output = output?;
    Ok(Output {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: output.stderr,
    })
}

/// A bare repository.
#[derive(Clone)]
pub(super) struct Bare {
    git: GitProgram,
    path: PathBuf,
}

/// A name and an e-mail address for commits that the forge makes.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    pub(super) name: String,
    pub(super) email: String,
    /// In a form that git reads: RFC 3339, or `@SECONDS +0000`.
    pub(super) date: String,
}

/// A commit to be written.
#[derive(Debug, Clone)]
pub(super) struct NewCommit<'a> {
    pub(super) tree: &'a str,
    pub(super) parents: &'a [&'a str],
    pub(super) author: &'a Signature,
    pub(super) committer: &'a Signature,
    pub(super) message: &'a str,
}

/// A ref and what it points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) object: String,
    pub(super) kind: String,
}

impl Bare {
    pub(super) fn new(git: GitProgram, path: PathBuf) -> Self {
        Self { git, path }
    }

    /// Makes it if it is not there: wholly or not at all.
    pub(super) async fn ensure(&self, default_branch: &str) -> Result<(), EmbeddedError> {
        if self.path.join("HEAD").exists() {
            return Ok(());
        }
        let parent = self.path.parent().unwrap_or(&self.path);
        let fail = EmbeddedError::files(parent);
        let fresh = tempfile::Builder::new()
            .prefix("new-")
            .tempdir_in(parent)
            .map_err(fail)?;
        let branch = format!("--initial-branch={default_branch}");
        let arguments = ["init", "--quiet", "--bare", "--template=", &branch, "."];
        let command = self.git.command(fresh.path(), arguments);
        let output = finish(command, &[]).await?;
        succeeded("init", &output)?;
        match fs::rename(fresh.path(), &self.path) {
            Ok(()) => {
                let _moved_away = fresh.keep();
                Ok(())
            }
            // Somebody else was faster.
            Err(_) if self.path.join("HEAD").exists() => Ok(()),
            Err(error) => Err(EmbeddedError::files(&self.path)(error)),
        }
    }

    pub(super) fn remove(&self) -> Result<(), EmbeddedError> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EmbeddedError::files(&self.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// A call of git in here.
    pub(super) fn command<I: IntoIterator<Item = A>, A: AsRef<OsStr>>(
        &self,
        arguments: I,
    ) -> Command {
        self.git.command(&self.path, arguments)
    }

    /// Runs git to its end, whatever that is.
    pub(super) async fn run<I: IntoIterator<Item = A>, A: AsRef<OsStr>>(
        &self,
        arguments: I,
    ) -> Result<Output, EmbeddedError> {
        finish(self.command(arguments), &[]).await
    }

    /// Runs git, which must succeed.
    pub(super) async fn succeed<I: IntoIterator<Item = A>, A: AsRef<OsStr>>(
        &self,
        arguments: I,
    ) -> Result<Vec<u8>, EmbeddedError> {
        let arguments: Vec<OsString> = arguments
            .into_iter()
            .map(|argument| argument.as_ref().to_owned())
            .collect();
        let output = self.run(&arguments).await?;
        let subcommand = arguments.first().cloned().unwrap_or_default();
        succeeded(&subcommand.to_string_lossy(), &output)?;
        Ok(output.stdout)
    }

    /// Every ref whose name begins like this, by name.
    pub(super) async fn references(&self, prefix: &str) -> Result<Vec<Reference>, EmbeddedError> {
        let format = "--format=%(refname)%00%(objectname)%00%(objecttype)";
        let printed = self.succeed(["for-each-ref", format]).await?;
        let printed = String::from_utf8_lossy(&printed).into_owned();
        let references = printed.lines().filter_map(|line| {
            let mut fields = line.split('\0').map(str::to_owned);
            Some(Reference {
                name: fields.next()?,
                object: fields.next()?,
                kind: fields.next()?,
            })
        });
        Ok(references
            .filter(|reference| reference.name.starts_with(prefix))
            .collect())
    }

    /// The commit at the tip of a branch.
    pub(super) async fn branch(&self, name: &str) -> Result<Option<String>, EmbeddedError> {
        match branch_ref(name) {
            Some(reference) => self.commit_at(&reference).await,
            None => Ok(None),
        }
    }

    /// The commit that a ref or an object's name stands for.
    pub(super) async fn commit_at(&self, revision: &str) -> Result<Option<String>, EmbeddedError> {
        let is_name = (4..=64).contains(&revision.len())
            && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_name && revision.parse::<RefName>().is_err() {
            return Ok(None);
        }
        let commit = format!("{revision}^{{commit}}");
        let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
        let output = self
            .run(arguments.into_iter().chain([commit.as_str()]))
            .await?;
        if output.code != 0 {
            return Ok(None);
        }
        let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(name.parse::<ObjectName>().ok().map(String::from))
    }

    /// Moves a ref, if it still is where it is believed to be. An empty name stands for absence.
    pub(super) async fn move_reference(
        &self,
        reference: &str,
        from: &str,
        to: &str,
    ) -> Result<bool, EmbeddedError> {
        let arguments = match to {
            "" => vec!["update-ref", "-d", reference, from],
            to => vec!["update-ref", reference, to, from],
        };
        Ok(self.run(arguments).await?.code == 0)
    }

    /// Writes a commit object and answers its name.
    pub(super) async fn write_commit(&self, new: &NewCommit<'_>) -> Result<String, EmbeddedError> {
        let mut command = self.command(["commit-tree", "-F", "-"]);
        for parent in new.parents {
            command.args(["-p", parent]);
        }
        command
            .arg(new.tree)
            .env("GIT_AUTHOR_NAME", &new.author.name)
            .env("GIT_AUTHOR_EMAIL", &new.author.email)
            .env("GIT_AUTHOR_DATE", &new.author.date)
            .env("GIT_COMMITTER_NAME", &new.committer.name)
            .env("GIT_COMMITTER_EMAIL", &new.committer.email)
            .env("GIT_COMMITTER_DATE", &new.committer.date);
        let output = finish(command, new.message.as_bytes()).await?;
        succeeded("commit-tree", &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The forge's time as git reads it.
    pub(super) fn date(&self) -> String {
        format!("@{} +0000", self.git.clock.now().as_second())
    }
}

/// Runs a prepared call to its end.
pub(super) async fn finish(mut command: Command, input: &[u8]) -> Result<Output, EmbeddedError> {
    let child = command.spawn().map_err(EmbeddedError::GitMissing)?;
    converse(child, input)
        .await
        .map_err(EmbeddedError::GitMissing)
}

pub(super) fn succeeded(subcommand: &str, output: &Output) -> Result<(), EmbeddedError> {
    if output.code == 0 {
        return Ok(());
    }
    Err(failed(subcommand, output))
}

pub(super) fn failed(subcommand: &str, output: &Output) -> EmbeddedError {
    let said = String::from_utf8_lossy(&output.stderr);
    EmbeddedError::GitFailed {
        command: subcommand.to_owned(),
        said: text::bound(&text::clean_line(&said), SAID_LIMIT).into_owned(),
    }
}

/// `refs/heads/NAME`, if that is a ref's name.
pub(super) fn branch_ref(name: &str) -> Option<String> {
    let branch: BranchName = name.parse().ok()?;
    Some(branch.reference().as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_cannot_be_an_option_or_an_expression() {
        for bad in [
            "", "-d", "a..b", "a b", "a^", "a~1", "a:b", "a@{1}", "a/", "/a", "a//b", ".a", "a/.b",
            "a.lock", "a.lock/b", "a.", "a\n", "HEAD", "a*", "a\\b",
        ] {
            assert_eq!(None, branch_ref(bad), "{bad:?}");
        }
        assert_eq!(
            Some("refs/heads/timmy/12-1".to_owned()),
            branch_ref("timmy/12-1")
        );
    }
}
