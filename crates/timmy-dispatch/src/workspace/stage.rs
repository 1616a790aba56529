//! A host with a forge and one repository, for tests.

use std::sync::Arc;

use tempfile::TempDir;
use timmy_agent::Limits;
use timmy_core::Clock;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::Redactor;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::SystemClock;
use timmy_core::event::Outcome;
use timmy_core::receipt::Provenance;
use timmy_core::receipt::SandboxLevel;
use timmy_forge::Forge;
use timmy_forge::ForgeAddress;
use timmy_forge::ForgeKind;
use timmy_forge::GiteaClient;
use timmy_forge::NewIssue;
use timmy_forge::claim::Identity;
use timmy_forge::embedded::EmbeddedForge;
use timmy_forge::embedded::InitialCommit;
use timmy_forge::embedded::NewRepository;
use timmy_forge::embedded::Scope;
use timmy_git::Git;
use timmy_loopback::Server;
use timmy_sandbox::Policy;
use timmy_store::Store;

use crate::policy::PublishSettings;
use crate::selection::SelectionSettings;
use crate::sprint::Desk;
use crate::sprint::Settings;

pub(super) const REPO: &str = "bot/project";

pub(super) struct Stage {
    pub(super) desk: Desk,
    pub(super) server: Option<Server>,
    _directory: TempDir,
}

impl Stage {
    pub(super) async fn new() -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = TempDir::new().unwrap();
        let root = directory.path().join("home");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store = Store::open(&root).await.unwrap();
        let embedded =
            EmbeddedForge::new(store.clone(), &root.join("forge"), Arc::clone(&clock)).unwrap();
        embedded.create_user("bot").await.unwrap();
        let scopes = [Scope::WriteIssue, Scope::WriteRepository, Scope::WriteUser];
        let token = embedded.create_token("bot", "test", &scopes).await.unwrap();
        let repo: RepoName = REPO.parse().unwrap();
        let readme = ("README.md".to_owned(), b"# project\n".to_vec());
        let new = NewRepository {
            name: repo.clone(),
            description: String::new(),
            private: true,
            content: InitialCommit::Files([readme].into()),
        };
        embedded.create_repository(&new).await.unwrap();
        let server = Server::start(embedded).await.unwrap();
        let address = ForgeAddress {
            base: server.url().parse().unwrap(),
            kind: ForgeKind::Embedded,
        };
        let client = GiteaClient::new(address, "bot".to_owned(), token, Arc::clone(&clock));
        let forge: Arc<dyn Forge> = Arc::new(client.unwrap());
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
        Self {
            desk,
            server: Some(server),
            _directory: directory,
        }
    }

    pub(super) async fn record(&self, run: &RunId, kind: EventKind) {
        let events = self.desk.events();
        events.append(Some(run), kind).await.unwrap();
    }

    pub(super) async fn begin(&self, run: &RunId) {
        let started = EventKind::RunStarted {
            repo: self.desk.repo.clone(),
            issue: 1,
            title: "Sum is wrong".to_owned(),
            provider: "demo".to_owned(),
            provenance: Provenance::Replayed,
            sandbox: SandboxLevel::L3,
            fingerprint: None,
            answers: None,
        };
        self.record(run, started).await;
    }

    pub(super) async fn end(&self, run: &RunId) {
        let ended = EventKind::RunEnded {
            outcome: Outcome::NoChange,
            duration_ms: 1,
        };
        self.record(run, ended).await;
    }
}
