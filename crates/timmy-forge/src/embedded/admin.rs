//! What the operator does without HTTP: users, tokens, repositories.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use secrecy::SecretString;
use timmy_core::RepoName;
use timmy_core::text;
use timmy_store::forge;

use super::EmbeddedForge;
use super::access;
use super::credentials;
use super::credentials::Scope;
use super::credentials::Scopes;
use super::error::EmbeddedError;
use super::git;
use super::git::Bare;
use super::git::Signature;

/// The branch of a repository that names none.
pub(super) const DEFAULT_BRANCH: &str = "main";
/// Lets git read a repository on this machine, which every other call may not.
const FROM_DISK: &str = "protocol.file.allow=always";
/// 160 bits, as many as a Gitea token has.
const TOKEN_BYTES: usize = 20;

/// What a new repository begins with.
#[derive(Debug, Clone, Default)]
pub enum InitialCommit {
    /// Nothing: its default branch is unborn.
    #[default]
    Empty,
    /// One commit with these files (path and content).
    Files(Vec<(String, Vec<u8>)>),
}

/// A repository to be made.
#[derive(Debug, Clone)]
pub struct NewRepository {
    /// Its owner, who must exist, and its name.
    pub name: RepoName,
    /// One line about it.
    pub description: String,
    /// Only its owner and collaborators can see it.
    pub private: bool,
    /// What it begins with.
    pub content: InitialCommit,
}

impl EmbeddedForge {
    /// Adds a user.
    ///
    /// # Errors
    /// When the name is taken or cannot be a name.
    pub async fn create_user(&self, name: &str) -> Result<(), EmbeddedError> {
        if RepoName::new(name, "x").is_err() {
            return Err(EmbeddedError::BadName(name.chars().take(80).collect()));
        }
        let added = self.shared.tables.add_user(name).await?;
        added
            .map(drop)
            .ok_or_else(|| EmbeddedError::Exists(name.to_owned()))
    }

    /// Makes a token for a user. This is the only time that it can be seen.
    ///
    /// # Errors
    /// When there is no such user.
    pub async fn create_token(
        &self,
        user: &str,
        label: &str,
        scopes: &[Scope],
    ) -> Result<SecretString, EmbeddedError> {
        let found = self.shared.tables.user(user).await?;
        let found = found.ok_or_else(|| EmbeddedError::Unknown(format!("user {user}")))?;
        let mut random = [0; TOKEN_BYTES];
        let source = Path::new("/dev/urandom");
        File::open(source)
            .and_then(|mut file| file.read_exact(&mut random))
            .map_err(EmbeddedError::files(source))?;
        let token = SecretString::from(text::hexadecimal(&random));
        let scopes = Scopes::of(scopes).to_string();
        let digest = credentials::digest(&token);
        self.shared
            .tables
            .add_token(found.id, label, &digest, &scopes)
            .await?;
        Ok(token)
    }

    /// Makes a repository.
    ///
    /// # Errors
    /// When its owner does not exist or has a repository of that name.
    pub async fn create_repository(&self, new: &NewRepository) -> Result<(), EmbeddedError> {
        let (bare, owner) = self.add_repository(new).await?;
        match &new.content {
            InitialCommit::Empty => Ok(()),
            InitialCommit::Files(files) => {
                let author = Signature {
                    email: access::email(&owner),
                    name: owner,
                    date: bare.date(),
                };
                commit_files(&bare, DEFAULT_BRANCH, &author, files).await
            }
        }
    }

