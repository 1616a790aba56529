//! Nothing of a sprint lies outside the private root.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify;

use crate::home::Home;
use crate::home::entries;
use crate::home::mender;
use crate::home::provider;

/// Everything that is made in a directory, also what is gone again at once.
struct Watched {
    watch: OwnedFd,
}

impl Watched {
    fn new(directory: &Path) -> Self {
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let watch = inotify::init(flags).unwrap();
        let made = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&watch, directory, made).unwrap();
        Self { watch }
    }

    fn made(&self) -> BTreeSet<String> {
        let mut buffer = [MaybeUninit::uninit(); 64 << 10];
        let mut reader = inotify::Reader::new(&self.watch, &mut buffer);
        let mut names = BTreeSet::new();
        while let Ok(event) = reader.next() {
            let name = event.file_name().unwrap_or_default();
            names.insert(name.to_string_lossy().into_owned());
        }
        names
    }
}

#[tokio::test]
async fn a_sprint_makes_nothing_outside_the_private_root() {
    let home = Home::with_project().await;
    let model = mender().await;
    let caches = "[workspace.caches]\nbuild = \"BUILD_CACHE\"\n";
    home.configure_small(&(provider("generic", &model.base_url()) + caches));
    let (temporary, users) = (home.beside("temporary"), home.beside("user"));
    for directory in [&temporary, &users] {
        std::fs::create_dir(directory).unwrap();
    }
    let (in_temporary, in_home) = (Watched::new(&temporary), Watched::new(&users));
    let beside = Watched::new(home.root().parent().unwrap());
    for arguments in [
        ["sprint", "--json"].as_slice(),
        &["workspace", "init", "kimi"],
        &["workspace", "warm"],
        &["workspace", "reap"],
    ] {
        let mut command = home.command(arguments);
        command.env("TMPDIR", &temporary).env("HOME", &users);
        let ran = crate::home::ran(command).await;
        // The base branch is broken on purpose: there is nothing to keep of its check.
        let expected = i32::from(arguments[1] == "warm");
        assert_eq!(expected, ran.code, "{arguments:?} {ran:?}");
    }
    assert!(home.root().join("workspaces/kimi/clone/state.txt").exists());
    // The sandbox's canary has to lie where everybody can reach it.
    let mut made = in_temporary.made();
    made.retain(|name| !name.starts_with("timmy-canary-"));
    assert_eq!(BTreeSet::new(), made);
    assert_eq!(BTreeSet::new(), in_home.made());
    assert_eq!(BTreeSet::new(), beside.made());
    assert!(entries(&temporary).is_empty());
    assert!(home.run_directories().is_empty());
}
