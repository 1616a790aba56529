//! Looking at a repository: what changed, or everything.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use timmy_core::Coded;
use timmy_core::Problem;
use timmy_forge::Feed;

use crate::night::Brief;
use crate::night::Extent;
use crate::night::Listing;
use crate::sprint::OwnPulls;
use crate::sprint::Sprint;

/// A repository that a loop works on.
pub(super) struct Post {
    pub(super) sprint: Arc<Sprint>,
    feed: Mutex<Feed>,
    pub(super) own: Arc<tokio::sync::Mutex<OwnPulls>>,
}

impl Post {
    pub(super) fn new(sprint: Arc<Sprint>) -> Self {
        let own = OwnPulls::new(sprint.desk.repo.clone());
        Self {
            sprint,
            feed: Mutex::default(),
            own: Arc::new(tokio::sync::Mutex::new(own)),
        }
    }

    /// The same repository under new settings.
    pub(super) fn with(&self, sprint: Arc<Sprint>) -> Self {
        let feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            sprint,
            feed: Mutex::new(feed.clone()),
            own: Arc::clone(&self.own),
        }
    }

    /// Lists issues. A list of everything begins with closing runs whose process is gone: their
    /// issues are free again then.
    pub(super) async fn list(&self, extent: Extent) -> Result<Listing, Problem> {
        let desk = &self.sprint.desk;
        let base = match extent {
            Extent::Changes => None,
            Extent::Everything => {
                self.sprint.recover().await.map_err(|e| e.problem())?;
                Some(desk.newest_base().await.map_err(|e| e.problem())?)
            }
        };
        let since = match extent {
            Extent::Changes => self.feed(|feed| feed.since()),
            Extent::Everything => None,
        };
        let changes = desk.forge.changes(&desk.repo, since).await;
        let changes = changes.map_err(|error| error.problem())?;
        let news = match extent {
            Extent::Changes => self.feed(|feed| feed.news(changes)),
            Extent::Everything => {
                let all = changes.clone();
                self.feed(|feed| drop(feed.news(changes)));
                all
            }
        };
        let brief = |issue| Brief::of(issue, None);
        Ok(Listing {
            extent,
            issues: news.issues.iter().map(brief).collect(),
            pulls_changed: !news.pulls.is_empty(),
            base,
        })
    }

    fn feed<T>(&self, with: impl FnOnce(&mut Feed) -> T) -> T {
        with(&mut self.feed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
