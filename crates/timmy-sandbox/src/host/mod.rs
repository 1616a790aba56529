//! The side of timmy: what the policy means at each level, starting the inner process, watching it.

mod bubblewrap;
mod capture;
mod cgroup;
mod footprint;
mod growth;
mod isolation;
mod run;
mod scratch;
pub(crate) mod system;

pub(crate) use cgroup::Cgroups;
pub use footprint::Footprint;
pub use footprint::Room;
pub use footprint::footprint;
pub use footprint::room;
pub(crate) use isolation::Isolation;
pub(crate) use isolation::Mechanism;
