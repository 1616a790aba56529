//! A run on a stage: what the model will say, a workspace, and what can be seen afterwards.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use timmy_agent::Agent;
use timmy_agent::Ending;
use timmy_agent::Limits;
use timmy_agent::Report;
use timmy_agent::ToolBox;
use timmy_agent::conversation::Conversation;
use timmy_agent::tools::ForgeDesk;
use timmy_agent::tools::Workbench;
use timmy_core::Event;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::Problem;
use timmy_core::Redactor;
use timmy_core::RunId;
use timmy_model::Patience;
use timmy_model::ProviderKind;
use timmy_model::ProviderSettings;
use timmy_model::Router;
use timmy_model::Surroundings;
use timmy_sandbox::Command;
use timmy_sandbox::Helper;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;
use timmy_sandbox::Settings;
use timmy_sandbox::Tree;
use timmy_sandbox::Unsandboxed;
use timmy_store::SpendLimits;
use timmy_store::Store;
use timmy_testkit::EventList;
use timmy_testkit::ManualClock;
use timmy_testkit::model_server::ModelServer;
use timmy_testkit::model_server::Turn;
use tokio::sync::OnceCell;

/// Proving a sandbox takes a while, and all tests use the same.
static SANDBOX: OnceCell<Arc<dyn Sandbox>> = OnceCell::const_new();

/// What the bound on a text may add to it.
const MARK: usize = 64;

/// The task that every run on a stage has.
pub(crate) const TASK: &str = "Mend the sum.";

async fn sandbox() -> Arc<dyn Sandbox> {
    let choose = async || {
        let helper = Helper::new(env!("CARGO_BIN_EXE_timmy-agent-helper"));
        let settings = Settings {
            agent_user: Some("nobody".to_owned()),
            allow_unsandboxed: true,
            ..Settings::default()
        };
        let chosen = timmy_sandbox::choose(&settings, &helper, Unsandboxed::Allowed);
        chosen.await.unwrap()
    };
    Arc::clone(SANDBOX.get_or_init(choose).await)
}

/// A list of events during which the clock moves: so much for every tool that ends.
struct Ticking {
    list: EventList,
    clock: Arc<ManualClock>,
    tool_takes: Duration,
}

#[async_trait]
impl EventSink for Ticking {
    async fn append(&self, run: Option<&RunId>, kind: EventKind) -> Result<Event, Problem> {
        if matches!(kind, EventKind::ToolFinished { .. }) {
            self.clock.advance(self.tool_takes);
        }
        self.list.append(run, kind).await
    }
}

pub(crate) struct Stage {
    pub(crate) model: ModelServer,
    pub(crate) workspace: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) spend: SpendLimits,
    pub(crate) redactor: Redactor,
    pub(crate) desk: Option<ForgeDesk>,
    /// How much time passes with every tool.
    pub(crate) tool_takes: Duration,
    home: TempDir,
}

/// What a run left behind.
pub(crate) struct Played {
    pub(crate) report: Report,
    pub(crate) events: Vec<EventKind>,
    /// The messages of each request, in order.
    pub(crate) requests: Vec<Vec<Value>>,
}

/// One call, as a turn of its own.
pub(crate) fn call(tool: &str, arguments: Value) -> Turn {
    Turn::call(tool, arguments)
}

/// Several calls in one reply.
pub(crate) fn calls<const N: usize>(calls: [(&str, Value); N]) -> Turn {
    Turn::calls(calls.map(|(tool, arguments)| (tool.to_owned(), arguments)))
}

pub(crate) fn finish() -> Turn {
    call("finish", json!({"summary": "Done."}))
}

impl Stage {
    pub(crate) async fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
        let home = tempfile::tempdir().unwrap();
        // The agent's user has to get to its workspace.
        let traversable = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(home.path(), traversable).unwrap();
        let workspace = home.path().join("run/workspace");
        std::fs::create_dir_all(&workspace).unwrap();
        Self {
            model: ModelServer::start(turns.into_iter().collect()).await,
            workspace,
            limits: Limits::default(),
            spend: SpendLimits::default(),
            redactor: Redactor::default(),
            desk: None,
            tool_takes: Duration::ZERO,
            home,
        }
    }

    /// A file of the workspace, before or after the run.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.workspace.join(name)
    }

    /// Puts a file into the workspace.
    pub(crate) fn put(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A place that is no business of the agent.
    pub(crate) fn outside(&self) -> &Path {
        self.home.path()
    }

    /// Runs a script in the sandbox before the run.
    pub(crate) async fn shell(&self, script: &str) -> String {
        let sandbox = sandbox().await;
        sandbox.hand_over(&self.workspace).unwrap();
        let policy = Policy::new(&self.workspace);
        let finished = sandbox.run(&policy, &Command::shell(script)).await.unwrap();
        let text = finished.text(&Redactor::default());
        assert!(finished.success(), "{script}: {text}");
        text.trim_end().to_owned()
    }

    async fn router(&self, clock: &Arc<ManualClock>) -> Router {
        let settings = ProviderSettings {
            base_url: Some(self.model.base_url().parse().unwrap()),
            model: Some("scripted".to_owned()),
            ..ProviderSettings::new("scripted", ProviderKind::Generic)
        };
        let surroundings = Surroundings {
            private: self.home.path().join("private"),
            recorder: None,
            clock: clock.clone(),
        };
        let opened = timmy_model::open(&[settings], &surroundings).await.unwrap();
        let store = Store::open(&self.home.path().join("timmy")).await.unwrap();
        let spending = store.spending(clock.clone());
        let patience = Patience {
            first_wait: Duration::ZERO,
            ..Patience::default()
        };
        Router::new(opened.providers, self.spend, spending, clock.clone()).with_patience(patience)
    }

    /// Plays the run to its end, and holds of every request what must hold of all.
    pub(crate) async fn play(&mut self) -> Played {
        let clock = Arc::new(ManualClock::default());
        let events = Arc::new(Ticking {
            list: EventList::default(),
            clock: clock.clone(),
            tool_takes: self.tool_takes,
        });
        let sandbox = sandbox().await;
        sandbox.hand_over(&self.workspace).unwrap();
        let tree = Tree::open(&self.workspace).unwrap();
        let bench = Workbench::new(
            sandbox,
            Policy::new(&self.workspace),
            tree,
            self.redactor.clone(),
            std::time::Duration::from_secs(self.limits.command_seconds),
        );
        let bench = match self.desk.take() {
            Some(desk) => bench.with_forge(desk),
            None => bench,
        };
        let agent = Agent {
            run: RunId::generate(),
            issue: None,
            router: Arc::new(self.router(&clock).await),
            tools: ToolBox::new(bench),
            limits: self.limits.clone(),
            events: events.clone(),
            clock,
            redactor: self.redactor.clone(),
        };
        let conversation = Conversation::new("You are careful.".to_owned(), TASK.to_owned());
        let report = agent.run(conversation).await.unwrap();
        let requests = self.model.chats().into_iter().map(|request| {
            let messages = request.body["messages"].as_array();
            messages.unwrap().clone()
        });
        let played = Played {
            report,
            events: events.list.kinds(),
            requests: requests.collect(),
        };
        for messages in &played.requests {
            expect_well_formed(messages, self.limits.result_bytes);
        }
        played
    }
}

