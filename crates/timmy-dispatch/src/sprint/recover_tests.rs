use std::sync::Arc;

use tempfile::TempDir;
use timmy_agent::Limits;
use timmy_core::Clock;
use timmy_core::EventSink;
use timmy_core::Redactor;
use timmy_core::SystemClock;
use timmy_core::receipt::Provenance;
use timmy_core::receipt::SandboxLevel;
use timmy_forge::Forge;
use timmy_forge::ForgeAddress;
use timmy_forge::ForgeKind;
use timmy_forge::GiteaClient;
use timmy_forge::NewIssue;
use timmy_forge::PullUpdate;
use timmy_forge::claim::Identity;
use timmy_forge::embedded::EmbeddedForge;
use timmy_forge::embedded::InitialCommit;
use timmy_forge::embedded::NewRepository;
use timmy_forge::embedded::Scope;
use timmy_git::Expect;
use timmy_git::Git;
use timmy_git::PushRef;
use timmy_git::RefName;
use timmy_loopback::Server;
use timmy_model::Router;
use timmy_sandbox::Command;
use timmy_sandbox::Finished;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;
use timmy_sandbox::SandboxError;
use timmy_store::SpendLimits;
use timmy_store::Store;

use super::*;
use crate::policy::PublishSettings;
use crate::selection::SelectionSettings;
use crate::sprint::Settings;

const REPO: &str = "bot/project";
const BRANCH: &str = "timmy/1-1";

/// A host with a forge, and one open issue on it.
struct Stage {
    sprint: Sprint,
    run: RunId,
    commit: timmy_core::ObjectName,
    _server: Server,
    _directory: TempDir,
}

