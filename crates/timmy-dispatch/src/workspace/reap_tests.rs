use std::fs::FileTimes;
use std::os::unix::fs::symlink;

use timmy_core::ObjectName;
use timmy_forge::IssueState;
use timmy_forge::NewPull;
use timmy_forge::PullUpdate;
use timmy_git::Expect;
use timmy_git::PushRef;
use timmy_git::Revision;

use super::*;
use crate::workspace::stage::Stage;

/// A run id that was made so many hours ago.
fn old(hours: i64) -> RunId {
    let now = timmy_core::SystemClock::new().now().as_millisecond();
    let ms = now - hours * 3_600_000;
    let fresh = RunId::generate();
    let text = format!(
        "{:08x}-{:04x}{}",
        ms >> 16,
        ms & 0xffff,
        &fresh.as_str()[13..]
    );
    text.parse().unwrap()
}

impl Stage {
    fn directory(&self, run: &RunId) -> PathBuf {
        self.desk.root.join("runs").join(run.as_str())
    }

    /// A directory with something in it, whose process is gone.
    fn leave(&self, run: &RunId) {
        drop(RunPlace::make(&self.desk.root, run).unwrap());
        let tree = self.directory(run).join("tree");
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join("file"), vec![1; 10_000]).unwrap();
        symlink(&self.desk.root, tree.join("link")).unwrap();
    }

    /// The ref that keeps the commit of a run.
    async fn keep_commit(&self, run: &RunId) -> RefName {
        let bare = self.desk.bare().await.unwrap();
        let name: RefName = format!("{RUN_REFS}/{run}").parse().unwrap();
        let commit = self.commit().await;
        bare.set_ref(&name, &commit).await.unwrap();
        name
    }

    async fn commit(&self) -> ObjectName {
        let bare = self.desk.bare().await.unwrap();
        let main: RefName = "refs/heads/main".parse().unwrap();
        let base = self.desk.fetch_branch(&bare, &main).await.unwrap();
        let tree = bare.tree_of_files(&[("README.md", b"changed\n")]).await;
        let now = self.desk.clock.now();
        let commit = bare
            .commit_tree(&tree.unwrap(), &[&base], "work", now)
            .await;
        commit.unwrap()
    }

    async fn has_ref(&self, name: &RefName) -> bool {
        let bare = self.desk.bare().await.unwrap();
        bare.resolve(&Revision::from(name)).await.unwrap().is_some()
    }

    /// Pushes a branch and opens its pull request, as a run does.
    async fn offer(&self, run: &RunId, branch: &str) -> u64 {
        let commit = self.commit().await;
        let push = PushRef {
            source: Some(commit.clone()),
            target: format!("refs/heads/{branch}").parse().unwrap(),
            expect: Expect::Absent,
        };
        let bare = self.desk.bare().await.unwrap();
        bare.push(&self.desk.remote, &[push]).await.unwrap();
        let pushed = EventKind::BranchPushed {
            branch: branch.to_owned(),
            commit,
        };
        self.record(run, pushed).await;
        let new = NewPull {
            title: "An offer".to_owned(),
            body: String::new(),
            head: branch.to_owned(),
            base: "main".to_owned(),
            draft: false,
        };
        let opened = self.desk.forge.create_pull(&self.desk.repo, &new).await;
        opened.unwrap().pull.number
    }

    async fn close(&self, number: u64) {
        let update = PullUpdate {
            state: Some(IssueState::Closed),
            ..PullUpdate::default()
        };
        let (forge, repo) = (&self.desk.forge, &self.desk.repo);
        forge.update_pull(repo, number, &update).await.unwrap();
    }

    async fn sweep(&self, sweeping: Sweeping) -> Sweep {
        let reaper = Reaper {
            root: &self.desk.root,
            events: self.desk.events(),
            clock: Arc::clone(&self.desk.clock),
            desks: &[&self.desk],
        };
        reaper.sweep(sweeping).await.unwrap()
    }

    async fn removals(&self) -> usize {
        let events = self.desk.events();
        let all = events.events(&timmy_store::Query::default()).await.unwrap();
        let is_removal =
            |event: &&timmy_core::Event| matches!(event.kind, EventKind::DirectoryRemoved { .. });
        all.iter().filter(is_removal).count()
    }
}

fn reason<'a>(sweep: &'a Sweep, path: &str) -> &'a str {
    let kept = sweep.kept.iter().find(|kept| kept.path.contains(path));
    &kept
        .unwrap_or_else(|| panic!("{path} is not kept: {sweep:?}"))
        .reason
}

#[test]
fn the_time_of_a_run_is_in_its_id() {
    let now = timmy_core::SystemClock::new().now().as_millisecond();
    assert!((now - begun_ms(&RunId::generate())).abs() < 60_000);
    assert!((now - 7_200_000 - begun_ms(&old(2))).abs() < 60_000);
}

