//! A forge that outlives the program under test: the embedded one, served by the test, with faults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::ExposeSecret;
use tempfile::TempDir;
use timmy_core::RepoName;
use timmy_core::SystemClock;
use timmy_forge::Forge;
use timmy_forge::ForgeAddress;
use timmy_forge::ForgeKind;
use timmy_forge::GiteaClient;
use timmy_forge::NewIssue;
use timmy_forge::PullFilter;
use timmy_forge::PullRequest;
use timmy_forge::StateFilter;
use timmy_forge::embedded::EmbeddedForge;
use timmy_forge::embedded::Faults;
use timmy_forge::embedded::InitialCommit;
use timmy_forge::embedded::NewRepository;
use timmy_forge::embedded::Scope;
use timmy_loopback::Server;
use timmy_store::Store;
use timmy_store::forge::ForgeTables;
use timmy_store::forge::Permission;
use timmy_store::forge::RepositoryEdit;

use crate::home;
use crate::home::Home;
use crate::home::REPO;
use crate::home::small_project;

/// What timmy needs on a forge.
pub(crate) const NEEDED: [Scope; 2] = [Scope::WriteIssue, Scope::WriteRepository];

/// A forge with the small project and one issue.
pub(crate) struct Served {
    pub(crate) faults: Arc<Faults>,
    pub(crate) client: GiteaClient,
    forge: EmbeddedForge,
    tables: ForgeTables,
    directory: TempDir,
    server: Server,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::with(InitialCommit::Files(
            small_project()
                .into_iter()
                .map(|(name, content)| (name.to_owned(), content))
                .collect(),
        ))
        .await
    }

    /// The same with other content in the project.
    pub(crate) async fn with(content: InitialCommit) -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("home");
        let clock = Arc::new(SystemClock::new());
        let store = Store::open(&root).await.unwrap();
        let faults = Arc::new(Faults::default());
        let tables = ForgeTables::new(store.clone(), clock.clone());
        let files = root.join("forge");
        let forge = EmbeddedForge::with_faults(store, &files, clock.clone(), Arc::clone(&faults));
        let forge = forge.unwrap();
        forge.create_user("timmy").await.unwrap();
        let token = forge.create_token("timmy", "test", &NEEDED).await.unwrap();
        let repository = NewRepository {
            name: repo(),
            description: String::new(),
            private: true,
            content,
        };
        forge.create_repository(&repository).await.unwrap();
        let server = Server::start(forge.clone()).await.unwrap();
        let address = ForgeAddress {
            base: server.url().parse().unwrap(),
            kind: ForgeKind::Gitea,
        };
        let client = GiteaClient::new(address, "timmy".to_owned(), token, clock).unwrap();
        let served = Self {
            faults,
            client,
            forge,
            tables,
            directory,
            server,
        };
        served.issue("The state is broken").await;
        served
    }

    /// Gives a home a token with these scopes.
    pub(crate) async fn let_in(&self, home: &Home, scopes: &[Scope]) {
        let token = self.forge.create_token("timmy", "home", scopes).await;
        std::fs::write(home.beside("token"), token.unwrap().expose_secret()).unwrap();
    }

    /// Settings of this forge, with whatever lies in the home's token file and this check.
    pub(crate) fn configure(&self, home: &Home, check: &str, more: &str) {
        self.configure_at(home, &self.server.url(), check, more);
    }

    /// The same, for a forge that is reached at another address.
    pub(crate) fn configure_at(&self, home: &Home, url: &str, check: &str, more: &str) {
        home.configure(&format!(
            "[forge]\nkind = \"gitea\"\nurl = \"{url}\"\nuser = \"timmy\"\n\
             token = {{ file = \"{}\" }}\nrepositories = [\"{REPO}\"]\n\
             [repository.\"{REPO}\"]\ncheck = \"{check}\"\n{more}",
            home.beside("token").display()
        ));
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Another issue, numbered after those that are there.
    pub(crate) async fn issue(&self, title: &str) {
        let issue = NewIssue {
            title: title.to_owned(),
            body: "It should be fixed.".to_owned(),
            labels: Vec::new(),
        };
        self.client.create_issue(&repo(), &issue).await.unwrap();
    }

    pub(crate) async fn archive(&self) {
        let found = self.tables.repository("timmy", "small").await.unwrap();
        let edit = RepositoryEdit {
            archived: Some(true),
            ..RepositoryEdit::default()
        };
        let edited = self.tables.edit_repository(found.unwrap().id, edit).await;
        edited.unwrap();
    }

    /// Every pull request, whatever became of it.
    pub(crate) async fn pulls(&self) -> Vec<PullRequest> {
        let filter = PullFilter {
            state: StateFilter::All,
            head: None,
        };
        self.client.pulls(&repo(), &filter).await.unwrap()
    }

    /// Comments of timmy's on the first issue.
    pub(crate) async fn comments(&self) -> usize {
        let comments = self.client.comments(&repo(), 1).await.unwrap();
        let own = comments.iter().filter(|comment| comment.author == "timmy");
        own.count()
    }

    /// What is not as it should be once the one issue is done, whatever went wrong meanwhile: there is
    /// one pull request and one comment, and nothing is left of runs in the home.
    pub(crate) async fn defects(&self, home: &Home) -> Vec<String> {
        let mut defects = Vec::new();
        let mut demand = |holds: bool, what: String| {
            if !holds {
                defects.push(what);
            }
        };
        let pulls = self.pulls().await;
        let passed = |pull: &&PullRequest| pull.body.contains("**The check passed**");
        let offered = pulls.iter().filter(passed).count();
        let count = pulls.len();
        demand(offered == 1 && count == 1, format!("{count} pull requests"));
        let comments = self.comments().await;
        demand(comments == 1, format!("{comments} comments"));
        let mut claims = self.refs().await;
        claims.retain(|name| name.contains("claim"));
        demand(claims.is_empty(), format!("{claims:?}"));
        let directories = home.run_directories();
        demand(directories.is_empty(), format!("{directories:?}"));
        let runs = home.json(&["runs"]).await.well().json();
        let endless = runs.as_array().unwrap().iter();
        let endless = endless.filter(|run| run["outcome"].is_null()).count();
        demand(endless == 0, format!("{endless} runs without an end"));
        defects
    }

    /// Where git reaches the project, as the home whose token file this is.
    pub(crate) fn git_url(&self, home: &Home) -> String {
        let token = std::fs::read_to_string(home.beside("token")).unwrap();
        let server = self
            .server
            .url()
            .replace("http://", &format!("http://x:{token}@"));
        format!("{server}/{REPO}.git")
    }

    pub(crate) async fn refs(&self) -> Vec<String> {
        home::refs(&self.repository()).await
    }

    /// The forge itself, to be served a second time.
    pub(crate) fn handler(&self) -> EmbeddedForge {
        self.forge.clone()
    }

    /// Makes a user who may push, and gives their way to the forge.
    pub(crate) async fn writer(&self, name: &str) -> GiteaClient {
        self.forge.create_user(name).await.unwrap();
        let may = Permission::Write;
        let invited = self.forge.add_collaborator(&repo(), name, may).await;
        invited.unwrap();
        let token = self.forge.create_token(name, "test", &NEEDED).await;
        let address = ForgeAddress {
            base: self.server.url().parse().unwrap(),
            kind: ForgeKind::Gitea,
        };
        let clock = Arc::new(SystemClock::new());
        GiteaClient::new(address, name.to_owned(), token.unwrap(), clock).unwrap()
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.directory.path().join("home/forge/repositories/1.git")
    }
}

pub(crate) fn repo() -> RepoName {
    REPO.parse().unwrap()
}
