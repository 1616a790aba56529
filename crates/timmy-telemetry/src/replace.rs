//! Putting a new file in the place of an old one: whole, or not at all.

use std::fs::DirEntry;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use jiff::SignedDuration;
use jiff::Timestamp;
use rustix::fs::Gid;
use rustix::fs::Uid;
use rustix::io::Errno;
use serde::Serialize;
use tempfile::NamedTempFile;

/// Copies that one file may have of the same second.
const MOST_COPIES: u32 = 99;
/// What stands between the name of a file and the chance letters of one that is to replace it.
const DRAFT: &str = ".tmp.";
/// How many of those letters there are. Others, such as Hermes, write more.
const DRAFT_LETTERS: usize = 6;
/// Whoever replaces a file needs milliseconds, or as long as a portal takes to answer.
const DRAFT_LIVES: SignedDuration = SignedDuration::from_hours(1);
/// The rights of a file's group.
const OF_GROUP: u32 = 0o070;

/// Who may do what with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    /// The bits of its mode.
    pub(crate) mode: u32,
    owner: u32,
    group: u32,
}

impl Rights {
    /// Those of a file that is there.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let data = std::fs::metadata(path)?;
        Ok(Self {
            mode: data.mode() & 0o7777,
            owner: data.uid(),
            group: data.gid(),
        })
    }

    /// Those of a file that only this user reads.
    pub(crate) fn private() -> Self {
        Self {
            mode: 0o600,
            owner: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
        }
    }

    /// The same for nobody but the owner.
    pub(crate) fn tightened(self) -> Self {
        Self {
            mode: 0o600,
            ..self
        }
    }

    /// A group that this user may not give does not matter where the group has no rights.
    fn give(self, file: &File) -> io::Result<()> {
        let data = file.metadata()?;
        if data.uid() != self.owner {
            rustix::fs::fchown(file, Some(Uid::from_raw(self.owner)), None)?;
        }
        if data.gid() != self.group {
            match rustix::fs::fchown(file, None, Some(Gid::from_raw(self.group))) {
                Err(Errno::PERM) if self.mode & OF_GROUP == 0 => {}
                given => given?,
            }
        }
        file.set_permissions(std::fs::Permissions::from_mode(self.mode))
    }
}

/// A file that waits beside the one it is to replace. It is there before anything that cannot be taken
/// back is done, so that a full disk or a wrong owner is found out in time.
#[derive(Debug)]
pub(crate) struct Replacement {
    file: NamedTempFile,
    place: PathBuf,
}

impl Replacement {
    /// Makes it, with its rights, and this content for now.
    pub(crate) fn prepare(place: &Path, rights: Rights, bytes: &[u8]) -> io::Result<Self> {
        let directory = place.parent().unwrap_or(Path::new("."));
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let file = tempfile::Builder::new()
            .prefix(&format!("{name}{DRAFT}"))
            .rand_bytes(DRAFT_LETTERS)
            .tempfile_in(directory)?;
        let mut replacement = Self {
            file,
            place: place.to_owned(),
        };
        replacement.fill(bytes)?;
        rights.give(replacement.file.as_file())?;
        Ok(replacement)
    }

    /// Puts a content in the place of the one it has.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> io::Result<()> {
        use std::io::Seek;
        let file = self.file.as_file_mut();
        file.rewind()?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_all()
    }

    /// Puts it in the place of the old one.
    pub(crate) fn commit(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        let directory = self.place.parent().unwrap_or(Path::new("."));
        let directory = File::open(directory)?;
        self.file
            .persist(&self.place)
            .map_err(|error| error.error)?;
        directory.sync_all()
    }
}

