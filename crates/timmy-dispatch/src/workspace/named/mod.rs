//! A clone of its own for each named agent: a person's coding agent, or another tool.
//!
//! Below `workspaces/NAME` lie the clone, a data directory, and what timmy keeps about it. Each has
//! a range of ports that no other one has.
//!
//! # Rules
//! - An agent may write in the clone, so git runs there in the sandbox only. Commits come in as a
//!   bundle that the host wrote, and go out as one that it reads as a plain file.
//! - Whatever is nowhere else is kept, unless a person says to destroy it.
//! - Every step leaves a state that the next command finishes or undoes.

mod bootstrap;
mod inside;
mod name;
mod ports;
mod record;
mod resume;
mod site;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_forge::PullFilter;
use timmy_git::BranchName;
use timmy_git::RefName;
use timmy_git::RefPattern;
use timmy_git::prepare_workspace;
use timmy_sandbox::Sandbox;

use super::base::branch_ref;
use super::error::WorkspaceError;
use super::settings::WorkspaceSettings;
use crate::sprint::Desk;

pub use bootstrap::Bootstrap;
pub use bootstrap::Step;
pub use inside::State;
pub use name::WorkspaceName;
pub use ports::PortRange;
pub use record::LastCheck;
pub use record::Record;
pub use resume::Resume;
pub use site::Listed;

use inside::Inside;
use site::Site;

/// Whether a person insists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Ask for everything that is to be asked for.
    Careful,
    /// The person said `--force`.
    Insist,
}

/// What a workspace is made for.
#[derive(Debug, Clone)]
pub struct New {
    /// Its name.
    pub name: WorkspaceName,
    /// The issue that the work is for.
    pub issue: Option<IssueNumber>,
}

/// What came of a reset.
#[derive(Debug, Clone, Serialize)]
pub struct Reset {
    /// The workspace now.
    pub workspace: Record,
    /// Where everything is that was nowhere else: a bundle, or the whole clone when git could not
    /// read it.
    pub kept: Option<PathBuf>,
}

/// Variables for whoever works in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// Names and values, in the order in which they are printed.
    pub variables: Vec<(&'static str, String)>,
}

impl Environment {
    /// The same by name.
    #[must_use]
    pub fn map(&self) -> BTreeMap<&'static str, &str> {
        let variables = self.variables.iter();
        variables
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }
}

/// The named workspaces of one repository.
pub struct Workspaces<'a> {
    /// The repository, its forge, and what is known of both.
    pub desk: &'a Desk,
    /// Where commands run in clones.
    pub sandbox: &'a dyn Sandbox,
    /// The operator's decisions.
    pub settings: &'a WorkspaceSettings,
}

/// Every workspace of this host by name; a record that cannot be understood is told as such.
///
/// # Errors
/// When the directory of workspaces cannot be listed.
pub fn list(root: &Path) -> Result<Vec<Listed>, WorkspaceError> {
    site::all(root)
}

/// The record of a workspace, and the variables for whoever works in it.
///
/// # Errors
/// TIMMY-0934 when there is none, TIMMY-0938 when its record cannot be understood.
pub fn environment(
    root: &Path,
    name: &WorkspaceName,
) -> Result<(Record, Environment), WorkspaceError> {
    let directory = root.join(site::DIRECTORY).join(name.as_str());
    let record = Record::read(&directory)?;
    let record = record.ok_or_else(|| WorkspaceError::Missing(name.to_string()))?;
    let environment = variables(&record, &directory);
    Ok((record, environment))
}

fn variables(record: &Record, directory: &Path) -> Environment {
    let path = |name: &str| directory.join(name).to_string_lossy().into_owned();
    Environment {
        variables: vec![
            ("TIMMY_WORKSPACE", record.name.to_string()),
            ("TIMMY_CLONE", path("clone")),
            ("DATA_DIR", path("data")),
            ("PORT_BASE", record.ports.first.to_string()),
            ("PORT_COUNT", record.ports.count.to_string()),
        ],
    }
}