    /// Makes a repository with the branches and tags of a local git directory, which is only read.
    ///
    /// # Errors
    /// When its owner does not exist or has a repository of that name, or git refuses the source.
    pub async fn import_repository(
        &self,
        new: &NewRepository,
        source: &Path,
    ) -> Result<(), EmbeddedError> {
        let (bare, _) = self.add_repository(new).await?;
        let mut fetch =
            bare.command(["-c", FROM_DISK, "fetch", "--quiet", "--no-write-fetch-head"]);
        fetch
            .arg("--end-of-options")
            .arg(source)
            .args(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]);
        let output = git::finish(fetch, &[]).await?;
        git::succeeded("fetch", &output)?;
        let mut list = bare.command(["-c", FROM_DISK, "ls-remote", "--symref"]);
        list.arg("--end-of-options").arg(source).arg("HEAD");
        let output = git::finish(list, &[]).await?;
        git::succeeded("ls-remote", &output)?;
        match head_branch(&String::from_utf8_lossy(&output.stdout)) {
            Some(branch) => self.set_default_branch(&new.name, &bare, branch).await,
            None => Ok(()),
        }
    }

    async fn set_default_branch(
        &self,
        name: &RepoName,
        bare: &Bare,
        branch: &str,
    ) -> Result<(), EmbeddedError> {
        let bad_name = || EmbeddedError::BadName(branch.to_owned());
        let reference = git::branch_ref(branch).ok_or_else(bad_name)?;
        bare.succeed(["symbolic-ref", "HEAD", &reference]).await?;
        let tables = &self.shared.tables;
        let found = tables.repository(name.owner(), name.name()).await?;
        let found = found.ok_or_else(|| EmbeddedError::Unknown(name.to_string()))?;
        let edit = forge::RepositoryEdit {
            default_branch: Some(branch.to_owned()),
            ..forge::RepositoryEdit::default()
        };
        Ok(tables.edit_repository(found.id, edit).await?)
    }

    /// Lets a user into a repository.
    ///
    /// # Errors
    /// When there is no such user or repository.
    pub async fn add_collaborator(
        &self,
        repository: &RepoName,
        user: &str,
        permission: forge::Permission,
    ) -> Result<(), EmbeddedError> {
        let tables = &self.shared.tables;
        let (owner, name) = (repository.owner(), repository.name());
        let found = tables.repository(owner, name).await?;
        let found = found.ok_or_else(|| EmbeddedError::Unknown(repository.to_string()))?;
        let user_row = tables.user(user).await?;
        let user_row = user_row.ok_or_else(|| EmbeddedError::Unknown(format!("user {user}")))?;
        tables
            .set_collaborator(found.id, user_row.id, permission)
            .await?;
        Ok(())
    }

    /// Every repository.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn repositories(&self) -> Result<Vec<forge::Repository>, EmbeddedError> {
        Ok(self.shared.tables.repositories().await?)
    }

    async fn add_repository(&self, new: &NewRepository) -> Result<(Bare, String), EmbeddedError> {
        let tables = &self.shared.tables;
        let owner = tables.user(new.name.owner()).await?;
        let unknown = || EmbeddedError::Unknown(format!("user {}", new.name.owner()));
        let owner = owner.ok_or_else(unknown)?;
        let row = forge::NewRepository {
            owner: owner.id,
            name: new.name.name(),
            description: &new.description,
            default_branch: DEFAULT_BRANCH,
            private: new.private,
        };
        let added = tables.add_repository(&row).await?;
        let id = added.ok_or_else(|| EmbeddedError::Exists(new.name.to_string()))?;
        let bare = self.shared.bare(id);
        bare.ensure(DEFAULT_BRANCH).await?;
        Ok((bare, owner.name))
    }
}

/// `ref: refs/heads/NAME TAB HEAD`, as `git ls-remote --symref` prints it first.
fn head_branch(printed: &str) -> Option<&str> {
    let target = printed.lines().next()?.strip_prefix("ref: refs/heads/")?;
    Some(target.split_once('\t')?.0)
}

/// Puts one commit with these files on a branch that is not there yet, through a fast-import
/// stream: no index, no working tree.
pub(super) async fn commit_files(
    bare: &Bare,
    branch: &str,
    author: &Signature,
    files: &[(String, Vec<u8>)],
) -> Result<(), EmbeddedError> {
    let bad_name = || EmbeddedError::BadName(branch.to_owned());
    let reference = git::branch_ref(branch).ok_or_else(bad_name)?;
    let mut tree = Vec::new();
    for (path, content) in files {
        if path.is_empty() || path.contains(['\n', '"', '\0']) || path.starts_with('/') {
            return Err(EmbeddedError::BadName(path.clone()));
        }
        let blob = git::finish(bare.command(["hash-object", "-w", "--stdin"]), content).await?;
        git::succeeded("hash-object", &blob)?;
        let name = String::from_utf8_lossy(&blob.stdout).trim().to_owned();
        tree.push(format!("M 100644 {name} {path}\n"));
    }
    let Signature { name, email, date } = author;
    let date = date.trim_start_matches('@');
    let message = "Initial commit\n";
    let stream = format!(
        "commit {reference}\ncommitter {name} <{email}> {date}\ndata {}\n{message}{}\n",
        message.len(),
        tree.concat()
    );
    let output = git::finish(bare.command(["fast-import", "--quiet"]), stream.as_bytes()).await?;
    git::succeeded("fast-import", &output)
}