/// Removes what a killed process left beside a file that it wanted to replace. What cannot be removed
/// stays.
pub(crate) fn remove_left(place: &Path, now: Timestamp) {
    let directory = place.parent().unwrap_or(Path::new("."));
    let Some(name) = place.file_name().and_then(|name| name.to_str()) else {
        return;
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    for entry in entries.flatten() {
        if is_draft(&entry, name) && is_left(&entry, now) {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

/// Whether this module gave the name, to replace a file of that other name.
fn is_draft(entry: &DirEntry, of: &str) -> bool {
    let name = entry.file_name();
    let letters = name.to_str().and_then(|name| name.strip_prefix(of));
    let letters = letters.and_then(|rest| rest.strip_prefix(DRAFT));
    letters.is_some_and(|letters| {
        letters.len() == DRAFT_LETTERS && letters.chars().all(|c| c.is_ascii_alphanumeric())
    })
}

/// Whether nobody writes it any more.
fn is_left(entry: &DirEntry, now: Timestamp) -> bool {
    let data = entry.metadata().ok().filter(std::fs::Metadata::is_file);
    let modified = data.and_then(|data| data.modified().ok());
    let modified = modified.and_then(|modified| Timestamp::try_from(modified).ok());
    modified.is_some_and(|modified| now.duration_since(modified) > DRAFT_LIVES)
}

/// Puts a content in the place of a file.
pub(crate) fn replace(place: &Path, rights: Rights, bytes: &[u8]) -> io::Result<()> {
    Replacement::prepare(place, rights, bytes)?.commit()
}

/// Puts a value, as one line of JSON that only this user reads, in the place of a file.
pub(crate) fn replace_json(place: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    replace(place, Rights::private(), &line)
}

/// Keeps a copy of a file beside it, with the time in its name. No copy is ever overwritten.
pub(crate) fn keep_copy(
    place: &Path,
    rights: Rights,
    bytes: &[u8],
    now: Timestamp,
) -> io::Result<PathBuf> {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    for number in 1..=MOST_COPIES {
        let more = match number {
            1 => String::new(),
            number => format!("-{number}"),
        };
        let copy = place.with_file_name(format!("{name}.timmy-{stamp}{more}"));
        let mut options = std::fs::OpenOptions::new();
        let mut file = match options.write(true).create_new(true).mode(0o600).open(&copy) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        };
        file.write_all(bytes)?;
        rights.give(&file)?;
        file.sync_all()?;
        return Ok(copy);
    }
    Err(io::Error::other("there are too many copies of this second"))
}

/// Leaves a file as a killed process leaves it, long ago.
#[cfg(test)]
pub(crate) fn leave(place: &Path, now: Timestamp) -> PathBuf {
    let replacement = Replacement::prepare(place, Rights::private(), b"left").unwrap();
    let long_ago = now - DRAFT_LIVES - SignedDuration::from_secs(1);
    let file = replacement.file.as_file();
    file.set_modified(long_ago.into()).unwrap();
    let path = replacement.file.path().to_owned();
    std::mem::forget(replacement);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_its_rights() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("a.yaml");
        std::fs::write(&place, "old").unwrap();
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o640)).unwrap();
        let rights = Rights::of(&place).unwrap();
        let mut replacement = Replacement::prepare(&place, rights, b"something longer").unwrap();
        assert_eq!("old", std::fs::read_to_string(&place).unwrap());
        replacement.fill(b"new").unwrap();
        replacement.commit().unwrap();
        assert_eq!("new", std::fs::read_to_string(&place).unwrap());
        assert_eq!(rights, Rights::of(&place).unwrap());
        drop(Replacement::prepare(&place, rights.tightened(), b"never").unwrap());
        assert_eq!(1, std::fs::read_dir(directory.path()).unwrap().count());
    }

    #[test]
    fn the_owner_and_the_mode_are_there_before_the_old_file_goes() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("a");
        std::fs::write(&place, "old").unwrap();
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o640)).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&place, Some(65_534), Some(65_533)).unwrap();
        }
        let rights = Rights::of(&place).unwrap();
        let replacement = Replacement::prepare(&place, rights, b"new").unwrap();
        assert_eq!(rights, Rights::of(replacement.file.path()).unwrap());
    }

    #[test]
    fn a_group_that_cannot_be_given_matters_only_where_it_has_rights() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root makes a file of a group it is not in");
            return;
        }
        let stranger = || {
            let (user, group) = (Uid::from_raw(65_534), Gid::from_raw(65_534));
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_res_gid(group, group, group).unwrap();
            let directory = tempfile::tempdir().unwrap();
            let place = directory.path().join("a");
            rustix::fs::chown(directory.path(), Some(user), None).unwrap();
            rustix::thread::set_thread_res_uid(user, user, user).unwrap();
            let rights = Rights {
                mode: 0o640,
                owner: user.as_raw(),
                group: 0,
            };
            let refused = Replacement::prepare(&place, rights, b"new").unwrap_err();
            assert_eq!(io::ErrorKind::PermissionDenied, refused.kind());
            replace(&place, rights.tightened(), b"new").unwrap();
            let given = Rights::of(&place).unwrap();
            assert_eq!((0o600, user.as_raw()), (given.mode, given.owner));
        };
        // These belong to the thread alone, which ends with them.
        std::thread::spawn(stranger).join().unwrap();
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("auth.json");
        let now = Timestamp::now();
        let left = leave(&place, now);
        let mut kept = vec![
            leave(&directory.path().join("other.json"), now),
            // As Hermes names its own, and another program might.
            directory.path().join("auth.json.tmp.4711.00ff"),
            directory.path().join("auth.json.tmp."),
            directory.path().join("auth.json.timmy-20260101T000000Z"),
        ];
        for path in &kept[1..] {
            std::fs::write(path, "kept").unwrap();
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        let waiting = Replacement::prepare(&place, Rights::private(), b"new").unwrap();
        kept.push(waiting.file.path().to_owned());
        remove_left(&place, now);
        assert!(!left.exists(), "{left:?}");
        for path in kept {
            assert!(path.exists(), "{path:?}");
        }
    }

    #[test]
    fn copies_are_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("a");
        let names: Vec<String> = ["one", "two", "three"]
            .iter()
            .map(|content| {
                let copy = keep_copy(
                    &place,
                    Rights::private(),
                    content.as_bytes(),
                    Timestamp::UNIX_EPOCH,
                );
                let copy = copy.unwrap();
                assert_eq!(*content, std::fs::read_to_string(&copy).unwrap());
                assert_eq!(0o600, Rights::of(&copy).unwrap().mode);
                copy.file_name().unwrap().to_string_lossy().into_owned()
            })
            .collect();
        let stamp = "a.timmy-19700101T000000Z";
        assert_eq!(
            vec![stamp.to_owned(), format!("{stamp}-2"), format!("{stamp}-3")],
            names
        );
        assert_eq!(
            "one",
            std::fs::read_to_string(directory.path().join(stamp)).unwrap()
        );
    }
}
