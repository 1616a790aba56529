//! What tests of `timmy loop` have in common: a forge behind a front that counts and can be down, a
//! model for any number of conversations at once, and the log as it is written.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use http::Method;
use http::StatusCode;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use serde_json::json;
use timmy_forge::GiteaClient;
use timmy_forge::PullRequest;
use timmy_forge::embedded::EmbeddedForge;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::io::Lines;
use tokio::process::Child;
use tokio::process::ChildStdout;
use tokio::sync::Notify;
use tokio::sync::Semaphore;

use crate::home::CHECK;
use crate::home::Home;
use crate::home::REPO;
use crate::home::Ran;
use crate::home::git;
use crate::home::provider;
use crate::kill::FOREVER;
use crate::served::NEEDED;
use crate::served::Served;

/// A night whose waits are short.
pub(crate) const QUICK: &str =
    "[night]\npoll_s = 1\nattend_s = 1\nfull_s = 2\nfirst_backoff_s = 1\n";
/// A word in the text of an issue on which the model finds nothing to do.
pub(crate) const POISON: &str = "poison";

/// What stands before the forge.
pub(crate) struct Front {
    forge: EmbeddedForge,
    down: AtomicBool,
    seen: Mutex<Vec<String>>,
    came: Notify,
}

/// A front that is served.
struct Door(Arc<Front>);

impl Handler for Door {
    async fn handle(&self, request: Request) -> Reply {
        self.0.answer(request).await
    }
}

impl Front {
    async fn answer(&self, request: Request) -> Reply {
        let line = format!("{} {}", request.method(), request.uri());
        self.seen.lock().unwrap().push(line);
        self.came.notify_waiters();
        if self.down.load(Ordering::SeqCst) {
            let mut page = http::Response::new("<html>Bad gateway</html>".into());
            *page.status_mut() = StatusCode::BAD_GATEWAY;
            return Reply::Whole(page);
        }
        self.forge.handle(request).await
    }

    /// From now on a proxy says that the forge is gone, or it is back.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Every request so far: method and address.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests that hold a text came, counted from the beginning.
    pub(crate) async fn until(&self, text: &str, count: usize) {
        let wait = async {
            loop {
                let came = self.came.notified();
                if self.count(text) >= count {
                    return;
                }
                came.await;
            }
        };
        let came = tokio::time::timeout(FOREVER, wait).await;
        assert!(
            came.is_ok(),
            "fewer than {count} of {text}: {:?}",
            self.seen()
        );
    }

    /// How many requests so far hold a text.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.seen()
            .iter()
            .filter(|line| line.contains(text))
            .count()
    }
}

/// A model for any number of conversations. How far each is, it tells by its messages; what it works
/// on, by the prompt. Every conversation leaves work that differs from that of all others.
pub(crate) struct Worker {
    /// The first request of every conversation.
    prompts: Mutex<Vec<String>>,
    down: AtomicBool,
    held: AtomicBool,
    gate: Semaphore,
    waits: Semaphore,
}

/// A model that is served.
struct Desk(Arc<Worker>);

impl Handler for Desk {
    async fn handle(&self, request: Request) -> Reply {
        self.0.answer(request).await
    }
}

impl Worker {
    async fn answer(&self, request: Request) -> Reply {
        if self.down.load(Ordering::SeqCst) {
            return Reply::Dropped;
        }
        if request.method() == Method::GET {
            // The collector of the loop asks what is loaded.
            let models = json!({"object": "list", "data": [{"id": "scripted"}]});
            return Reply::json(StatusCode::OK, models.to_string());
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let messages = body["messages"].as_array().cloned().unwrap_or_default();
        let said = messages
            .iter()
            .filter(|one| one["role"] == json!("assistant"));
        let said = said.count();
        let texts = messages.iter().filter_map(|one| one["content"].as_str());
        let prompt: String = texts.take(2).collect();
        if said == 0 {
            self.prompts.lock().unwrap().push(prompt.clone());
        }
        if said == 0 && self.held.load(Ordering::SeqCst) {
            self.waits.add_permits(1);
            self.gate.acquire().await.unwrap().forget();
        }
        let count = self.prompts.lock().unwrap().len();
        let (tool, arguments) = step(&prompt, said, count);
        let function = json!({"name": tool, "arguments": arguments.to_string()});
        let call = json!({"id": "call_1", "type": "function", "function": function});
        let message = json!({"role": "assistant", "content": "", "tool_calls": [call]});
        let reply = json!({"object": "chat.completion", "model": "scripted",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}});
        Reply::json(StatusCode::OK, reply.to_string())
    }
}