/// What servers demand of a conversation, and timmy of what it shows to a model: rules and task come
/// first, the results of a reply follow it directly and in order, nothing is empty, people do not
/// speak twice in a row, and every result is bounded and clean.
#[track_caller]
fn expect_well_formed(messages: &[Value], result_bytes: usize) {
    assert_eq!("system", messages[0]["role"]);
    assert_eq!("user", messages[1]["role"]);
    assert!(messages[1]["content"].as_str().unwrap().starts_with(TASK));
    let mut owed: Vec<Value> = Vec::new();
    let mut last = "system";
    for message in &messages[1..] {
        let text = message["content"].as_str().unwrap();
        match message["role"].as_str().unwrap() {
            "tool" => {
                assert_eq!(owed.remove(0), message["tool_call_id"], "{messages:#?}");
                assert!(text.len() <= result_bytes + MARK, "{} bytes", text.len());
                let hidden = |c: char| c.is_control() && c != '\n' && c != '\t';
                assert!(!text.contains(hidden), "{text:?}");
                assert!(!text.is_empty());
                last = "tool";
            }
            "assistant" => {
                assert!(owed.is_empty(), "{messages:#?}");
                let asked = message["tool_calls"].as_array().into_iter().flatten();
                owed = asked.map(|call| call["id"].clone()).collect();
                assert!(!owed.is_empty() || !text.is_empty());
                last = "assistant";
            }
            "user" => {
                assert!(owed.is_empty() && last != "user", "{messages:#?}");
                last = "user";
            }
            other => panic!("{other} does not speak here"),
        }
    }
    assert!(owed.is_empty(), "{messages:#?}");
}

impl Played {
    #[track_caller]
    pub(crate) fn expect_finished(&self) -> &Self {
        assert!(
            matches!(self.report.ending, Ending::Finished),
            "{:?}",
            self.report
        );
        self
    }

    /// The code of what stopped the run.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        match &self.report.ending {
            Ending::Finished => panic!("it finished: {:?}", self.report),
            Ending::Stopped(error) => timmy_core::Coded::problem(error).code.to_string(),
        }
    }

    /// The results of the tools as the last request shows them.
    pub(crate) fn results(&self) -> Vec<String> {
        let last = self.requests.last().map_or(&[][..], Vec::as_slice);
        texts(last, "tool")
    }

    /// What timmy says to the model in a request, task included.
    pub(crate) fn remarks(&self, request: usize) -> String {
        texts(&self.requests[request], "user").join("\n")
    }

    /// Whether each tool that ran did what was asked.
    pub(crate) fn successes(&self) -> Vec<bool> {
        let ended = self.events.iter().filter_map(|event| match event {
            EventKind::ToolFinished { ok, .. } => Some(*ok),
            _ => None,
        });
        ended.collect()
    }

    /// The one result of a run that asked for one tool and finished.
    #[track_caller]
    pub(crate) fn only_result(&self) -> String {
        let mut results = self.expect_finished().results();
        assert_eq!(1, results.len(), "{results:?}");
        results.remove(0)
    }

    /// Everything that the log and the report hold.
    pub(crate) fn record(&self) -> String {
        let events = serde_json::to_string(&self.events).unwrap();
        format!("{events}{:?}", self.report)
    }

    pub(crate) fn loops(&self) -> Vec<&str> {
        let found = self.events.iter().filter_map(|event| match event {
            EventKind::LoopDetected { pattern } => Some(pattern.as_str()),
            _ => None,
        });
        found.collect()
    }
}

fn texts(messages: &[Value], role: &str) -> Vec<String> {
    let said = messages.iter().filter(|message| message["role"] == role);
    said.map(|message| message["content"].as_str().unwrap().to_owned())
        .collect()
}
