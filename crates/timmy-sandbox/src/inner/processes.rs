//! What `/proc` says about other processes.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// The parts of `/proc/PID/stat` that matter here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: i32,
    threads: u64,
}

/// How many threads a user runs.
pub(super) fn threads_of(uid: u32) -> u64 {
    let owned = numbered().filter(|(_, entry)| entry.metadata().is_ok_and(|m| m.uid() == uid));
    owned
        .filter_map(|(pid, _)| stat_of(pid))
        .map(|stat| stat.threads)
        .sum()
}

/// The processes whose parent is `parent`.
pub(super) fn children_of(parent: i32) -> Vec<i32> {
    let is_child = |pid: &i32| stat_of(*pid).is_some_and(|stat| stat.parent == parent);
    numbered().map(|(pid, _)| pid).filter(is_child).collect()
}

fn numbered() -> impl Iterator<Item = (i32, fs::DirEntry)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry))
    })
}

fn stat_of(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in parentheses can hold anything, parentheses and newlines too: fields are counted from
/// the last one (proc_pid_stat(5)).
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_cannot_pose_as_fields(name in "[a-z() 0-9\n]{0,15}", parent: i32, threads: u64) {
            let zeros = "0 ".repeat(15);
            let stat = format!("7 ({name}) S {parent} {zeros}{threads} 0 0");
            prop_assert_eq!(Some(Stat { parent, threads }), parse_stat(stat.as_bytes()));
        }

        #[test]
        fn any_bytes_are_read(stat in any::<Vec<u8>>()) {
            let _ = parse_stat(&stat);
        }
    }

    #[test]
    fn this_process_is_counted() {
        let uid = rustix::process::getuid().as_raw();
        assert!(threads_of(uid) >= 1);
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get();
        let own = rustix::process::getpid().as_raw_nonzero().get();
        assert!(children_of(parent).contains(&own));
    }
}