fn step(prompt: &str, said: usize, count: usize) -> (&'static str, Value) {
    let finish = ("finish", json!({"summary": "Done."}));
    if prompt.contains(POISON) {
        return finish;
    }
    let issue: String = prompt
        .split("issue #")
        .nth(1)
        .unwrap_or_default()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    match said {
        0 => (
            "write_file",
            json!({"path": "state.txt", "contents": "fixed\n"}),
        ),
        1 => (
            "write_file",
            json!({"path": format!("done-{issue}.txt"), "contents": format!("{count}\n")}),
        ),
        _ => finish,
    }
}

impl Worker {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            prompts: Mutex::default(),
            down: AtomicBool::new(false),
            held: AtomicBool::new(false),
            gate: Semaphore::new(0),
            waits: Semaphore::new(0),
        })
    }

    /// The first request of every conversation so far.
    pub(crate) fn prompts(&self) -> Vec<String> {
        self.prompts.lock().unwrap().clone()
    }

    /// From now on no connection is answered, or every one is again.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// From now on every conversation waits before its first answer, or none does.
    pub(crate) fn set_held(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
    }

    /// Waits until one more conversation waits.
    pub(crate) async fn reached(&self) {
        let waits = self.waits.acquire();
        let reached = tokio::time::timeout(FOREVER, waits).await;
        reached.expect("nobody asks the model").unwrap().forget();
    }

    /// Lets so many waiting conversations go on.
    pub(crate) fn open(&self, count: usize) {
        self.gate.add_permits(count);
    }
}

/// A home, its forge and its model.
pub(crate) struct Stage {
    pub(crate) home: Home,
    pub(crate) forge: Served,
    pub(crate) front: Arc<Front>,
    pub(crate) worker: Arc<Worker>,
    door: Server,
    model: Server,
}

impl Stage {
    /// A forge with the small project and one issue.
    pub(crate) async fn new() -> Self {
        Self::before(Served::start().await).await
    }

    pub(crate) async fn before(forge: Served) -> Self {
        let home = Home::new();
        forge.let_in(&home, &NEEDED).await;
        let front = Arc::new(Front {
            forge: forge.handler(),
            down: AtomicBool::new(false),
            seen: Mutex::default(),
            came: Notify::new(),
        });
        let worker = Worker::new();
        let stage = Self {
            door: Server::start(Door(Arc::clone(&front))).await.unwrap(),
            model: Server::start(Desk(Arc::clone(&worker))).await.unwrap(),
            home,
            forge,
            front,
            worker,
        };
        stage.configure(QUICK);
        stage
    }

    /// Writes timmy.toml with these further tables.
    pub(crate) fn configure(&self, more: &str) {
        let url = self.door.url();
        let more = self.provider() + more;
        self.forge.configure_at(&self.home, &url, CHECK, &more);
    }

    /// The same for these repositories.
    pub(crate) fn configure_for(&self, repositories: &[&str], more: &str) {
        let named: Vec<String> = repositories.iter().map(|one| format!("{one:?}")).collect();
        let table = |one: &&str| format!("[repository.{one:?}]\ncheck = \"{CHECK}\"\n");
        let tables: String = repositories.iter().map(table).collect();
        self.home.configure(&format!(
            "[forge]\nkind = \"gitea\"\nurl = \"{}\"\nuser = \"timmy\"\n\
             token = {{ file = \"{}\" }}\nrepositories = [{}]\n{tables}{}{more}",
            self.door.url(),
            self.home.beside("token").display(),
            named.join(", "),
            self.provider(),
        ));
    }

    /// The settings of the model.
    pub(crate) fn provider(&self) -> String {
        let url = format!("{}/v1", self.model.url());
        provider("generic", &url) + "stream = false\n"
    }

