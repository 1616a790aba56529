//! A `WORKFLOW.md` that the operator named on the command line: it says where issues come from, and it
//! stands in for the file of every repository.

use std::path::Path;
use std::path::PathBuf;

use secrecy::SecretString;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_dispatch::workflow::Adapter;
use timmy_dispatch::workflow::Origin;
use timmy_dispatch::workflow::Surroundings;
use timmy_dispatch::workflow::Workflow;
use timmy_dispatch::workflow::read_file;

use crate::config::Config;
use crate::home;

/// The file and what it means on this machine.
#[derive(Clone)]
pub(crate) struct NamedWorkflow {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) workflow: Workflow,
    /// Where issues come from, when it says so.
    pub(crate) adapter: Option<Adapter>,
    /// The directory of workspaces in its terms.
    pub(crate) workspaces: PathBuf,
}

impl NamedWorkflow {
    /// Reads the file that was given, or `WORKFLOW.md` in the current directory.
    pub(crate) fn read(given: Option<&Path>) -> Result<Self, Problem> {
        let current = std::env::current_dir().map_err(|error| {
            Problem::new(
                Code::new(803),
                ExitStatus::NotFound,
                format!("there is no current directory: {error}"),
            )
            .fix("change to a directory that exists")
        })?;
        let told = |error: &dyn Coded| error.problem();
        let path = match Origin::file(given, &current) {
            Origin::File(path) => path,
            Origin::Repository => current.join(timmy_dispatch::workflow::DEFAULT_FILE),
        };
        let text = read_file(&path).map_err(|error| told(&error))?;
        let workflow = Workflow::parse(&text).map_err(|error| told(&error))?;
        let variable = |name: &str| std::env::var(name).ok();
        let home = std::env::home_dir();
        let runs = home::private_root()
            .map_err(|error| told(&error))?
            .join("runs");
        let surroundings = Surroundings {
            variable: &variable,
            home: home.as_deref(),
            directory: path.parent().unwrap_or(&current),
            workspaces: &runs,
        };
        let adapter = match workflow.tracker.kind {
            None => None,
            Some(_) => {
                let adapter = surroundings.adapter(&workflow.tracker);
                Some(adapter.map_err(|error| told(&error))?)
            }
        };
        let root = workflow.workspace_root.as_deref();
        let workspaces = surroundings.workspace_root(root);
        Ok(Self {
            workspaces: workspaces.map_err(|error| told(&error))?,
            path,
            workflow,
            adapter,
        })
    }

    /// The configuration with what the file says about the forge. Everything else stays the
    /// operator's.
    pub(crate) fn apply(&self, config: &mut Config) {
        let Some(adapter) = &self.adapter else {
            return;
        };
        let forge = &mut config.forge;
        forge.kind = adapter.kind;
        forge.repositories.clone_from(&adapter.repositories);
        forge.url = adapter.url.clone().or(forge.url.take());
        if let Some(user) = &adapter.user {
            forge.user.clone_from(user);
        }
    }

    /// The token it leads to.
    pub(crate) fn token(&self) -> Option<&SecretString> {
        self.adapter.as_ref()?.token.as_ref()
    }
}
