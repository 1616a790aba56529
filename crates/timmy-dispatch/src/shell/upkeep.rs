//! What keeps a host fit for a night: room on the disk, no leftovers, warm caches.
//!
//! None of it decides which issue is worked on, so the core is not asked. It is done beside the loop,
//! one at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::IssueName;
use timmy_core::RunId;
use timmy_store::EventLog;

use super::look::Post;
use crate::night::Input;
use crate::sprint::Desk;
use crate::workspace;
use crate::workspace::Quota;
use crate::workspace::Reaper;
use crate::workspace::Sweeping;

/// Removes what two facts speak against, and fills build caches. What cannot be done is said in the
/// log and tried again the next time.
pub(super) async fn tidy(posts: Vec<Arc<Post>>, log: EventLog, quota: Arc<Quota>) -> Input {
    let desks: Vec<&Desk> = posts.iter().map(|post| &post.sprint.desk).collect();
    if let Some(first) = desks.first() {
        let reaper = Reaper {
            root: &first.root,
            events: log.clone(),
            clock: Arc::clone(&first.clock),
            desks: &desks,
        };
        if let Err(error) = reaper.sweep(Sweeping::Remove).await {
            warn(&log, &error).await;
        }
        quota.forget();
    }
    for post in &posts {
        let sprint = &post.sprint;
        if let Err(error) = workspace::warm(&sprint.desk, sprint.sandbox.as_ref()).await {
            warn(&log, &error).await;
        }
    }
    Input::Tick
}

async fn warn(log: &EventLog, error: &impl Coded) {
    let problem = error.problem();
    // When even this cannot be recorded, the loop itself finds out and says so.
    drop(log.append(None, EventKind::Warned { problem }).await);
}

/// Looks whether there is room while attempts run. When there is none the heaviest has to go, so that
/// the others can end.
pub(super) async fn watch_room(quota: Arc<Quota>, runs: BTreeMap<RunId, IssueName>) -> Input {
    let Err(problem) = quota.admit().await else {
        return Input::Tick;
    };
    let running: Vec<RunId> = runs.keys().cloned().collect();
    let heaviest = quota.heaviest(&running).await;
    match heaviest.and_then(|run| runs.get(&run).cloned()) {
        Some(key) => Input::Unwanted {
            key,
            reason: format!(
                "its workspace was the largest when room ran out: {}",
                problem.what
            ),
        },
        None => Input::Tick,
    }
}