    /// Starts a loop.
    pub(crate) fn start(&self, arguments: &[&str]) -> Night {
        let mut command = self
            .home
            .command(&[&["loop", "--json"], arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Night(command.spawn().unwrap())
    }

    /// A loop that ends when nothing is left to do.
    pub(crate) async fn until_idle(&self) -> Ran {
        let night = self.start(&["--until-idle"]);
        night.ended().await
    }

    /// A writer's own way to the forge.
    pub(crate) async fn writer(&self, name: &str) -> GiteaClient {
        self.forge.writer(name).await
    }

    /// Asks the forge's interface for something of the small project, as timmy.
    pub(crate) async fn api(&self, method: Method, path: &str, body: &Value) {
        let token = std::fs::read_to_string(self.home.beside("token")).unwrap();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/api/v1/repos/{REPO}/{path}"))
            .header("host", self.door.address().to_string())
            .header("authorization", format!("token {token}"))
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes().into())
            .unwrap();
        let Reply::Whole(reply) = self.front.forge.handle(request).await else {
            panic!("no answer");
        };
        assert!(reply.status().is_success(), "{reply:?}");
    }

    /// The commits of a branch that `main` has not, newest first.
    pub(crate) async fn commits(&self, branch: &str) -> Vec<String> {
        let path = self.forge.repository();
        let range = format!("main..{branch}");
        let listed = git(&["-C", &path.to_string_lossy(), "rev-list", &range]).await;
        listed.lines().map(str::to_owned).collect()
    }

    /// The pull requests, by number.
    pub(crate) async fn pulls(&self) -> BTreeMap<u64, PullRequest> {
        let pulls = self.forge.pulls().await.into_iter();
        pulls.map(|pull| (pull.number, pull)).collect()
    }

    /// How often an event of a type was recorded.
    pub(crate) async fn count(&self, kind: &str) -> usize {
        self.recorded(kind).await.len()
    }

    /// The recorded events of a type.
    pub(crate) async fn recorded(&self, kind: &str) -> Vec<Value> {
        let events = self.home.events().await.into_iter();
        events
            .filter(|event| event["type"] == json!(kind))
            .collect()
    }

    /// Asserts that no claim, no directory and no open run is left.
    pub(crate) async fn assert_nothing_is_left(&self) {
        assert_eq!(0, self.home.run_directories().len());
        let refs = self.forge.refs().await;
        assert!(!refs.iter().any(|name| name.contains("claim")), "{refs:?}");
        let runs = self.home.json(&["runs"]).await.well().json();
        for run in runs.as_array().unwrap() {
            assert!(run["outcome"].is_object(), "{run}");
        }
    }
}

/// A running loop.
pub(crate) struct Night(pub(crate) Child);

impl Night {
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.0.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits until it says something that holds a text, and gives that line.
    pub(crate) async fn says(&mut self, text: &str) -> String {
        let lines = self.0.stderr.as_mut().unwrap();
        let mut lines = BufReader::new(lines).lines();
        let said = async {
            loop {
                let line = lines.next_line().await.unwrap().unwrap();
                if line.contains(text) {
                    return line;
                }
            }
        };
        let said = tokio::time::timeout(FOREVER, said).await;
        said.unwrap_or_else(|_| panic!("it never says {text}"))
    }

    /// Waits until it ends.
    pub(crate) async fn ended(self) -> Ran {
        let output = tokio::time::timeout(FOREVER, self.0.wait_with_output()).await;
        let output = output.expect("the loop does not end").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Interrupts it, and waits until it ends.
    pub(crate) async fn interrupted(self) -> Ran {
        self.signal(Signal::INT);
        self.ended().await.well()
    }
}

/// The log, as `timmy events --follow` prints it.
pub(crate) struct Follower {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Follower {
    /// Begins with the first event there is.
    pub(crate) fn start(stage: &Stage) -> Self {
        let mut command = stage.home.command(&["events", "--follow", "--json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            _child: child,
            lines,
        }
    }

    /// The next event of a type, after those that were read.
    pub(crate) async fn next(&mut self, kind: &str) -> Value {
        self.next_that(kind, |_| true).await
    }

    /// The next event of a type of which something is true.
    pub(crate) async fn next_that(&mut self, kind: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Vec::new();
        let found = async {
            loop {
                let line = self.lines.next_line().await.unwrap().unwrap();
                let event: Value = serde_json::from_str(&line).unwrap();
                seen.push(line);
                if event["type"] == json!(kind) && is(&event) {
                    return event;
                }
            }
        };
        let found = tokio::time::timeout(FOREVER, found).await;
        found.unwrap_or_else(|_| panic!("no {kind}: {seen:#?}"))
    }
}
