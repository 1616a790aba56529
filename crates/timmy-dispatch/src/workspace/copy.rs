//! Copying a directory that nobody writes meanwhile.

use std::fs;
use std::fs::File;
use std::fs::FileTimes;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// What lies deeper is not copied.
const DEEPEST: usize = 128;

/// Copies what is in `from` into the directory `to`, with modes and times: build tools compare
/// them. Where the file system can share blocks, it does. Links are copied as links; what is neither
/// file, directory nor link is left out.
///
/// # Errors
/// When something cannot be read or written: a full disk, most often.
pub(super) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    copy(from, to, DEEPEST)
}

fn copy(from: &Path, to: &Path, depth_left: usize) -> io::Result<()> {
    if depth_left == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let found = fs::symlink_metadata(&source)?;
        if found.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
            continue;
        }
        if found.is_dir() {
            fs::create_dir(&target)?;
            copy(&source, &target, depth_left - 1)?;
            fs::set_permissions(&target, found.permissions())?;
        } else if found.is_file() {
            fs::copy(&source, &target)?;
        } else {
            continue;
        }
        let times = FileTimes::new().set_modified(found.modified()?);
        File::open(&target)?.set_times(times)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn modes_times_and_links_are_those_of_the_original() {
        let root = tempfile::TempDir::new().unwrap();
        let outside = root.path().join("outside");
        fs::write(&outside, "not copied").unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::create_dir(&to).unwrap();
        let tool = from.join("a/b/tool");
        fs::write(&tool, "x").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        symlink(&outside, from.join("a/link")).unwrap();
        symlink("nowhere", from.join("dangling")).unwrap();
        let fifo = std::process::Command::new("mkfifo")
            .arg(from.join("fifo"))
            .status();
        assert!(fifo.unwrap().success());
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for path in [&tool, &from.join("a")] {
            let times = FileTimes::new().set_modified(then);
            File::open(path).unwrap().set_times(times).unwrap();
        }
        copy_tree(&from, &to).unwrap();
        let copied = fs::metadata(to.join("a/b/tool")).unwrap();
        assert_eq!(0o755, copied.permissions().mode() & 0o777);
        assert_eq!(then, copied.modified().unwrap());
        assert_eq!(
            then,
            fs::metadata(to.join("a")).unwrap().modified().unwrap()
        );
        assert_eq!(outside, fs::read_link(to.join("a/link")).unwrap());
        assert!(to.join("dangling").is_symlink() && !to.join("fifo").exists());
    }
}
