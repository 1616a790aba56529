//! Whether a person is at work with a Hermes home.
//!
//! The facts are processes: a Hermes on a terminal is somebody's conversation, whether they look at it
//! or not. Terminals of panes that the watchdog itself may put back are not counted.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use timmy_model::hermes::homes::Homes;

use super::processes::Process;
use super::processes::Processes;
use super::processes::Program;

/// Why a home belongs to a person now; none when nobody is there.
pub(super) fn at_home(
    home: &Path,
    homes: &Homes,
    processes: &Processes,
    own_terminals: &BTreeSet<u64>,
) -> Option<String> {
    let on_terminal =
        |process: &&Process| process.terminal != 0 && !own_terminals.contains(&process.terminal);
    processes.all().filter(on_terminal).find_map(|process| {
        let home_of = home_of(process, homes, processes)?;
        match home_of {
            Some(other) if !same(&other, home) => None,
            Some(_) => Some(format!(
                "a Hermes of this profile runs on a terminal (process {}); end it first",
                process.pid
            )),
            None => Some(format!(
                "a Hermes runs on a terminal (process {}), and whose home it uses cannot be read",
                process.pid
            )),
        }
    })
}

/// The home that a process uses; the inner none when that cannot be known. None for what is no Hermes.
fn home_of(process: &Process, homes: &Homes, processes: &Processes) -> Option<Option<PathBuf>> {
    let Program::Hermes { profile, .. } = process.program()? else {
        return None;
    };
    Some(home_named(
        process.pid,
        profile.as_deref(),
        homes,
        processes,
    ))
}

/// The home of a Hermes: the profile it was told, its environment, the sticky profile.
pub(super) fn home_named(
    pid: u32,
    profile: Option<&str>,
    homes: &Homes,
    processes: &Processes,
) -> Option<PathBuf> {
    let named = processes.variable(pid, "HERMES_HOME").ok()?;
    let user = processes.variable(pid, "HOME").ok()?;
    let usual = user.map(|user| PathBuf::from(user).join(".hermes"));
    let root = match (&named, &usual) {
        (Some(named), Some(usual)) if Path::new(named).starts_with(usual) => usual.clone(),
        (Some(named), _) => Homes::of(Path::new(named)).root().to_owned(),
        (None, Some(usual)) => usual.clone(),
        (None, None) => return None,
    };
    let its = if same(&root, homes.root()) {
        homes.clone()
    } else {
        Homes::at(root)
    };
    match (profile, named) {
        (Some(profile), _) => its.profile(profile),
        (None, Some(named)) => Some(PathBuf::from(named)),
        (None, None) => its.profile(&its.sticky()),
    }
}

/// Whether two paths lead to one directory.
fn same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}
