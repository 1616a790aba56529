//! Looking at a repository: what changed, or everything.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::ObjectName;
use timmy_core::Problem;
use timmy_forge::Changes;
use timmy_forge::Feed;

use crate::night::Brief;
use crate::night::Extent;
use crate::night::Listing;
use crate::night::Terms;
use crate::night::failure;
use crate::night::failure::Fault;
use crate::sprint::OwnPulls;
use crate::sprint::Sprint;
use crate::workflow::Workflow;

/// A repository that a loop works on.
pub(super) struct Post {
    pub(super) sprint: Arc<Sprint>,
    feed: Mutex<Feed>,
    told_of_tracker: AtomicBool,
    pub(super) own: Arc<tokio::sync::Mutex<OwnPulls>>,
}

impl Post {
    pub(super) fn new(sprint: Arc<Sprint>) -> Self {
        let own = OwnPulls::new(sprint.desk.repo.clone());
        Self {
            sprint,
            feed: Mutex::default(),
            told_of_tracker: AtomicBool::new(false),
            own: Arc::new(tokio::sync::Mutex::new(own)),
        }
    }

    /// The same repository under new settings.
    pub(super) fn with(&self, sprint: Arc<Sprint>) -> Self {
        let feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            sprint,
            feed: Mutex::new(feed.clone()),
            told_of_tracker: AtomicBool::new(self.told_of_tracker.load(Ordering::Relaxed)),
            own: Arc::clone(&self.own),
        }
    }

    /// Lists issues. A list of everything begins with closing runs whose process is gone: their
    /// issues are free again then.
    pub(super) async fn list(&self, extent: Extent) -> Result<Listing, Problem> {
        let desk = &self.sprint.desk;
        let (base, terms) = match extent {
            Extent::Changes => (None, None),
            Extent::Everything => {
                self.sprint.recover().await.map_err(|e| e.problem())?;
                let base = desk.newest_base().await.map_err(|e| e.problem())?;
                let terms = self.terms(&base).await?;
                (Some(base), Some(terms))
            }
        };
        let since = match extent {
            Extent::Changes => self.feed(|feed| feed.since()),
            Extent::Everything => None,
        };
        let changes = desk.forge.changes(&desk.repo, since).await;
        let changes = changes.map_err(|error| error.problem())?;
        let told = |changes: &Changes| {
            let brief = |issue| Brief::of(issue, None);
            let issues: Vec<Brief> = changes.issues.iter().map(brief).collect();
            (issues, !changes.pulls.is_empty())
        };
        let (issues, pulls_changed) = match extent {
            Extent::Changes => told(&self.feed(|feed| feed.news(changes))),
            Extent::Everything => {
                // Told again, whether it is news or not.
                let told = told(&changes);
                self.feed(|feed| drop(feed.news(changes)));
                told
            }
        };
        Ok(Listing {
            extent,
            issues,
            pulls_changed,
            base,
            terms,
        })
    }

    /// What the repository's own workflow file asks for, or what is wrong with it.
    async fn terms(&self, base: &ObjectName) -> Result<Result<Terms, Problem>, Problem> {
        let desk = &self.sprint.desk;
        match desk.read_project(base).await {
            Ok(project) => {
                self.tell_of_other_tracker(&project.workflow).await?;
                Ok(Ok(Terms::of(&project.workflow)))
            }
            Err(error) => {
                let problem = error.problem();
                if failure::fault_of(&problem) == Fault::Repository {
                    return Ok(Err(problem));
                }
                Err(problem)
            }
        }
    }

    /// Says once that a workflow file is written for another tracker: the operator's settings decide
    /// which forge is asked, and the file's rules about states and labels do not count.
    async fn tell_of_other_tracker(&self, workflow: &Workflow) -> Result<(), Problem> {
        if workflow.tracker.kind.is_none() || self.told_of_tracker.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Err(error) = workflow.tracker.supported_kind() {
            let desk = &self.sprint.desk;
            let problem = error.problem().at(format!("WORKFLOW.md of {}", desk.repo));
            let log = desk.store.log(Arc::clone(&desk.clock));
            log.append(None, EventKind::Warned { problem }).await?;
            self.told_of_tracker.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn feed<T>(&self, with: impl FnOnce(&mut Feed) -> T) -> T {
        with(&mut self.feed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
