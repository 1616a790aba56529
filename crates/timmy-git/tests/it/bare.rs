//! The host's own repository: changes, patches, files, checkouts, clones for agents.

use timmy_git::ChangeKind;
use timmy_git::GitError;
use timmy_git::MergedTree;
use timmy_git::RefName;
use timmy_git::Revision;
use timmy_git::prepare_workspace;

use crate::sample::Sample;
use crate::sample::plain;
use crate::sample::write;

const BASE: [(&str, &str); 4] = [
    ("README.md", "read me\n"),
    (
        "src/old name.rs",
        "fn main() {}\n// a line\n// another line.\n",
    ),
    ("src/gone.rs", "gone\n"),
    ("run.sh", "echo run\n"),
];

async fn changed() -> (Sample, timmy_core::ObjectName, timmy_core::ObjectName) {
    let (sample, base) = Sample::with_commit(&BASE).await;
    let source = sample.path("source");
    plain(&source, &["mv", "src/old name.rs", "src/näw | name.rs"]);
    plain(&source, &["rm", "-q", "src/gone.rs"]);
    plain(&source, &["update-index", "--chmod=+x", "run.sh"]);
    std::os::unix::fs::symlink("/etc/passwd", source.join("link")).unwrap();
    write(&source.join("-new\tfile"), "new");
    plain(&source, &["add", "--", "link", "-new\tfile"]);
    plain(&source, &["commit", "-q", "-m", "change"]);
    let url = sample.bare.path().to_str().unwrap().to_owned();
    plain(&source, &["push", "-q", &url, "HEAD:refs/heads/change"]);
    let head = plain(&source, &["rev-parse", "HEAD"]).parse().unwrap();
    (sample, base, head)
}

#[tokio::test]
async fn changes_name_every_path_exactly() {
    let (sample, base, head) = changed().await;
    let changes = sample.bare.changes(&base, &head).await.unwrap();
    let mut seen: Vec<_> = changes
        .into_iter()
        .map(|change| {
            (
                change.path,
                change.kind,
                change.old_mode,
                change.new_mode,
                change.bytes,
            )
        })
        .collect();
    seen.sort_by(|one, other| one.0.cmp(&other.0));
    let renamed = ChangeKind::Renamed {
        from: "src/old name.rs".to_owned(),
    };
    let expected = [
        ("-new\tfile", ChangeKind::Added, 0, 0o100_644, 3),
        ("link", ChangeKind::Added, 0, 0o120_000, 11),
        ("run.sh", ChangeKind::Modified, 0o100_644, 0o100_755, 9),
        ("src/gone.rs", ChangeKind::Deleted, 0o100_644, 0, 0),
        ("src/näw | name.rs", renamed, 0o100_644, 0o100_644, 40),
    ]
    .map(|(path, kind, old, new, bytes)| (path.to_owned(), kind, old, new, bytes));
    assert_eq!(expected.to_vec(), seen);
}

#[tokio::test]
async fn a_patch_is_cut_at_its_limit() {
    let (sample, base, head) = changed().await;
    let whole = sample.bare.patch(&base, &head, 1 << 20).await.unwrap();
    assert!(whole.complete);
    let whole = whole.text;
    assert!(whole.contains("rename from src/old name.rs"), "{whole}");
    let cut = sample.bare.patch(&base, &head, 100).await.unwrap();
    assert_eq!((&whole[..100], false), (cut.text.as_str(), cut.complete));
}

#[tokio::test]
async fn a_patch_hides_no_line_of_any_file() {
    let files = [(".gitattributes", "*.txt -diff\n"), ("x.txt", "x\n")];
    let (sample, base) = Sample::with_commit(&files).await;
    let source = sample.path("source");
    write(&source.join("x.txt"), "x\nby attribute\n");
    write(&source.join("y"), "\0\nbinary\n++ like a header\n");
    plain(&source, &["add", "-A"]);
    plain(&source, &["commit", "-q", "-m", "change"]);
    let url = sample.bare.path().to_str().unwrap().to_owned();
    plain(&source, &["push", "-q", &url, "HEAD:refs/heads/main"]);
    let head = plain(&source, &["rev-parse", "HEAD"]).parse().unwrap();
    let patch = sample.bare.patch(&base, &head, 1 << 20).await.unwrap().text;
    let added = patch.lines().filter_map(|line| line.strip_prefix('>'));
    let expected = ["by attribute", "\0", "binary", "++ like a header"];
    assert_eq!(expected.to_vec(), added.collect::<Vec<_>>(), "{patch}");
}

#[tokio::test]
async fn a_file_of_a_commit_is_read() {
    let (sample, _, head) = changed().await;
    let read = async |path: &str, limit| sample.bare.blob(&head, path, limit).await;
    assert_eq!(Some(b"new".to_vec()), read("-new\tfile", 10).await.unwrap());
    assert_eq!(None, read("src", 10).await.unwrap());
    assert_eq!(None, read("src/gone.rs", 10).await.unwrap());
    assert_eq!(None, read("", 10).await.unwrap());
    let refused = read("README.md", 3).await;
    assert!(matches!(refused, Err(GitError::TooLarge { limit: 3, .. })));
}

