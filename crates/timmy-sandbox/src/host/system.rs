//! What a command sees of the system it runs on.

use std::path::Path;
use std::path::PathBuf;

use crate::plan::Access;

/// Links into `/usr` on merged systems, directories on others.
pub(super) const SYSTEM_DIRECTORIES: [&str; 6] =
    ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What programs read of `/etc` without which they misbehave, and nothing that tells about the
/// machine or its people.
pub(super) const SYSTEM_FILES: [&str; 12] = [
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/nsswitch.conf",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/mime.types",
    "/etc/protocols",
    "/etc/services",
];

/// Files that bubblewrap makes up and that L2 has to show as they are.
pub(super) const NAME_FILES: [&str; 3] = ["/etc/passwd", "/etc/group", "/etc/hosts"];

/// The device files of the host that L2 shows.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// The system as Landlock rules when it is the host's own.
pub(super) fn host_rules() -> Vec<(PathBuf, Access)> {
    let readable = ["/usr", "/proc"]
        .into_iter()
        .chain(SYSTEM_DIRECTORIES)
        .chain(SYSTEM_FILES)
        .chain(NAME_FILES);
    let readable = readable.map(|path| (PathBuf::from(path), Access::Read));
    let devices = DEVICES.map(|path| (PathBuf::from(path), Access::Device));
    readable.chain(devices).collect()
}

/// The system as Landlock rules when bubblewrap built it.
pub(super) fn namespace_rules() -> Vec<(PathBuf, Access)> {
    let readable = ["/usr", "/proc", "/etc"]
        .into_iter()
        .chain(SYSTEM_DIRECTORIES);
    let writable = ["/tmp", "/run", "/home", "/dev/shm"];
    let mut rules: Vec<(PathBuf, Access)> = readable
        .map(|path| (PathBuf::from(path), Access::Read))
        .collect();
    rules.push((PathBuf::from("/dev"), Access::Device));
    rules.extend(writable.map(|path| (PathBuf::from(path), Access::Write)));
    rules
}

/// A program on the host's `PATH`, in a directory given absolutely.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
