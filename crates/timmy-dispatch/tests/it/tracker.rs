//! The issues of a forge as a tracker, over HTTP.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tempfile::TempDir;
use timmy_core::Clock;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::RepoName;
use timmy_core::SystemClock;
use timmy_dispatch::selection::SelectionSettings;
use timmy_dispatch::workflow::tracker::Category;
use timmy_dispatch::workflow::tracker::Tracker;
use timmy_dispatch::workflow::tracker::TrackerError;
use timmy_dispatch::workflow::tracker::category;
use timmy_forge::Forge;
use timmy_forge::ForgeAddress;
use timmy_forge::ForgeError;
use timmy_forge::ForgeKind;
use timmy_forge::GiteaClient;
use timmy_forge::NewIssue;
use timmy_forge::NewLabel;
use timmy_forge::Refusal;
use timmy_forge::embedded::EmbeddedForge;
use timmy_forge::embedded::InitialCommit;
use timmy_forge::embedded::NewRepository;
use timmy_forge::embedded::Scope;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use timmy_store::Store;

/// The title of an issue that arrives without one.
const LOST_ON_THE_WAY: &str = "Lost on the way";

/// The embedded forge, how often it was asked, and something before it that loses a title.
struct Counted {
    forge: EmbeddedForge,
    calls: Arc<AtomicU32>,
}

impl Handler for Counted {
    async fn handle(&self, request: Request) -> Reply {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match self.forge.handle(request).await {
            Reply::Whole(whole) => Reply::Whole(whole.map(|body| {
                let text = String::from_utf8_lossy(&body);
                text.replace(LOST_ON_THE_WAY, " ").into_bytes().into()
            })),
            other => other,
        }
    }
}

struct Stage {
    client: GiteaClient,
    repositories: Vec<RepoName>,
    selection: SelectionSettings,
    calls: Arc<AtomicU32>,
    _server: Server,
    _directory: TempDir,
}

impl Stage {
    async fn new() -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = TempDir::new().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let root = directory.path().join("home");
        let store = Store::open(&root).await.unwrap();
        let files = root.join("forge");
        let forge = EmbeddedForge::new(store, &files, Arc::clone(&clock)).unwrap();
        forge.create_user("bot").await.unwrap();
        let scopes = [Scope::WriteIssue, Scope::WriteRepository, Scope::WriteUser];
        let token = forge.create_token("bot", "test", &scopes).await.unwrap();
        let mut repositories = Vec::new();
        for name in ["bot/one", "bot/two"] {
            let readme = ("README.md".to_owned(), b"# project\n".to_vec());
            let new = NewRepository {
                name: name.parse().unwrap(),
                description: String::new(),
                private: true,
                content: InitialCommit::Files([readme].into()),
            };
            forge.create_repository(&new).await.unwrap();
            repositories.push(new.name);
        }
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Counted {
            forge,
            calls: Arc::clone(&calls),
        };
        let server = Server::start(counted).await.unwrap();
        let address = ForgeAddress {
            base: server.url().parse().unwrap(),
            kind: ForgeKind::Embedded,
        };
        Self {
            client: GiteaClient::new(address, "bot".to_owned(), token, clock).unwrap(),
            repositories,
            selection: SelectionSettings::default(),
            calls,
            _server: server,
            _directory: directory,
        }
    }

    fn tracker(&self) -> Tracker<'_> {
        Tracker {
            forge: &self.client,
            repositories: &self.repositories,
            selection: &self.selection,
            login: "bot",
        }
    }

    async fn issue(&self, repo: usize, title: &str, labels: &[&str]) -> u64 {
        for name in labels {
            let label = NewLabel {
                name: (*name).to_owned(),
                color: "ff0000".to_owned(),
                description: String::new(),
            };
            self.client
                .create_label(&self.repositories[repo], &label)
                .await
                .unwrap();
        }
        let new = NewIssue {
            title: title.to_owned(),
            body: "Text.".to_owned(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        };
        self.client
            .create_issue(&self.repositories[repo], &new)
            .await
            .unwrap()
            .number
    }

    async fn ids(&self, states: &[&str]) -> Vec<String> {
        let states: Vec<_> = states.iter().map(|state| (*state).to_owned()).collect();
        let issues = self
            .tracker()
            .fetch_issues_by_states(&states)
            .await
            .unwrap();
        issues.into_iter().map(|issue| issue.id).collect()
    }
}

#[tokio::test]
async fn issues_are_fetched_by_state_from_every_repository_in_scope() {
    let stage = Stage::new().await;
    stage.issue(0, "Open one", &["Bug", "P2"]).await;
    let closed = stage.issue(0, "Closed one", &[]).await;
    stage
        .client
        .close_issue(&stage.repositories[0], closed)
        .await
        .unwrap();
    stage.issue(1, "Open two", &[]).await;
    assert_eq!(vec!["bot/one#1", "bot/two#1"], stage.ids(&[" Open "]).await);
    assert_eq!(vec!["bot/one#2"], stage.ids(&["CLOSED"]).await);
    assert_eq!(3, stage.ids(&["open", "closed", "open"]).await.len());
    let open = stage
        .tracker()
        .fetch_issues_by_states(&["open".to_owned()])
        .await
        .unwrap();
    assert_eq!(vec!["bug", "p2"], open[0].labels);
    assert_eq!((Some(3), true), (open[0].priority, open[0].dispatchable));
}