impl Workspaces<'_> {
    /// Makes a workspace: a clone with a branch of its own on the newest base commit, a data
    /// directory, ports.
    ///
    /// # Errors
    /// TIMMY-0933 when there is one of this name, TIMMY-0936 when it is being made, TIMMY-0937
    /// without free ports, and what fetching and cloning can fail with.
    pub async fn init(&self, new: &New) -> Result<Record, WorkspaceError> {
        let site = Site::lock(&self.desk.root, &new.name)?;
        self.make(&site, new).await
    }

    async fn make(&self, site: &Site, new: &New) -> Result<Record, WorkspaceError> {
        if Record::read(site.path())?.is_some() {
            return Err(WorkspaceError::Exists(new.name.to_string()));
        }
        // Without a record it was never finished, and the lock is ours.
        timmy_sandbox::remove_tree(site.path())?;
        let (base_branch, base) = self.desk.base_of(None).await?;
        for directory in [site.path().to_owned(), site.data(), site.inbox()] {
            site.make(&directory)?;
        }
        self.sandbox.hand_over(&site.data())?;
        let branch = record::first_branch(&new.name);
        self.clone_into(site, &base_branch, &base, &branch).await?;
        site.exchange()?;
        // Held until the record is there: two workspaces must not choose the same ports.
        let root = self.desk.root.clone();
        let lock = tokio::task::spawn_blocking(move || site::lock_ports(&root)).await;
        let _lock = lock.map_err(|error| {
            WorkspaceError::io("lock", site.path())(std::io::Error::other(error))
        })??;
        let ports = self.free_ports()?;
        let now = self.desk.clock.now();
        let repo = &self.desk.repo;
        let mut record = Record::new(&new.name, repo, &base_branch, base, ports, now);
        record.issue = new.issue;
        record.write(site.path())?;
        Ok(record)
    }

    /// Back to the newest commit of the base branch, in a new clone. Refuses when something is
    /// nowhere else, unless a person insists: then it is kept in a bundle, or, when git cannot read
    /// the clone, by moving the clone away as it is. Files that git ignores are not in a bundle.
    ///
    /// # Errors
    /// TIMMY-0935 when something would be lost, TIMMY-0941 when the clone cannot be read.
    pub async fn reset(&self, name: &WorkspaceName, force: Force) -> Result<Reset, WorkspaceError> {
        let site = Site::lock(&self.desk.root, name)?;
        let mut record = site.record()?;
        let (base_branch, base) = self.desk.base_of(Some(&record.base_branch)).await?;
        // A reset that was killed may have moved it away already.
        let kept = match site.clone_path().exists() {
            true => {
                self.keep_what_is_unsaved(&site, &mut record, &base, force)
                    .await?
            }
            false => None,
        };
        let branch = record::first_branch(name);
        self.clone_into(&site, &base_branch, &base, &branch).await?;
        site.exchange()?;
        record.base = base;
        record.branch = branch;
        record.issue = None;
        record.last_check = None;
        record.write(site.path())?;
        site.clear_gone()?;
        Ok(Reset {
            workspace: record,
            kept,
        })
    }

    async fn keep_what_is_unsaved(
        &self,
        site: &Site,
        record: &mut Record,
        base: &ObjectName,
        force: Force,
    ) -> Result<Option<PathBuf>, WorkspaceError> {
        let state = match (self.look(site, record, base).await, force) {
            (Ok(state), _) => state,
            (Err(WorkspaceError::Clone { .. }), Force::Insist) => {
                return self.put_by(site).map(Some);
            }
            (Err(error), _) => return Err(error),
        };
        match (state.unsaved(), force) {
            (None, _) => Ok(None),
            (Some(what), Force::Careful) => Err(WorkspaceError::Unpublished {
                name: site.name.to_string(),
                what,
            }),
            (Some(_), Force::Insist) => self.keep(site, record).await.map(Some),
        }
    }

    /// Makes a new branch on the newest base commit and checks it out.
    ///
    /// # Errors
    /// TIMMY-0935 when files are changed, TIMMY-0941 when git refuses: there is such a branch.
    pub async fn branch(
        &self,
        name: &WorkspaceName,
        branch: &BranchName,
        issue: Option<IssueNumber>,
    ) -> Result<Record, WorkspaceError> {
        let site = Site::lock(&self.desk.root, name)?;
        let mut record = site.record()?;
        let (_, base) = self.desk.base_of(Some(&record.base_branch)).await?;
        let state = self.look(&site, &mut record, &base).await?;
        if !state.changed.is_empty() {
            return Err(WorkspaceError::Unpublished {
                name: name.to_string(),
                what: format!("{} changed files", state.changed.len()),
            });
        }
        self.inside(&site, &record)
            .branch(branch.as_str(), &base)
            .await?;
        record.branch = branch.as_str().to_owned();
        record.issue = issue;
        record.write(site.path())?;
        Ok(record)
    }

    /// Removes a workspace on two facts: nothing in it is unpublished, and no open pull request
    /// comes from its branches. A person who insists overrules both.
    ///
    /// # Errors
    /// TIMMY-0935 when something would be lost, TIMMY-0939 when a fact is missing.
    pub async fn destroy(&self, name: &WorkspaceName, force: Force) -> Result<(), WorkspaceError> {
        let site = Site::lock(&self.desk.root, name)?;
        if !site.path().exists() {
            return Err(WorkspaceError::Missing(name.to_string()));
        }
        let facts = match force {
            Force::Insist => [
                "a person said --force".to_owned(),
                "no process has its lock".to_owned(),
            ],
            Force::Careful => self.facts_for_removal(&site).await?,
        };
        let bytes = timmy_sandbox::footprint(site.path()).bytes;
        let gone = site.take_away(self.desk.clock.now().as_millisecond())?;
        let removed = EventKind::DirectoryRemoved {
            path: format!("{}/{name}", site::DIRECTORY),
            bytes,
            facts,
        };
        self.desk.events().append(None, removed).await?;
        Ok(timmy_sandbox::remove_tree(&gone)?)
    }

    async fn facts_for_removal(&self, site: &Site) -> Result<[String; 2], WorkspaceError> {
        let Some(mut record) = Record::read(site.path())? else {
            return Ok([
                "it has no record: it was never finished".to_owned(),
                "no process has its lock".to_owned(),
            ]);
        };
        let kept = |reason: String| WorkspaceError::Kept {
            name: site.name.to_string(),
            reason,
        };
        let told = |error: WorkspaceError| kept(format!("it cannot be looked at: {error}"));
        let newest = self.desk.base_of(Some(&record.base_branch)).await;
        let (_, base) = newest.map_err(told)?;
        let state = self.look(site, &mut record, &base).await.map_err(told)?;
        if let Some(what) = state.unsaved() {
            let name = site.name.to_string();
            return Err(WorkspaceError::Unpublished { name, what });
        }
        let mut branches = vec![record.branch.clone()];
        branches.extend(state.branch.filter(|branch| *branch != record.branch));
        for branch in branches {
            let open = self.open_pull(&branch).await.map_err(told)?;
            if let Some(number) = open {
                return Err(kept(format!("pull request #{number} comes from {branch}")));
            }
        }
        Ok([
            "everything in it is on the forge".to_owned(),
            "no open pull request comes from its branches".to_owned(),
        ])
    }

    async fn open_pull(&self, branch: &str) -> Result<Option<IssueNumber>, WorkspaceError> {
        let filter = PullFilter {
            head: Some(branch.to_owned()),
            ..PullFilter::default()
        };
        let open = self.desk.forge.pulls(&self.desk.repo, &filter).await?;
        Ok(open.first().map(|pull| pull.number))
    }

    /// What the clone holds, after it was given the newest base commit.
    async fn look(
        &self,
        site: &Site,
        record: &mut Record,
        base: &ObjectName,
    ) -> Result<State, WorkspaceError> {
        if !site.clone_path().exists() {
            return Err(WorkspaceError::Clone {
                name: site.name.to_string(),
                reason: "it is not there".to_owned(),
            });
        }
        // Where timmy is root, somebody may have worked in it as root too. git tells if it matters.
        if let Err(error) = self.sandbox.hand_over(&site.clone_path()) {
            tracing::warn!(workspace = %site.name, %error, "the clone is not the agent's alone");
        }
        let inside = self.inside(site, record);
        if *base != record.base {
            let base_branch = branch_ref(&record.base_branch)?;
            let bundle = site.inbox().join("base.bundle");
            site.make(&site.inbox())?;
            let bare = self.desk.bare().await?;
            let known = std::slice::from_ref(&record.base);
            // Nothing is newer when the base branch went back.
            if bare
                .write_bundle(&base_branch, known, &bundle)
                .await
                .is_err()
            {
                bare.write_bundle(&base_branch, &[], &bundle).await?;
            }
            inside.take_base(&bundle, &base_branch).await?;
            record.base = base.clone();
            record.write(site.path())?;
        }
        let published = self.published().await?;
        inside.state(base, &published).await
    }

    /// The commits at the ends of the forge's branches.
    async fn published(&self) -> Result<Vec<ObjectName>, WorkspaceError> {
        let heads: RefName = "refs/heads".parse().map_err(timmy_git::GitError::from)?;
        let bare = self.desk.bare().await?;
        let listed = bare
            .list_remote(&self.desk.remote, &[RefPattern::Below(heads)])
            .await?;
        Ok(listed.into_iter().map(|(_, object)| object).collect())
    }

    async fn clone_into(
        &self,
        site: &Site,
        base_branch: &str,
        base: &ObjectName,
        branch: &str,
    ) -> Result<(), WorkspaceError> {
        let bare = self.desk.bare().await?;
        let fresh = site.fresh();
        site.make(&fresh)?;
        prepare_workspace(&self.desk.git, &bare, base, base_branch, branch, &fresh).await?;
        self.sandbox.hand_over(&fresh)?;
        let inside = Inside {
            policy: self.desk.policy(&fresh),
            ..self.inside_of(site)
        };
        let url = self.desk.remote.url.as_str();
        let reference = branch_ref(base_branch)?;
        inside.name_origin(url, &reference, base).await
    }

    /// Ports that no other workspace has. A record that cannot be understood may hold any.
    fn free_ports(&self) -> Result<PortRange, WorkspaceError> {
        let mut taken = Vec::new();
        for listed in site::all(&self.desk.root)? {
            taken.push(listed.record?.ports);
        }
        let (base, ports) = (self.settings.port_base, self.settings.ports);
        ports::choose(base, ports, &taken, ports::nobody_listens)
            .ok_or(WorkspaceError::NoPorts { base, ports })
    }

    async fn keep(&self, site: &Site, record: &Record) -> Result<PathBuf, WorkspaceError> {
        let bundle = match self.inside(site, record).keep(&record.base).await {
            Ok(bundle) => bundle,
            Err(WorkspaceError::Clone { .. }) => return self.put_by(site),
            Err(error) => return Err(error),
        };
        site.make(&site.kept())?;
        let path = inside::kept_name(&site.kept(), &self.mark(), "bundle");
        let failed = |error: std::io::Error| WorkspaceError::io("write", &path)(error);
        let mut draft = tempfile::NamedTempFile::new_in(site.kept()).map_err(failed)?;
        std::io::Write::write_all(&mut draft, &bundle).map_err(failed)?;
        draft.as_file().sync_all().map_err(failed)?;
        draft.persist(&path).map_err(|error| failed(error.error))?;
        Ok(path)
    }

    fn put_by(&self, site: &Site) -> Result<PathBuf, WorkspaceError> {
        site.put_by(&format!("{}.clone", self.mark()))
    }

    /// A name by time, for what is kept.
    fn mark(&self) -> String {
        self.desk
            .clock
            .now()
            .strftime("%Y%m%dT%H%M%S%3f")
            .to_string()
    }

    fn inside<'a>(&'a self, site: &'a Site, record: &Record) -> Inside<'a> {
        let mut inside = self.inside_of(site);
        let environment = variables(record, site.path());
        let environment = environment.variables.into_iter();
        let owned = environment.map(|(name, value)| (name.to_owned(), value));
        inside.policy.environment.extend(owned);
        inside
    }

    fn inside_of<'a>(&'a self, site: &'a Site) -> Inside<'a> {
        let mut policy = self.desk.policy(&site.clone_path());
        policy.writable.push(site.data());
        policy.read_only.push(site.inbox());
        Inside {
            name: &site.name,
            sandbox: self.sandbox,
            policy,
            redactor: &self.desk.redactor,
        }
    }
}
