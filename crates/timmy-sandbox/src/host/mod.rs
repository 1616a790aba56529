//! The side of timmy: what the policy means at each level, starting the inner process, watching it.

mod bubblewrap;
mod capture;
mod cgroup;
mod growth;
mod isolation;
mod run;
mod scratch;
pub(crate) mod system;

pub(crate) use cgroup::Cgroups;
pub(crate) use isolation::Isolation;
pub(crate) use isolation::Mechanism;
