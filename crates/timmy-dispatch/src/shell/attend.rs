//! Looking at own pull requests.

use timmy_core::Coded;
use timmy_core::Problem;

use super::look::Post;
use crate::night::Attended;

impl Post {
    /// Looks at every own pull request that nobody has decided about.
    pub(super) async fn attend(&self) -> Result<Attended, Problem> {
        let mut own = self.own.lock().await;
        let found = self.sprint.desk.attend(&mut own).await;
        let found = found.map_err(|error| error.problem())?;
        Ok(Attended {
            open: found.open,
            answers: found.answers,
            queued: false,
        })
    }
}