impl Stage {
    async fn new() -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = TempDir::new().unwrap();
        let root = directory.path().join("home");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store = Store::open(&root).await.unwrap();
        let forge =
            EmbeddedForge::new(store.clone(), &root.join("forge"), Arc::clone(&clock)).unwrap();
        forge.create_user("bot").await.unwrap();
        let scopes = [Scope::WriteIssue, Scope::WriteRepository, Scope::WriteUser];
        let token = forge.create_token("bot", "test", &scopes).await.unwrap();
        let readme = ("README.md".to_owned(), b"# project\n".to_vec());
        let new = NewRepository {
            name: REPO.parse().unwrap(),
            description: String::new(),
            private: true,
            content: InitialCommit::Files([readme].into()),
        };
        forge.create_repository(&new).await.unwrap();
        let server = Server::start(forge).await.unwrap();
        let address = ForgeAddress {
            base: server.url().parse().unwrap(),
            kind: ForgeKind::Embedded,
        };
        let client = GiteaClient::new(address, "bot".to_owned(), token, Arc::clone(&clock));
        let forge: Arc<dyn Forge> = Arc::new(client.unwrap());
        let repo: timmy_core::RepoName = REPO.parse().unwrap();
        let issue = NewIssue {
            title: "Sum is wrong".to_owned(),
            body: String::new(),
            labels: Vec::new(),
        };
        forge.create_issue(&repo, &issue).await.unwrap();
        let desk = Desk {
            remote: forge.remote(&repo).unwrap(),
            forge,
            login: "bot".to_owned(),
            repo,
            git: Git::new(&root.join("git")).unwrap(),
            store,
            clock,
            redactor: Redactor::default(),
            identity: Identity::of_this_process(&root).unwrap(),
            root,
            settings: Settings {
                selection: SelectionSettings::default(),
                publish: PublishSettings::default(),
                agent: Limits::default(),
                policy: Policy::new("/"),
                claim_ttl_s: 600,
                check: Some("true".to_owned()),
                base_branch: None,
                workspace: crate::workspace::WorkspaceSettings::default(),
                follow_up: crate::follow_up::FollowUpSettings::default(),
                workflow: None,
                merge_queue: crate::merge_queue::MergeQueueSettings::default(),
                watts: std::collections::BTreeMap::new(),
                models: "demo".to_owned(),
            },
        };
        let commit = change(&desk).await;
        let sprint = sprint(desk);
        let stage = Self {
            sprint,
            run: RunId::generate(),
            commit,
            _server: server,
            _directory: directory,
        };
        stage.work_until_the_push().await;
        stage
    }

    /// What a run records until it pushes. Its process has no directory here yet.
    async fn work_until_the_push(&self) {
        let bare = self.sprint.desk.bare().await.unwrap();
        let receipt = Receipt {
            command: "true".to_owned(),
            exit_code: Some(0),
            tree: bare.tree_of(&self.commit).await.unwrap(),
            commit: self.commit.clone(),
            duration_ms: 1,
            output_tail: String::new(),
            sandbox: SandboxLevel::L3,
            output_sha256: "0".repeat(64),
        };
        self.record(EventKind::RunStarted {
            repo: self.sprint.desk.repo.clone(),
            issue: 1,
            title: "Sum is wrong".to_owned(),
            provider: "demo".to_owned(),
            provenance: Provenance::Replayed,
            sandbox: SandboxLevel::L3,
            fingerprint: None,
            answers: None,
        })
        .await;
        self.record(EventKind::WorkspaceReady {
            base_branch: "main".to_owned(),
            base: self.commit.clone(),
            work_branch: None,
        })
        .await;
        self.record(EventKind::CheckFinished { receipt }).await;
    }

    async fn push(&self, branch: &str) {
        let push = PushRef {
            source: Some(self.commit.clone()),
            target: format!("refs/heads/{branch}").parse().unwrap(),
            expect: Expect::Absent,
        };
        let bare = self.sprint.desk.bare().await.unwrap();
        let pushed = bare.push(&self.sprint.desk.remote, &[push]).await.unwrap();
        assert!(pushed.iter().all(|result| result.status.done()));
    }

    async fn push_and_record(&self) {
        self.push(BRANCH).await;
        self.record(EventKind::BranchPushed {
            branch: BRANCH.to_owned(),
            commit: self.commit.clone(),
        })
        .await;
    }

    async fn open_pull(&self, branch: &str) -> IssueNumber {
        let new = timmy_forge::NewPull {
            title: "An offer".to_owned(),
            body: String::new(),
            head: branch.to_owned(),
            base: "main".to_owned(),
            draft: false,
        };
        let opened = self
            .sprint
            .desk
            .forge
            .create_pull(&self.sprint.desk.repo, &new)
            .await;
        opened.unwrap().pull.number
    }

    async fn record(&self, kind: EventKind) {
        let events = self.sprint.desk.events();
        events.append(Some(&self.run), kind).await.unwrap();
    }

    /// The run's process made its directory and was killed.
    fn die(&self) {
        drop(RunPlace::make(&self.sprint.desk.root, &self.run).unwrap());
    }

    async fn outcome(&self) -> Option<Outcome> {
        let events = self.sprint.desk.events();
        events.summary(&self.run).await.unwrap().unwrap().outcome
    }

    async fn pulls(&self) -> Vec<IssueNumber> {
        let all = PullFilter {
            state: StateFilter::All,
            head: None,
        };
        let pulls = self
            .sprint
            .desk
            .forge
            .pulls(&self.sprint.desk.repo, &all)
            .await
            .unwrap();
        pulls.iter().map(|pull| pull.number).collect()
    }

    async fn comments(&self) -> usize {
        let comments = self
            .sprint
            .desk
            .forge
            .comments(&self.sprint.desk.repo, 1)
            .await;
        comments.unwrap().len()
    }

    fn is_cleared(&self) -> bool {
        !self
            .sprint
            .desk
            .root
            .join("runs")
            .join(self.run.as_str())
            .exists()
    }
}

/// A sandbox in which nothing may run: recovering what was checked needs no command.
struct Closed;

#[async_trait::async_trait]
impl Sandbox for Closed {
    fn level(&self) -> SandboxLevel {
        SandboxLevel::L3
    }

    async fn run(&self, _: &Policy, command: &Command) -> Result<Finished, SandboxError> {
        panic!("a command was run: {command:?}");
    }

    fn hand_over(&self, _: &std::path::Path) -> Result<(), SandboxError> {
        Ok(())
    }

    fn belongs(&self, _: &std::path::Path) -> Result<bool, SandboxError> {
        Ok(true)
    }
}

/// No model is asked and no command is run in these tests.
fn sprint(desk: Desk) -> Sprint {
    let spending = desk.store.spending(Arc::clone(&desk.clock));
    let clock = Arc::clone(&desk.clock);
    let router = Router::new(Vec::new(), SpendLimits::default(), spending, clock);
    Sprint {
        desk,
        sandbox: Arc::new(Closed),
        router: Arc::new(router),
    }
}

