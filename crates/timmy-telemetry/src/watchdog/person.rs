//! Whether a person is at work with a Hermes home.
//!
//! The facts are processes: a Hermes on a terminal is somebody's conversation, whether they look at it
//! or not. Terminals of panes that the watchdog itself may put back are not counted, nor are processes of
//! users who own neither the home nor the watchdog: anybody may call a program hermes.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
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
    let owners = [
        std::fs::metadata(home).ok().map(|data| data.uid()),
        Some(rustix::process::geteuid().as_raw()),
    ];
    let is_of_home = |process: &&Process| owners.contains(&Some(process.owner));
    let mut persons = processes.all().filter(on_terminal).filter(is_of_home);
    persons.find_map(|process| {
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

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: u32 = 65_533;
    const PID: u32 = 7;

    /// A directory like /proc with one hermes on a terminal whose environment cannot be read.
    fn proc(owner: Option<u32>) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        let directory = proc.path().join(PID.to_string());
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("stat"), "7 (hermes) S 1 7 7 34816 7").unwrap();
        std::fs::write(directory.join("cmdline"), "hermes\0chat\0").unwrap();
        std::os::unix::fs::chown(&directory, owner, None).unwrap();
        proc
    }

    fn at_home_of(home: &Path, proc: &Path) -> Option<String> {
        let homes = Homes::at(home.to_owned());
        at_home(home, &homes, &Processes::read(proc), &BTreeSet::new())
    }

    #[test]
    fn only_the_owners_of_the_home_are_at_home() {
        let home = tempfile::tempdir().unwrap();
        let own = proc(None);
        let reason = at_home_of(home.path(), own.path());
        assert!(reason.is_some_and(|reason| reason.contains("process 7")));
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root makes files of others");
            return;
        }
        let strangers = proc(Some(STRANGER));
        assert_eq!(None, at_home_of(home.path(), strangers.path()));
        // Unless the home is theirs.
        std::os::unix::fs::chown(home.path(), Some(STRANGER), None).unwrap();
        assert!(at_home_of(home.path(), strangers.path()).is_some());
    }
}
