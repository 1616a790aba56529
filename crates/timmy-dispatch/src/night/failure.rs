//! What a failed attempt means for the loop. Whose fault it is says [`timmy_core::fault`].

use timmy_core::fault::Platform;

use super::state::Scope;

pub use timmy_core::fault::Fault;
pub use timmy_core::fault::fault;
pub use timmy_core::fault::fault_of;

impl From<Platform> for Scope {
    fn from(platform: Platform) -> Self {
        match platform {
            Platform::Forge => Self::Forge,
            Platform::Models => Self::Models,
            Platform::Budget => Self::Budget,
            Platform::Disk => Self::Disk,
            Platform::Database => Self::Database,
            Platform::Sandbox => Self::Sandbox,
        }
    }
}
