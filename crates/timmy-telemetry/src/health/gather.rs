//! Gathering evidence, each part by itself: what one part cannot see says nothing about the others.

mod aside;
mod log;
mod machine;

pub use aside::Aside;
pub use log::FromLog;
pub use machine::PastOfDisks;
pub use machine::collector;
pub use machine::disks;
pub use machine::past_of_disks;
pub use machine::somebody_lives;

use timmy_forge::claim::ClaimState;
use timmy_forge::claim::Claims;
use timmy_forge::claim::Surveyed;

use super::evidence::ClaimSeen;
use super::evidence::Look;

/// Claims of a repository that are looked at, at most.
const CLAIMS: usize = 200;

/// The claims of a repository under which somebody says to work.
///
/// # Errors
/// Why they cannot be looked at.
pub async fn claims(claims: &Claims) -> Look<Vec<ClaimSeen>> {
    let surveyed = claims.survey(CLAIMS).await;
    let surveyed = surveyed.map_err(|error| error.to_string())?;
    Ok(surveyed.into_iter().filter_map(held).collect())
}

fn held(surveyed: Surveyed) -> Option<ClaimSeen> {
    let message = surveyed.holder.message?;
    if message.state != ClaimState::Held {
        return None;
    }
    let ttl = message.ttl();
    Some(ClaimSeen {
        issue: surveyed.issue,
        reference: surveyed.reference.to_string(),
        run: message.run_id,
        machine: timmy_core::text::clean_line(&message.machine_id),
        ttl,
        unrenewed: surveyed.unrenewed_for,
    })
}
