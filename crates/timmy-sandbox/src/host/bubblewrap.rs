//! The options of bubblewrap at level L3.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::host::system::SYSTEM_DIRECTORIES;
use crate::host::system::SYSTEM_FILES;
use crate::plan::Argument;
use crate::policy::Policy;
use crate::wire::Bytes;

/// Where the program of timmy lies inside: in no directory that Landlock opens to the command.
pub(super) const INNER_PROGRAM: &str = "/.timmy";

/// The home directory inside.
pub(super) const HOME: &str = "/home/agent";

const SMALL_TMPFS: u64 = 16 << 20;

const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";

const ALWAYS: [&str; 13] = [
    "--unshare-user",
    "--disable-userns",
    "--unshare-all",
    "--cap-drop",
    "ALL",
    "--die-with-parent",
    "--new-session",
    // The supervisor is the first process itself: its end is the end of every other.
    "--as-pid-1",
    "--hostname",
    "sandbox",
    "--clearenv",
    "--ro-bind",
    "/usr",
];

struct Options(Vec<Argument>);

impl Options {
    fn add<T: Into<OsString>>(&mut self, words: impl IntoIterator<Item = T>) {
        let words = words.into_iter().map(|word| Argument::Text(word.into()));
        self.0.extend(words);
    }

    fn bind(&mut self, option: &str, path: &Path) {
        self.add([option.as_ref(), path.as_os_str(), path.as_os_str()]);
    }

    fn file(&mut self, path: &str, contents: &str) {
        self.add(["--ro-bind-data"]);
        self.0.push(Argument::Data(Bytes(contents.into())));
        self.add([path]);
    }

    fn tmpfs(&mut self, path: &str, mode: &str, bytes: u64) {
        let bytes = bytes.to_string();
        self.add(["--perms", mode, "--size", &bytes, "--tmpfs", path]);
    }
}

/// The options for a policy; `program` is the path of timmy's own program, `uid` and `gid` whom
/// the command runs as.
pub(super) fn options(policy: &Policy, program: &Path, uid: u32, gid: u32) -> Vec<Argument> {
    let mut options = Options(Vec::new());
    options.add(ALWAYS);
    options.add(["/usr"]);
    for path in SYSTEM_DIRECTORIES {
        system_directory(&mut options, path);
    }
    for path in SYSTEM_FILES {
        options.bind("--ro-bind-try", Path::new(path));
    }
    options.file("/etc/passwd", &passwd(uid, gid));
    options.file("/etc/group", &format!("root:x:0:\nagent:x:{gid}:\n"));
    options.file("/etc/hosts", HOSTS);
    options.add(["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]);
    options.add(["--dev", "/dev"]);
    let memory = policy.limits.memory_bytes;
    options.tmpfs("/dev/shm", "1777", memory / 2);
    options.tmpfs("/tmp", "1777", memory / 2);
    options.tmpfs("/home", "0755", memory / 2);
    options.tmpfs("/run", "0755", SMALL_TMPFS);
    options.add(["--dir", HOME]);
    for (path, option) in binds(policy) {
        options.bind(option, path);
    }
    options.add(["--ro-bind".into(), program.into(), INNER_PROGRAM.into()] as [OsString; 3]);
    options.add(["--remount-ro", "/"]);
    options.0
}

fn system_directory(options: &mut Options, path: &str) {
    if let Ok(target) = fs::read_link(path) {
        options.add(["--symlink".into(), target.into(), path.into()] as [OsString; 3]);
    } else {
        options.bind("--ro-bind-try", Path::new(path));
    }
}

/// Outer paths first, so that one mount does not hide another below it.
fn binds(policy: &Policy) -> Vec<(&PathBuf, &'static str)> {
    let mut binds: Vec<(&PathBuf, &str)> = policy
        .read_only
        .iter()
        .map(|path| (path, "--ro-bind-try"))
        .collect();
    let writable = policy.writable.iter().chain([&policy.workspace]);
    binds.extend(writable.map(|path| (path, "--bind")));
    binds.sort_by_key(|(path, _)| path.components().count());
    binds
}

fn passwd(uid: u32, gid: u32) -> String {
    format!(
        "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nagent:x:{uid}:{gid}:agent:{HOME}:/bin/sh\n"
    )
}
