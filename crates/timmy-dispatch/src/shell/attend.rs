//! Looking at own pull requests, and at the merge queue.

use timmy_core::Coded;
use timmy_core::Problem;

use super::look::Post;
use crate::merge_queue::Standing;
use crate::night::Attended;

impl Post {
    /// Looks at every own pull request that nobody has decided about.
    pub(super) async fn attend(&self) -> Result<Attended, Problem> {
        let mut own = self.own.lock().await;
        let desk = &self.sprint.desk;
        let found = desk.attend(&mut own).await;
        let found = found.map_err(|error| error.problem())?;
        let settings = &desk.settings.merge_queue;
        let mut queued = false;
        if settings.enabled {
            let queue = desk.merge_queue(settings).await;
            let queue = queue.map_err(|error| error.problem())?;
            queued = queue.iter().any(|one| one.standing == Standing::Ready);
        }
        Ok(Attended {
            open: found.open,
            answers: found.answers,
            queued,
        })
    }

    /// Works the merge queue off once. Says whether another turn would find something to do.
    pub(super) async fn merge_turn(&self) -> Result<bool, Problem> {
        let desk = &self.sprint.desk;
        let settings = &desk.settings.merge_queue;
        let turn = desk
            .merge_turn(self.sprint.sandbox.as_ref(), settings)
            .await;
        turn.map(|turn| turn.more).map_err(|error| error.problem())
    }
}
