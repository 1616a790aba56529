//! The host's side of an agent's directory.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use tempfile::TempDir;
use timmy_sandbox::Entry;
use timmy_sandbox::EntryKind;
use timmy_sandbox::SandboxError;
use timmy_sandbox::Tree;

use crate::place::is_root;

fn tree() -> (TempDir, Tree) {
    let directory = TempDir::with_prefix("timmy-tree-").unwrap();
    let tree = Tree::open(directory.path()).unwrap();
    (directory, tree)
}

#[test]
fn what_was_written_is_read_and_listed() {
    let (directory, tree) = tree();
    tree.write(Path::new("a/b/file"), b"one").unwrap();
    tree.write(Path::new("a/b/file"), b"two").unwrap();
    tree.write(Path::new("a/tool"), b"#!").unwrap();
    fs::set_permissions(
        directory.path().join("a/tool"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    tree.write(Path::new("a/tool"), b"#!/bin/sh").unwrap();
    symlink("/etc", directory.path().join("a/link")).unwrap();
    assert_eq!(
        b"two".to_vec(),
        tree.read(Path::new("a/b/file"), 3).unwrap()
    );
    let mode = fs::metadata(directory.path().join("a/tool"))
        .unwrap()
        .mode();
    assert_eq!(0o755, mode & 0o777);
    let entry = |path: &str, kind, bytes| Entry {
        path: path.into(),
        kind,
        bytes,
    };
    let expected = vec![
        entry("a/b", EntryKind::Directory, 0),
        entry("a/link", EntryKind::Symlink, 0),
        entry("a/tool", EntryKind::File, 9),
    ];
    assert_eq!(expected, tree.list(Path::new("a"), 10).unwrap());
    assert_eq!(2, tree.list(Path::new("a"), 2).unwrap().len());
    assert_eq!(1, tree.list(Path::new(""), 10).unwrap().len());
    tree.remove(Path::new("a/link")).unwrap();
    assert!(Path::new("/etc").exists());
    let gone = tree.read(Path::new("a/link"), 10);
    assert!(
        matches!(gone, Err(SandboxError::Missing { .. })),
        "{gone:?}"
    );
}

#[test]
fn nothing_but_plain_files_is_opened() {
    let (directory, tree) = tree();
    let fifo = directory.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    fs::create_dir(directory.path().join("directory")).unwrap();
    for path in ["fifo", "socket", "directory"] {
        let read = tree.read(Path::new(path), 10);
        assert!(
            matches!(read, Err(SandboxError::Tree { .. })),
            "{path} {read:?}"
        );
        let written = tree.write(Path::new(path), b"x");
        assert!(
            matches!(written, Err(SandboxError::Tree { .. })),
            "{path} {written:?}"
        );
    }
    drop(socket);
    assert_eq!(
        3,
        fs::read_dir(directory.path()).unwrap().count(),
        "no temporary file stays"
    );
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let (_directory, tree) = tree();
    tree.write(Path::new("file"), b"12345").unwrap();
    assert_eq!(5, tree.read(Path::new("file"), 5).unwrap().len());
    let over = tree.read(Path::new("file"), 4);
    assert!(
        matches!(over, Err(SandboxError::TooLarge { limit: 4, .. })),
        "{over:?}"
    );
}

#[test]
fn as_root_what_is_written_belongs_to_the_owner_of_the_tree() {
    if !is_root() {
        return;
    }
    let directory = TempDir::with_prefix("timmy-tree-").unwrap();
    std::os::unix::fs::chown(directory.path(), Some(12345), Some(12346)).unwrap();
    let tree = Tree::open(directory.path()).unwrap();
    tree.write(Path::new("new/file"), b"x").unwrap();
    for path in ["new", "new/file"] {
        let found = fs::metadata(directory.path().join(path)).unwrap();
        assert_eq!((12345, 12346), (found.uid(), found.gid()), "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the path, nothing outside the tree is read or made.
    #[test]
    fn no_path_leaves_the_tree(path in "[a-c./\u{0}]{0,12}", contents in any::<Vec<u8>>()) {
        let outer = TempDir::with_prefix("timmy-tree-").unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        symlink(outer.path(), inner.join("a")).unwrap();
        fs::write(outer.path().join("b"), "outside").unwrap();
        let tree = Tree::open(&inner).unwrap();
        let written = tree.write(Path::new(&path), &contents);
        let read = tree.read(Path::new(&path), 1 << 20);
        if written.is_ok() {
            prop_assert_eq!(contents, read.unwrap());
        } else {
            prop_assert!(read.is_err());
        }
        prop_assert_eq!(2, fs::read_dir(outer.path()).unwrap().count());
        prop_assert_eq!("outside", fs::read_to_string(outer.path().join("b")).unwrap());
    }
}