#[tokio::test]
async fn a_commit_becomes_a_directory_without_git() {
    let (sample, _, head) = changed().await;
    let destination = sample.path("checkout");
    sample.bare.materialise(&head, &destination).await.unwrap();
    assert!(!destination.join(".git").exists());
    assert_eq!(
        "read me\n",
        std::fs::read_to_string(destination.join("README.md")).unwrap()
    );
    assert!(destination.join("link").is_symlink());
    let again = sample.bare.materialise(&head, &destination).await;
    assert!(matches!(again, Err(GitError::Io { .. })));
    let left: Vec<_> = std::fs::read_dir(sample.bare.path())
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with("index")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn an_agent_gets_a_clone_of_its_own() {
    let (sample, base, _) = changed().await;
    let clone = sample.path("workspace");
    prepare_workspace(
        &sample.git,
        &sample.bare,
        &base,
        "main",
        "timmy/7-1",
        &clone,
    )
    .await
    .unwrap();
    assert_eq!("timmy/7-1", plain(&clone, &["branch", "--show-current"]));
    assert_eq!(base.as_str(), plain(&clone, &["rev-parse", "main"]));
    assert_eq!("", plain(&clone, &["status", "--porcelain"]));
    assert_eq!("", plain(&clone, &["remote"]));
    assert!(!clone.join(".git/objects/info/alternates").exists());
    assert!(!clone.join(".git/hooks").exists());
    plain(&clone, &["fsck", "--strict", "--connectivity-only"]);
}

#[tokio::test]
async fn the_work_branch_may_be_the_base_branch() {
    let (sample, base, _) = changed().await;
    let clone = sample.path("workspace");
    prepare_workspace(&sample.git, &sample.bare, &base, "main", "main", &clone)
        .await
        .unwrap();
    assert_eq!(base.as_str(), plain(&clone, &["rev-parse", "HEAD"]));
    assert_eq!("", plain(&clone, &["status", "--porcelain"]));
}

#[tokio::test]
async fn what_does_not_exist_resolves_to_nothing() {
    let (sample, base, head) = changed().await;
    let resolve = async |name: &str| {
        let revision: Revision = name.parse().unwrap();
        sample.bare.resolve(&revision).await.unwrap()
    };
    assert_eq!(Some(base.clone()), resolve("main").await);
    assert_eq!(Some(head.clone()), resolve("refs/heads/change").await);
    assert_eq!(None, resolve("missing").await);
    assert_eq!(None, resolve(&"1".repeat(40)).await);
    assert_eq!(
        Some(base.clone()),
        sample.bare.merge_base(&base, &head).await.unwrap()
    );
}

#[tokio::test]
async fn a_bundle_is_taken_over() {
    let (sample, base, head) = changed().await;
    let bundle = sample.path("x.bundle");
    let path = bundle.to_str().unwrap();
    let (range, source) = (format!("^{base}"), sample.path("source"));
    plain(
        &source,
        &["bundle", "create", "-q", path, "refs/heads/main", &range],
    );
    let target: RefName = "refs/timmy/in/7".parse().unwrap();
    let source: RefName = "refs/heads/main".parse().unwrap();
    let taken = sample
        .bare
        .fetch_bundle(&bundle, &source, &target)
        .await
        .unwrap();
    assert_eq!(head, taken);
    let resolved = sample.bare.resolve(&Revision::from(&target)).await.unwrap();
    assert_eq!(Some(head), resolved);
    let absent = sample.bare.fetch_bundle(&bundle, &target, &target).await;
    assert!(matches!(absent, Err(GitError::NotFound { .. })));
}

#[tokio::test]
async fn a_bundle_with_a_gap_is_refused() {
    let (sample, base, head) = changed().await;
    let source = sample.path("source");
    let other = Sample::new().await;
    let bundle = sample.path("x.bundle");
    let (path, range) = (bundle.to_str().unwrap(), format!("^{base}"));
    plain(
        &source,
        &["bundle", "create", "-q", path, "refs/heads/main", &range],
    );
    let target: RefName = "refs/timmy/in/7".parse().unwrap();
    let main: RefName = "refs/heads/main".parse().unwrap();
    let refused = other.bare.fetch_bundle(&bundle, &main, &target).await;
    assert!(
        matches!(refused, Err(GitError::UnsafeObjects { .. })),
        "{refused:?}"
    );
    assert_eq!(
        None,
        other.bare.resolve(&Revision::from(&head)).await.unwrap()
    );
}

#[tokio::test]
async fn commits_are_merged_without_a_work_tree() {
    let (sample, base) = Sample::with_commit(&[("ours", "1\n"), ("b", "1\n")]).await;
    let at = jiff::Timestamp::UNIX_EPOCH;
    let commit = async |files: &[(&str, &[u8])], parents: &[&timmy_core::ObjectName]| {
        let tree = sample.bare.tree_of_files(files).await.unwrap();
        let made = sample.bare.commit_tree(&tree, parents, "m", at).await;
        made.unwrap()
    };
    let one = commit(&[("ours", b"2\n"), ("b", b"1\n")], &[&base]).await;
    let two = commit(&[("ours", b"1\n"), ("b", b"2\n")], &[&base]).await;
    let rival = commit(&[("ours", b"3\n"), ("b", b"1\n")], &[&base]).await;
    let stranger = commit(&[("ours", b"2\n")], &[]).await;
    let both = sample
        .bare
        .tree_of_files(&[("ours", b"2\n"), ("b", b"2\n")]);
    let both = both.await.unwrap();
    let merged = async |other| sample.bare.merge_tree(&one, other).await.unwrap();
    assert_eq!(MergedTree::Clean(both), merged(&two).await);
    let conflict = MergedTree::Conflict(vec!["ours".to_owned()]);
    assert_eq!(conflict, merged(&rival).await);
    assert_eq!(MergedTree::Conflict(Vec::new()), merged(&stranger).await);
    let missing = "e".repeat(40).parse().unwrap();
    assert!(sample.bare.merge_tree(&one, &missing).await.is_err());
}