#[tokio::test]
async fn no_states_and_no_ids_make_no_call() {
    let stage = Stage::new().await;
    let before = stage.calls.load(Ordering::SeqCst);
    let tracker = stage.tracker();
    assert!(
        tracker
            .fetch_issues_by_states(&[])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(tracker.fetch_issues_by_ids(&[]).await.unwrap().is_empty());
    // Forges have no such state.
    assert!(stage.ids(&["In Progress"]).await.is_empty());
    assert_eq!(before, stage.calls.load(Ordering::SeqCst));
}

#[tokio::test]
async fn issues_are_fetched_again_by_id_each_once_and_only_from_the_scope() {
    let stage = Stage::new().await;
    stage.issue(0, "One", &[]).await;
    stage.issue(1, "Two", &[]).await;
    let ids = [
        "bot/two#1",
        "bot/one#1",
        "bot/one#1",
        "bot/one#99",
        "other/x#1",
        "1",
        "bot/one#x",
    ];
    let ids = ids.map(str::to_owned);
    let issues = stage.tracker().fetch_issues_by_ids(&ids).await.unwrap();
    let found: Vec<_> = issues.iter().map(|issue| issue.id.as_str()).collect();
    assert_eq!(vec!["bot/one#1", "bot/two#1"], found);
    // A whole snapshot, not a state alone.
    assert_eq!(Some("Text."), issues[0].description.as_deref());
    assert!(issues[0].created_at.is_some() && issues[0].url.is_some());
}

#[tokio::test]
async fn a_malformed_issue_is_left_out_of_a_list_and_fails_a_look_at_itself() {
    let stage = Stage::new().await;
    stage.issue(0, "Whole", &[]).await;
    stage.issue(0, LOST_ON_THE_WAY, &[]).await;
    assert_eq!(vec!["bot/one#1"], stage.ids(&["open"]).await);
    let ids = ["bot/one#1".to_owned(), "bot/one#2".to_owned()];
    let error = stage.tracker().fetch_issues_by_ids(&ids).await.unwrap_err();
    assert_eq!(Category::TrackerResponse, error.category());
    assert!(error.to_string().contains("bot/one#2"), "{error}");
}

#[tokio::test]
async fn the_forges_rules_become_an_explicit_answer() {
    let stage = Stage::new().await;
    stage.issue(0, "Plain", &[]).await;
    stage.issue(0, "[EPIC] All of it", &[]).await;
    stage.issue(0, "Later", &["hold"]).await;
    let open = stage
        .tracker()
        .fetch_issues_by_states(&["open".to_owned()])
        .await
        .unwrap();
    let mut answers: Vec<_> = open
        .iter()
        .map(|issue| (issue.title.as_str(), issue.dispatchable))
        .collect();
    answers.sort_unstable();
    assert_eq!(
        vec![
            ("Later", false),
            ("Plain", true),
            ("[EPIC] All of it", false)
        ],
        answers
    );
}

#[tokio::test]
async fn a_forge_that_is_gone_is_an_error_and_no_empty_list() {
    let mut stage = Stage::new().await;
    stage.repositories = vec!["bot/gone".parse().unwrap()];
    let error = stage
        .tracker()
        .fetch_issues_by_states(&["open".to_owned()])
        .await
        .unwrap_err();
    assert_eq!(Category::TrackerStatus, error.category());
}

#[test]
fn every_error_of_a_forge_has_a_category() {
    let refusal = || Refusal {
        call: "GET /x".to_owned(),
        said: String::new(),
    };
    let call = || "GET /x".to_owned();
    let why = || "it fell".to_owned();
    let address = ForgeError::Address {
        value: "x".to_owned(),
        why: why(),
    };
    let limited = ForgeError::RateLimited {
        call: call(),
        retry_after: Some(Duration::from_secs(3)),
    };
    let large = ForgeError::TooLarge {
        call: call(),
        what: "too many pages".to_owned(),
    };
    let malformed = ForgeError::Malformed {
        call: call(),
        what: "HTML".to_owned(),
    };
    for (error, expected) in [
        (address, "invalid_tracker_config"),
        (
            ForgeError::Unauthorized(refusal()),
            "missing_tracker_secret",
        ),
        (
            ForgeError::Unavailable {
                call: call(),
                why: why(),
            },
            "tracker_request",
        ),
        (ForgeError::NotFound(refusal()), "tracker_status"),
        (malformed, "tracker_response"),
        (large, "tracker_pagination"),
        (limited, "tracker_rate_limited"),
    ] {
        assert_eq!(expected, category(&error).to_string());
        assert!(!error.problem().what.is_empty());
    }
    let malformed = TrackerError::Malformed {
        id: "a/b#1".to_owned(),
        lacks: "title",
    };
    assert_eq!(Category::TrackerResponse, malformed.category());
    assert_eq!(Code::new(815), malformed.problem().code);
}