#[tokio::test]
async fn an_ended_run_goes_with_its_ref_and_nothing_else_does() {
    let stage = Stage::new().await;
    let (ended, unended, living) = (old(2), old(2), old(2));
    for run in [&ended, &unended, &living] {
        stage.begin(run).await;
        stage.leave(run);
    }
    let kept_ref = stage.keep_commit(&unended).await;
    let ended_ref = stage.keep_commit(&ended).await;
    stage.end(&ended).await;
    stage.end(&living).await;
    let alive = RunPlace::make(&stage.desk.root, &living).unwrap();

    let dry = stage.sweep(Sweeping::DryRun).await;
    assert_eq!(2, dry.removed.len(), "{dry:?}");
    assert!(stage.directory(&ended).exists() && stage.has_ref(&ended_ref).await);
    assert_eq!(0, stage.removals().await);

    let swept = stage.sweep(Sweeping::Remove).await;
    assert_eq!(dry, swept);
    assert!(swept.freed_bytes >= 10_000);
    assert!(!stage.directory(&ended).exists() && !stage.has_ref(&ended_ref).await);
    assert!(stage.directory(&unended).exists() && stage.has_ref(&kept_ref).await);
    assert!(stage.directory(&living).exists());
    assert_eq!("the log has no end of it", reason(&swept, unended.as_str()));
    assert_eq!("a process works in it", reason(&swept, living.as_str()));
    assert_eq!(2, stage.removals().await);
    drop(alive);
    let again = stage.sweep(Sweeping::Remove).await;
    assert_eq!(1, again.removed.len(), "{again:?}");
}

#[tokio::test]
async fn an_open_pull_request_keeps_a_run_until_it_is_closed() {
    let stage = Stage::new().await;
    let run = old(2);
    stage.begin(&run).await;
    stage.leave(&run);
    let name = stage.keep_commit(&run).await;
    let number = stage.offer(&run, "timmy/1-1").await;
    stage.end(&run).await;
    let swept = stage.sweep(Sweeping::Remove).await;
    assert_eq!(Vec::<Removal>::new(), swept.removed);
    assert_eq!("its pull request is open", reason(&swept, run.as_str()));
    stage.close(number).await;
    let swept = stage.sweep(Sweeping::Remove).await;
    assert_eq!(2, swept.removed.len(), "{swept:?}");
    assert!(!stage.directory(&run).exists() && !stage.has_ref(&name).await);
}

#[tokio::test]
async fn a_run_that_never_began_goes_after_an_hour_unless_a_claim_names_it() {
    let stage = Stage::new().await;
    let (young, orphan, claimed) = (RunId::generate(), old(2), old(2));
    for run in [&young, &orphan, &claimed] {
        stage.leave(run);
    }
    let claims = stage.desk.claims().await.unwrap();
    let _claim = claims.acquire(1, &claimed).await.unwrap();
    let swept = stage.sweep(Sweeping::Remove).await;
    assert_eq!("a claim names it", reason(&swept, claimed.as_str()));
    assert_eq!("it was made a moment ago", reason(&swept, young.as_str()));
    let [removal] = swept.removed.as_slice() else {
        panic!("{swept:?}");
    };
    assert!(removal.path.contains(orphan.as_str()));
    assert!(!stage.directory(&orphan).exists());
    assert!(stage.directory(&claimed).exists() && stage.directory(&young).exists());
}

#[tokio::test]
async fn a_forge_that_cannot_be_asked_keeps_everything() {
    let mut stage = Stage::new().await;
    let run = old(2);
    stage.begin(&run).await;
    stage.leave(&run);
    stage.end(&run).await;
    stage.keep_commit(&run).await;
    drop(stage.server.take());
    let swept = stage.sweep(Sweeping::Remove).await;
    assert_eq!(Vec::<Removal>::new(), swept.removed);
    let cannot = "the forge cannot be asked about it";
    assert_eq!(cannot, reason(&swept, run.as_str()));
    // Without any repository there is nobody to ask either.
    let reaper = Reaper {
        root: &stage.desk.root,
        events: stage.desk.events(),
        clock: Arc::clone(&stage.desk.clock),
        desks: &[],
    };
    let swept = reaper.sweep(Sweeping::Remove).await.unwrap();
    assert_eq!(cannot, reason(&swept, run.as_str()));
}

#[tokio::test]
async fn what_is_half_made_goes_when_it_was_left_alone() {
    let stage = Stage::new().await;
    stage.desk.bare().await.unwrap();
    let owner = stage.desk.root.join("repositories/bot");
    let (left, written) = (owner.join("new-abandoned"), owner.join("new-writing"));
    // Their names only look as if they were not finished.
    let repository = owner.join("new-project.git");
    let workspace = stage.desk.root.join("workspaces/new-agent");
    for directory in [&left, &written, &repository, &workspace] {
        std::fs::create_dir_all(directory.join("objects")).unwrap();
        std::fs::write(directory.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    }
    let long_ago = SystemTime::now() - Duration::from_secs(7_200);
    for directory in [&left, &repository, &workspace] {
        for name in ["objects", "HEAD", "."] {
            let file = std::fs::File::open(directory.join(name)).unwrap();
            let times = FileTimes::new().set_modified(long_ago);
            file.set_times(times).unwrap();
        }
    }
    let stranger = stage.desk.root.join("runs/somebody");
    std::fs::create_dir_all(&stranger).unwrap();
    let swept = stage.sweep(Sweeping::Remove).await;
    assert!(
        !left.exists() && written.exists() && stranger.exists(),
        "{swept:?}"
    );
    assert!(owner.join("project.git/HEAD").exists());
    assert!(repository.exists() && workspace.exists(), "{swept:?}");
}
