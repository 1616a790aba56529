//! Models that drift from what is expected, and putting them back.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use timmy_loopback::Handler;
use timmy_loopback::Reply;
use timmy_loopback::Request;
use timmy_loopback::Server;
use tokio::process::Command;

use crate::home::Home;

const CONFIG: &str = "# mine\r\nmodel:\r\n  default: 'small' # cheap\r\n  api_key: ${KEY}\r\nagent: {max_turns: 9}\r\n";

/// A home beside a Hermes whose default profile has [`CONFIG`].
fn with_hermes(expectations: &str) -> Home {
    let home = Home::new();
    let hermes = home.beside("hermes");
    std::fs::create_dir(&hermes).unwrap();
    std::fs::write(hermes.join("config.yaml"), CONFIG).unwrap();
    let rights = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(hermes.join("config.yaml"), rights).unwrap();
    expect(&home, expectations);
    home
}

fn expect(home: &Home, expectations: &str) {
    let hermes = home.beside("hermes");
    home.configure(&format!("[hermes]\nhome = {hermes:?}\n{expectations}"));
}

fn config(home: &Home) -> PathBuf {
    home.beside("hermes/config.yaml")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

const BIG: &str = "[[watchdog.expect]]\nprofile = \"default\"\nmodel = \"big\"\n";

#[tokio::test]
async fn a_drifting_profile_is_told_planned_and_put_back() {
    let home = with_hermes(BIG);
    let told = home.json(&["watchdog"]).await;
    let seen = told.json()[0].clone();
    assert_eq!(
        (1, &json!("drifting"), &json!("small")),
        (told.code, &seen["state"], &seen["found"])
    );
    assert_eq!(json!(true), seen["fixable"]);
    assert_eq!(1, told.stdout.matches("\"subject\"").count());

    let planned = home.run(&["watchdog", "--fix", "--dry-run"]).await;
    let path = config(&home).canonicalize().unwrap().display().to_string();
    let (_, plan) = planned.stdout.split_once("plan for ").unwrap();
    insta::assert_snapshot!(plan.replace(&path, "FILE"), @r"
    hermes:default:
    --- FILE
    +++ FILE
    @@ -1,5 +1,5 @@
     # mine
     model:
    -  default: 'small' # cheap
    +  default: 'big' # cheap
       api_key: ${KEY}
     agent: {max_turns: 9}
    ");
    assert_eq!((1, CONFIG.to_owned()), (planned.code, text(&config(&home))));

    let fixed = home.json(&["watchdog", "--fix"]).await.well().json();
    let backup = PathBuf::from(fixed["done"][0]["Ok"]["backup"].as_str().unwrap());
    assert_eq!(
        (CONFIG.replace("'small'", "'big'"), CONFIG.to_owned()),
        (text(&config(&home)), text(&backup))
    );
    for path in [&config(&home), &backup] {
        assert_eq!(0o640, path.metadata().unwrap().permissions().mode() & 0o777);
    }
    let event = home.events().await.pop().unwrap();
    assert_eq!(
        (
            &json!("model_restored"),
            &json!("hermes:default"),
            &json!("small"),
            &json!("big")
        ),
        (
            &event["type"],
            &event["subject"],
            &event["from"],
            &event["to"]
        )
    );
    home.run(&["watchdog"]).await.well();

    // Something changes it again: that is not fought more than once an hour.
    std::fs::write(config(&home), CONFIG).unwrap();
    let again = home.json(&["watchdog", "--fix"]).await;
    let problem = &again.json()["plans"][0]["step"]["Err"];
    assert_eq!((1, &json!("TIMMY-1033")), (again.code, &problem["code"]));
    assert_eq!(CONFIG, text(&config(&home)));
}

#[tokio::test]
async fn what_is_not_there_is_no_drift() {
    let home = Home::new();
    home.configure(
        "[hermes]\nhome = \"/nowhere/hermes\"\n\
         [[provider]]\nname = \"local\"\nkind = \"vllm\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
         [[watchdog.expect]]\nprofile = \"default\"\nmodel = \"m\"\n\
         [[watchdog.expect]]\nollama = \"http://127.0.0.1:9\"\nmodel = \"m\"\n\
         [[watchdog.expect]]\npane = \"a:0.0\"\nsocket = \"/nowhere/socket\"\nmodel = \"m\"\n\
         [[watchdog.expect]]\nprovider = \"local\"\nmodel = \"m\"\n\
         [[watchdog.expect]]\nprovider = \"missing\"\n",
    );
    let seen = home.json(&["watchdog"]).await.well().json();
    let states: Vec<&str> = seen
        .as_array()
        .unwrap()
        .iter()
        .map(|seen| seen["state"].as_str().unwrap())
        .collect();
    let expected = [
        "not_present",
        "not_asked",
        "not_present",
        "not_asked",
        "not_asked",
    ];
    assert_eq!(expected, states.as_slice());
    let table = home.run(&["watchdog", "--fix"]).await.well().stdout;
    assert!(table.contains("not present: there is no Hermes"), "{table}");
    for number in 1030..=1038 {
        home.assert_explained(&format!("TIMMY-{number}")).await;
    }
}

#[tokio::test]
async fn a_profile_that_is_missing_or_broken_is_a_drift_for_a_person() {
    let home = with_hermes("[[watchdog.expect]]\nprofile = \"coder\"\nmodel = \"m\"\n");
    let step = |told: Value| told["plans"][0]["step"]["Err"].clone();
    let told = home.json(&["watchdog", "--fix"]).await;
    let problem = step(told.json());
    assert_eq!((1, &json!("TIMMY-1032")), (told.code, &problem["code"]));
    assert!(
        problem["what"]
            .as_str()
            .unwrap()
            .contains("hermes profile create coder"),
        "{problem}"
    );
    // A model that a variable names is changed where the variable is.
    for (text, code) in [("model: [", "TIMMY-1032"), ("model: ${M}\n", "TIMMY-1034")] {
        std::fs::create_dir_all(home.beside("hermes/profiles/coder")).unwrap();
        std::fs::write(home.beside("hermes/profiles/coder/config.yaml"), text).unwrap();
        let told = home.json(&["watchdog", "--fix"]).await.json();
        assert_eq!(json!(code), step(told)["code"], "{text}");
    }
}

/// An Ollama that has two models and one of them in memory.
#[derive(Default)]
struct Ollama {
    loaded: Mutex<Vec<String>>,
    asked: Mutex<Vec<Value>>,
    refuses: bool,
}

struct Answering(Arc<Ollama>);

impl Handler for Answering {
    async fn handle(&self, request: Request) -> Reply {
        let named = |models: &[String]| {
            let models: Vec<Value> = models.iter().map(|name| json!({"name": name})).collect();
            json!({ "models": models }).to_string()
        };
        let answer = match request.uri().path() {
            "/api/ps" => named(&self.0.loaded.lock().unwrap()),
            "/api/tags" => named(&["one:latest".to_owned(), "two:8b".to_owned()]),
            "/v1/models" => json!({"data": [{"id": "one"}]}).to_string(),
            "/api/generate" => {
                let body: Value = serde_json::from_slice(request.body()).unwrap();
                let model = body["model"].as_str().unwrap().to_owned();
                self.0.asked.lock().unwrap().push(body);
                if self.0.refuses {
                    return Reply::empty(StatusCode::INTERNAL_SERVER_ERROR);
                }
                self.0.loaded.lock().unwrap().push(model);
                "{}".to_owned()
            }
            _ => return Reply::empty(StatusCode::NOT_FOUND),
        };
        Reply::json(StatusCode::OK, answer)
    }
}

#[tokio::test]
async fn an_ollama_loads_what_is_expected_and_keeps_the_rest() {
    let ollama = Arc::new(Ollama::default());
    ollama.loaded.lock().unwrap().push("one:latest".to_owned());
    let server = Server::start(Answering(Arc::clone(&ollama))).await.unwrap();
    let home = Home::new();
    let entry = |model: &str, more: &str| {
        let url = server.url();
        format!("[[watchdog.expect]]\nollama = \"{url}\"\nmodel = \"{model}\"\n{more}")
    };
    let local = format!(
        "[[provider]]\nname = \"local\"\nkind = \"vllm\"\nbase_url = \"{}/v1\"\nmodel = \"one\"\n\
         [[watchdog.expect]]\nprovider = \"local\"\n",
        server.url()
    );
    home.configure(
        &[
            &entry("one", ""),
            &entry("two:8b", "keep_alive = \"-1\"\n"),
            &local,
        ]
        .map(String::as_str)
        .concat(),
    );
    let fixed = home.json(&["watchdog", "--fix"]).await.well().json();
    let states: Vec<&Value> = fixed["seen"]
        .as_array()
        .unwrap()
        .iter()
        .map(|seen| &seen["state"])
        .collect();
    assert_eq!(vec!["as_expected", "drifting", "as_expected"], states);
    let asked = json!([{"model": "two:8b", "prompt": "", "stream": false, "keep_alive": -1}]);
    assert_eq!(asked, json!(*ollama.asked.lock().unwrap()));
    assert_eq!(
        ["one:latest", "two:8b"],
        ollama.loaded.lock().unwrap().as_slice()
    );

    home.configure(
        &[&entry("three", ""), &local.replace("\"one\"", "\"two\"")]
            .map(String::as_str)
            .concat(),
    );
    let told = home.json(&["watchdog", "--fix"]).await.json();
    let reasons: Vec<String> = told["plans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| plan["step"]["Err"]["what"].to_string())
        .collect();
    assert!(reasons[0].contains("ollama pull three"), "{reasons:?}");
    assert!(
        reasons[1].contains("server's own configuration"),
        "{reasons:?}"
    );
    assert_eq!(1, ollama.asked.lock().unwrap().len());
}

#[tokio::test]
async fn a_repair_that_fails_is_not_tried_again_within_the_hour() {
    let ollama = Arc::new(Ollama {
        refuses: true,
        ..Ollama::default()
    });
    let server = Server::start(Answering(Arc::clone(&ollama))).await.unwrap();
    let home = Home::new();
    let url = server.url();
    home.configure(&format!(
        "[[watchdog.expect]]\nollama = \"{url}\"\nmodel = \"two:8b\"\n"
    ));
    let failed = home.json(&["watchdog", "--fix"]).await.json();
    assert!(failed["done"][0]["Err"]["code"].is_string(), "{failed}");
    let event = home.events().await.pop().unwrap();
    assert_eq!(
        (&json!("model_restored"), &event["from"]),
        (&event["type"], &event["to"])
    );
    let again = home.json(&["watchdog", "--fix"]).await.json();
    let problem = &again["plans"][0]["step"]["Err"];
    assert_eq!(json!("TIMMY-1033"), problem["code"], "{again}");
    assert_eq!(1, ollama.asked.lock().unwrap().len());
}

/// A tmux server of the test's own. It ends with the test.
struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    async fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-f", "/dev/null", "-S"])
            .arg(&self.socket)
            .args(arguments)
            .env_remove("TMUX")
            .env_remove("HERMES_HOME")
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let mut kill = std::process::Command::new("tmux");
        kill.arg("-S").arg(&self.socket).arg("kill-server");
        drop(kill.output());
    }
}

/// A program of this name that tells tmux that it runs, and waits.
fn program(home: &Home, name: &str) -> String {
    let directory = home.beside("programs");
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    let script = "#!/bin/sh\ntmux wait-for -S runs\nread forever\n";
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// A server below the private root, as timmy's own are, or beside it.
async fn tmux_with(home: &Home, socket: PathBuf, command: &[&str]) -> Tmux {
    let directory = socket.parent().unwrap();
    std::fs::create_dir_all(directory).unwrap();
    // As tmux does it: a socket that others could have put there is left alone.
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).unwrap();
    let tmux = Tmux { socket };
    let hermes = format!("HERMES_HOME={}", home.beside("hermes").display());
    let session = ["new-session", "-d", "-s", "night", "-e", &hermes, "--"];
    tmux.run(&[&session, command].concat()).await;
    tmux.run(&["wait-for", "runs"]).await;
    tmux
}

#[tokio::test]
async fn a_pane_is_started_again_with_its_command() {
    let home = Home::new();
    let server = program(&home, "llama-server");
    let socket = home.beside("t/s");
    let tmux = tmux_with(&home, socket.clone(), &[&server, "-m", "/models/old.gguf"]).await;
    let entry = |more: &str| {
        format!(
            "[[watchdog.expect]]\npane = \"night:0.0\"\nsocket = {socket:?}\nmodel = \"new\"\n{more}"
        )
    };
    // It is nobody's business to end what runs on somebody else's tmux, unless that is set.
    home.configure(&entry(""));
    let told = home.json(&["watchdog", "--fix"]).await.json();
    assert_eq!(json!("/models/old.gguf"), told["seen"][0]["found"]);
    assert_eq!(json!("TIMMY-1032"), told["plans"][0]["step"]["Err"]["code"]);

    home.configure(&entry(&format!(
        "command = [{server:?}, \"--model\", \"/models/new.gguf\"]\n"
    )));
    let fixed = home.json(&["watchdog", "--fix"]).await.well().json();
    assert_eq!(json!("/models/old.gguf"), fixed["done"][0]["Ok"]["from"]);
    home.run(&["watchdog"]).await.well();
    drop(tmux);
}

#[tokio::test]
async fn a_pane_that_somebody_looks_at_is_not_touched() {
    let home = Home::new();
    let server = program(&home, "llama-server");
    let socket = home.root().join("tmux/timmy");
    let tmux = tmux_with(&home, socket.clone(), &[&server, "-m", "old"]).await;
    home.configure(&format!(
        "[[watchdog.expect]]\npane = \"night:0.0\"\nsocket = {socket:?}\nmodel = \"new\"\ncommand = [{server:?}, \"-m\", \"new\"]\n"
    ));
    // A person's terminal, in a tmux of its own.
    tmux.run(&["set-hook", "-g", "client-attached", "wait-for -S attached"])
        .await;
    let person = Tmux {
        socket: home.beside("p"),
    };
    let attach = format!("env -u TMUX tmux -S '{}' attach", socket.display());
    person.run(&["new-session", "-d", &attach]).await;
    tmux.run(&["wait-for", "attached"]).await;
    let told = home.json(&["watchdog", "--fix"]).await.json();
    let problem = &told["plans"][0]["step"]["Err"];
    assert!(
        problem["what"]
            .as_str()
            .unwrap()
            .contains("somebody is attached"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_profile_that_a_person_talks_to_is_not_touched() {
    let home = with_hermes(BIG);
    let hermes = program(&home, "hermes");
    let socket = home.beside("t/s");
    let tmux = tmux_with(&home, socket.clone(), &[&hermes, "chat"]).await;
    let told = home.json(&["watchdog", "--fix"]).await.json();
    let problem = &told["plans"][0]["step"]["Err"];
    assert!(
        problem["what"]
            .as_str()
            .unwrap()
            .contains("runs on a terminal"),
        "{problem}"
    );
    assert_eq!(CONFIG, text(&config(&home)));

    // The same in a pane that the watchdog may start again: first the file, then the pane.
    let pane = format!(
        "[[watchdog.expect]]\npane = \"night:0.0\"\nsocket = {socket:?}\nmodel = \"big\"\ncommand = [{hermes:?}]\n"
    );
    expect(&home, &format!("{pane}{BIG}"));
    let fixed = home.json(&["watchdog", "--fix"]).await.json();
    let subjects: Vec<&Value> = fixed["done"]
        .as_array()
        .unwrap()
        .iter()
        .map(|done| &done["Ok"]["subject"])
        .collect();
    assert_eq!(&json!("hermes:default"), subjects[0], "{fixed}");
    home.run(&["watchdog"]).await.well();
    drop(tmux);
}

#[tokio::test]
async fn one_repairs_at_a_time() {
    let home = with_hermes(BIG);
    home.run(&["watchdog", "--fix", "--dry-run"]).await;
    let lock = std::fs::File::open(home.root().join("telemetry/watchdog.lock")).unwrap();
    lock.lock().unwrap();
    let refused = home.json(&["watchdog", "--fix"]).await;
    assert_eq!((75, "TIMMY-1030".to_owned()), refused.refusal());
    assert_eq!(CONFIG, text(&config(&home)));
}
