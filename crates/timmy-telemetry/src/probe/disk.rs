//! How full disks are.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;

/// Where Linux lists what is mounted.
const MOUNTS: &str = "/proc/self/mountinfo";

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Bytes that an ordinary user can still write.
    pub free: u64,
    /// Bytes it holds in all.
    pub total: u64,
}

/// The disks that paths lie on, each once, by where they are mounted. A path that does not exist is
/// left out.
#[must_use]
pub fn read(paths: &[PathBuf]) -> Vec<Disk> {
    let mounts = std::fs::read(MOUNTS).unwrap_or_default();
    let mounts = mount_points(&mounts);
    let mut disks: Vec<Disk> = Vec::new();
    for path in paths {
        let Ok(path) = path.canonicalize() else {
            continue;
        };
        let mount = mount_of(&path, &mounts);
        if disks.iter().any(|disk| disk.mount == mount) {
            continue;
        }
        if let Ok(room) = rustix::fs::statvfs(&path) {
            disks.push(Disk {
                mount,
                free: room.f_bavail.saturating_mul(room.f_frsize),
                total: room.f_blocks.saturating_mul(room.f_frsize),
            });
        }
    }
    disks.sort_by(|one, other| one.mount.cmp(&other.mount));
    disks
}

/// The fifth field of each line, with its octal escapes undone (proc_pid_mountinfo(5)).
fn mount_points(text: &[u8]) -> Vec<PathBuf> {
    let lines = text.split(|byte| *byte == b'\n');
    let fifth = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        fields.nth(4).map(unescaped)
    };
    lines.filter_map(fifth).collect()
}

fn unescaped(field: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.first_chunk::<3>().filter(|_| byte == b'\\');
        let value = octal.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        if let Some(value) = value {
            plain.push(value);
            rest = &after[3..];
        } else {
            plain.push(byte);
            rest = after;
        }
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&plain))
}

/// The longest mount point above a path.
fn mount_of(path: &Path, mounts: &[PathBuf]) -> PathBuf {
    let above = mounts.iter().filter(|mount| path.starts_with(mount));
    let longest = above.max_by_key(|mount| mount.as_os_str().len());
    longest.cloned().unwrap_or_else(|| PathBuf::from("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_lies_on_the_nearest_mount() {
        let text = b"22 1 254:0 / / rw - ext4 /dev/vda rw\n\
                     30 22 0:5 / /data\\040of\\134us rw shared:1 - tmpfs tmpfs rw\nhalf a li";
        let mounts = mount_points(text);
        let data = PathBuf::from("/data of\\us");
        assert_eq!(data, mount_of(Path::new("/data of\\us/x"), &mounts));
        assert_eq!(Path::new("/"), mount_of(Path::new("/data"), &mounts));
    }

    #[test]
    fn a_disk_is_there_once() {
        let place = tempfile::tempdir().unwrap();
        let inside = place.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        let paths = [
            place.path().to_owned(),
            inside,
            place.path().join("missing"),
        ];
        let disks = read(&paths);
        assert_eq!(1, disks.len(), "{disks:?}");
        assert!(
            disks[0].total > 0 && disks[0].free <= disks[0].total,
            "{disks:?}"
        );
    }

    proptest! {
        #[test]
        fn any_list_of_mounts_can_be_read(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            mount_points(&text);
        }
    }
}
