//! Landlock: which files a command can touch, and that it can signal nothing outside.

use landlock::ABI;
use landlock::Access as _;
use landlock::AccessFs;
use landlock::AccessNet;
use landlock::BitFlags;
use landlock::CompatLevel;
use landlock::Compatible;
use landlock::PathBeneath;
use landlock::PathFd;
use landlock::RulesetAttr;
use landlock::RulesetCreated;
use landlock::RulesetCreatedAttr;
use landlock::RulesetError;
use landlock::RulesetStatus;
use landlock::Scope;

use crate::inner::Failure;
use crate::plan::Access;
use crate::plan::Confinement;
use crate::plan::Network;

/// The newest ABI that this was written for. A kernel that has less enforces what it has, but
/// never less than the floor of the level.
const NEWEST: ABI = ABI::V9;

pub(super) struct Ruleset(RulesetCreated);

impl Ruleset {
    pub(super) fn new(confinement: &Confinement) -> Result<Self, Failure> {
        let floor = ABI::from(confinement.landlock_floor as i32);
        let mut ruleset =
            handled(floor, confinement.network).map_err(|error| missing(floor, &error))?;
        for (path, access) in &confinement.rules {
            // What does not exist needs no rule.
            let Ok(opened) = PathFd::new(path) else {
                continue;
            };
            let rule = PathBeneath::new(opened, rights(*access, path.is_dir()));
            ruleset = ruleset
                .add_rule(rule)
                .map_err(|error| Failure::step(&format!("allow {}", path.display()), error))?;
        }
        Ok(Self(ruleset))
    }

    /// Applies it to the current thread, for good, with no-new-privileges.
    pub(super) fn apply(&self) -> Result<(), Failure> {
        let ruleset = self
            .0
            .try_clone()
            .map_err(|e| Failure::step("copy the Landlock ruleset", e))?;
        let status = ruleset
            .restrict_self()
            .map_err(|error| Failure::step("apply Landlock", error))?;
        match status.ruleset {
            RulesetStatus::NotEnforced => Err(Failure::Step(
                "Landlock is not enforced by this kernel".into(),
            )),
            // The floor was a hard requirement when the ruleset was made.
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        }
    }
}

fn missing(floor: ABI, error: &RulesetError) -> Failure {
    Failure::Step(format!(
        "Landlock (ABI {floor} or later) is missing from this kernel: {error}"
    ))
}

fn handled(floor: ABI, network: Network) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset = landlock::Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(floor))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?;
    if network == Network::Denied {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    }
    ruleset.create()
}

fn rights(access: Access, is_directory: bool) -> BitFlags<AccessFs> {
    let rights = match access {
        Access::Read => AccessFs::from_read(NEWEST),
        Access::Write => AccessFs::from_all(NEWEST) & !(AccessFs::MakeChar | AccessFs::MakeBlock),
        Access::Device => {
            AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir | AccessFs::IoctlDev
        }
    };
    if is_directory {
        rights
    } else {
        rights & AccessFs::from_file(NEWEST)
    }
}