/// A commit on the forge's main branch, in the host's own repository.
async fn change(desk: &Desk) -> timmy_core::ObjectName {
    let bare = desk.bare().await.unwrap();
    let main: RefName = "refs/heads/main".parse().unwrap();
    let base = desk.fetch_branch(&bare, &main).await.unwrap();
    let tree = bare.tree_of_files(&[("README.md", b"changed\n")]).await;
    let (tree, now) = (tree.unwrap(), desk.clock.now());
    bare.commit_tree(&tree, &[&base], "work", now)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_push_that_the_log_never_heard_of_becomes_one_pull_request() {
    let stage = Stage::new().await;
    stage.push(BRANCH).await;
    stage.die();
    stage.sprint.recover().await.unwrap();
    let pulls = stage.pulls().await;
    assert_eq!((1, 1), (pulls.len(), stage.comments().await));
    let number = pulls[0];
    assert_eq!(Some(Outcome::PullRequest { number }), stage.outcome().await);
    assert!(stage.is_cleared());
    stage.sprint.recover().await.unwrap();
    assert_eq!((pulls, 1), (stage.pulls().await, stage.comments().await));
    let events = stage.sprint.desk.events();
    let acquired = events.of_runs(std::slice::from_ref(&stage.run), &["claim_acquired"]);
    let acquired = acquired.await.unwrap();
    assert_eq!(1, acquired.len(), "nobody said that the run was taken up");
}

#[tokio::test]
async fn a_run_of_another_host_is_left_alone() {
    let stage = Stage::new().await;
    stage.push(BRANCH).await;
    stage.sprint.recover().await.unwrap();
    assert_eq!(None, stage.outcome().await);
    assert_eq!(0, stage.pulls().await.len());
    assert!(stage.is_cleared());
}

#[tokio::test]
async fn a_run_that_somebody_closed_meanwhile_is_not_closed_again() {
    let stage = Stage::new().await;
    stage.push(BRANCH).await;
    stage
        .record(EventKind::RunEnded {
            outcome: Outcome::Abandoned,
            duration_ms: 1,
        })
        .await;
    stage.die();
    stage.sprint.recover().await.unwrap();
    assert_eq!(Some(Outcome::Abandoned), stage.outcome().await);
    assert_eq!(0, stage.pulls().await.len());
    assert!(stage.is_cleared());
}

#[tokio::test]
async fn an_answer_of_a_person_or_of_another_attempt_stands() {
    for (offered, close) in [(BRANCH, true), ("timmy/1-2", false)] {
        let stage = Stage::new().await;
        stage.push_and_record().await;
        if offered != BRANCH {
            stage.push(offered).await;
        }
        let number = stage.open_pull(offered).await;
        if close {
            let update = PullUpdate {
                state: Some(IssueState::Closed),
                ..PullUpdate::default()
            };
            let updated =
                stage
                    .sprint
                    .desk
                    .forge
                    .update_pull(&stage.sprint.desk.repo, number, &update);
            updated.await.unwrap();
        }
        stage.die();
        stage.sprint.recover().await.unwrap();
        assert_eq!(vec![number], stage.pulls().await, "{offered}");
        assert_eq!(Some(Outcome::Abandoned), stage.outcome().await);
    }
}

#[tokio::test]
async fn a_run_that_can_never_be_carried_on_does_not_stop_every_sprint() {
    let stage = Stage::new().await;
    stage.push_and_record().await;
    stage
        .record(EventKind::WorkspaceReady {
            base_branch: "gone".to_owned(),
            base: stage.commit.clone(),
            work_branch: None,
        })
        .await;
    stage.die();
    stage.sprint.recover().await.unwrap();
    let outcome = stage.outcome().await;
    assert!(
        matches!(outcome, Some(Outcome::Failed { .. })),
        "{outcome:?}"
    );
    assert!(stage.is_cleared());
}

#[tokio::test]
async fn a_deleted_pull_request_is_an_answer_and_stops_nothing_else() {
    let stage = Stage::new().await;
    stage
        .record(EventKind::PullRequestOpened {
            number: 99,
            url: String::new(),
            draft: false,
            adopted: false,
        })
        .await;
    let choice = stage.sprint.desk.choose().await.unwrap();
    assert_eq!(None, choice.issue);
    let [passed] = choice.passed_over.as_slice() else {
        panic!("{choice:?}");
    };
    assert!(passed.reason.contains("#99"), "{passed:?}");
}
