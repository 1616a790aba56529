//! `timmy workspace`: clones for named agents, with real git and a real sandbox.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::home::Home;
use crate::home::Ran;
use crate::home::commit;
use crate::home::git;
use crate::home::small_project;

impl Home {
    pub(crate) async fn workspace(&self, arguments: &[&str]) -> Ran {
        self.json(&[&["workspace"], arguments].concat()).await
    }

    fn clone_of(&self, name: &str) -> PathBuf {
        self.root().join("workspaces").join(name).join("clone")
    }

    /// What a person's agent does in a clone.
    async fn git_in(&self, name: &str, arguments: &[&str]) -> String {
        let clone = self.clone_of(name);
        let place = ["-c", "safe.directory=*", "-C", &clone.to_string_lossy()].map(str::to_owned);
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        git(&[&place, arguments].concat()).await
    }

    fn write_in(&self, name: &str, file: &str, text: &str) {
        std::fs::write(self.clone_of(name).join(file), text).unwrap();
    }

    /// Moves the base branch on the embedded forge one commit further.
    async fn advance_base(&self, text: &str) {
        let source = self.beside("source");
        std::fs::write(source.join("news.txt"), text).unwrap();
        let path = source.to_string_lossy();
        git(&["-C", &path, "add", "--all"]).await;
        git(&["-C", &path, "commit", "--quiet", "--message=News"]).await;
        let forge = self.root().join("forge/repositories/1.git");
        let to = forge.to_string_lossy();
        git(&["-C", &path, "push", "--quiet", &to, "main:main"]).await;
    }

    async fn removed_paths(&self) -> Vec<String> {
        let events = self.events().await;
        let removed = events
            .iter()
            .filter(|event| event["type"] == "directory_removed");
        let path = |event: &Value| event["path"].as_str().unwrap().to_owned();
        removed.map(path).collect()
    }
}

fn first_port(told: &Value) -> u64 {
    told["workspace"]["ports"]["first"].as_u64().unwrap()
}

#[tokio::test]
async fn each_agent_gets_a_clone_ports_and_a_data_directory_of_its_own() {
    let home = Home::with_project().await;
    let one = home.workspace(&["init", "kimi"]).await.well().json();
    let two = home.workspace(&["init", "claude-2", "--issue", "1"]).await;
    let two = two.well().json();
    assert!(
        first_port(&one).abs_diff(first_port(&two)) >= 10,
        "{one} {two}"
    );
    assert_eq!("work/kimi", one["workspace"]["branch"]);
    for name in ["kimi", "claude-2"] {
        let clone = home.clone_of(name);
        assert_eq!(
            "broken\n",
            std::fs::read_to_string(clone.join("state.txt")).unwrap()
        );
        assert!(!clone.join(".git/objects/info/alternates").exists());
        assert!(
            home.root()
                .join("workspaces")
                .join(name)
                .join("data")
                .is_dir()
        );
    }
    let origin = home.git_in("kimi", &["config", "remote.origin.url"]).await;
    assert!(
        origin.starts_with("http://127.0.0.1:") && !origin.contains('@'),
        "{origin}"
    );

    let listed = home.workspace(&["list"]).await.well().json();
    let names: Vec<&Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert_eq!(["claude-2", "kimi"].as_slice(), names.as_slice());

    let printed = home.run(&["workspace", "env", "kimi"]).await.well().stdout;
    let script = format!("{printed}\nprintf '%s %s %s' $TIMMY_WORKSPACE $PORT_BASE \"$DATA_DIR\"");
    let shell = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    let data = home.root().join("workspaces/kimi/data");
    assert_eq!(
        format!("kimi {} {}", first_port(&one), data.display()),
        String::from_utf8(shell.stdout).unwrap()
    );
}

#[tokio::test]
async fn wrong_names_are_refused_with_a_code() {
    let home = Home::with_project().await;
    for bad in ["../x", "a/b", "", ".locks", "Kimi"] {
        let refused = home.workspace(&["init", bad]).await.refusal();
        assert_eq!((2, "TIMMY-0932".to_owned()), refused, "{bad}");
    }
    for missing in [
        ["env", "nobody"],
        ["reset", "nobody"],
        ["resume", "nobody"],
        ["destroy", "nobody"],
    ] {
        let refused = home.workspace(&missing).await.refusal();
        assert_eq!((66, "TIMMY-0934".to_owned()), refused, "{missing:?}");
    }
    home.workspace(&["init", "kimi"]).await.well();
    let twice = home.workspace(&["init", "kimi"]).await.refusal();
    assert_eq!((78, "TIMMY-0933".to_owned()), twice);
    let branch = home.workspace(&["branch", "kimi", "a..b"]).await.refusal();
    assert_eq!((65, "TIMMY-0408".to_owned()), branch);
    let record = home.root().join("workspaces/kimi/workspace.toml");
    std::fs::write(&record, "version = 7\n").unwrap();
    let damaged = home.workspace(&["resume", "kimi"]).await.refusal();
    assert_eq!((65, "TIMMY-0938".to_owned()), damaged);
    // Nobody knows which ports it has.
    let second = home.workspace(&["init", "other"]).await.refusal();
    assert_eq!((65, "TIMMY-0938".to_owned()), second);
    home.workspace(&["destroy", "kimi", "--force"]).await.well();
    home.workspace(&["init", "other"]).await.well();
    for code in ["TIMMY-0932", "TIMMY-0933", "TIMMY-0934", "TIMMY-0938"] {
        home.assert_explained(code).await;
    }
}

#[tokio::test]
async fn a_reset_loses_nothing() {
    let home = Home::with_project().await;
    home.workspace(&["init", "kimi"]).await.well();
    let clean = home.workspace(&["reset", "kimi"]).await.well().json();
    assert_eq!(Value::Null, clean["kept"]);
    home.write_in("kimi", "committed.txt", "one\n");
    home.git_in("kimi", &["add", "--all"]).await;
    home.git_in("kimi", &["commit", "--quiet", "--message=One"])
        .await;
    home.write_in("kimi", "stashed.txt", "two\n");
    home.git_in("kimi", &["stash", "--include-untracked", "--quiet"])
        .await;
    home.write_in("kimi", "state.txt", "half done\n");
    home.write_in("kimi", "untracked.txt", "three\n");
    home.advance_base("news\n").await;
    let refused = home.workspace(&["reset", "kimi"]).await;
    assert!(
        refused.stdout.contains("2 changed files and"),
        "{refused:?}"
    );
    assert_eq!((78, "TIMMY-0935".to_owned()), refused.refusal());
    let untouched = std::fs::read_to_string(home.clone_of("kimi").join("untracked.txt"));
    assert_eq!("three\n", untouched.unwrap());

    let reset = home
        .workspace(&["reset", "kimi", "--force"])
        .await
        .well()
        .json();
    let bundle = reset["kept"].as_str().unwrap();
    assert_eq!(
        "news\n",
        std::fs::read_to_string(home.clone_of("kimi").join("news.txt")).unwrap()
    );
    assert!(!home.clone_of("kimi").join("untracked.txt").exists());
    let source = home.beside("source");
    let source = source.to_string_lossy();
    let all = "+refs/*:refs/kept/*";
    git(&["-C", &source, "fetch", "--quiet", bundle, all]).await;
    for (place, expected) in [
        ("refs/kept/timmy/kept:untracked.txt", "three\n"),
        ("refs/kept/timmy/kept:state.txt", "half done\n"),
        ("refs/kept/heads/work/kimi:committed.txt", "one\n"),
        ("refs/kept/stash^3:stashed.txt", "two\n"),
    ] {
        assert_eq!(
            expected,
            git(&["-C", &source, "show", place]).await,
            "{place}"
        );
    }
    home.workspace(&["resume", "kimi"]).await.well();
}

#[tokio::test]
async fn a_clone_that_somebody_broke_is_put_by_as_it_is() {
    let home = Home::with_project().await;
    home.workspace(&["init", "kimi"]).await.well();
    home.write_in("kimi", "precious.txt", "work\n");
    std::fs::remove_dir_all(home.clone_of("kimi").join(".git/objects")).unwrap();
    let poison = home.beside("poisoned");
    let config = home.clone_of("kimi").join(".git/config");
    let mut text = std::fs::read_to_string(&config).unwrap();
    text.push_str(&format!(
        "[core]\n\tfsmonitor = \"touch {}\"\n",
        poison.display()
    ));
    std::fs::write(&config, text).unwrap();
    let refused = home.workspace(&["reset", "kimi"]).await.refusal();
    assert_eq!((65, "TIMMY-0941".to_owned()), refused);
    let kept = home.workspace(&["destroy", "kimi"]).await.refusal();
    assert_eq!((78, "TIMMY-0939".to_owned()), kept, "unknown is a no");
    let reset = home
        .workspace(&["reset", "kimi", "--force"])
        .await
        .well()
        .json();
    let by = Path::new(reset["kept"].as_str().unwrap());
    assert_eq!(
        "work\n",
        std::fs::read_to_string(by.join("precious.txt")).unwrap()
    );
    home.workspace(&["resume", "kimi"]).await.well();
    assert!(
        !poison.exists(),
        "git ran on the host in a clone of an agent's"
    );
}

#[tokio::test]
async fn work_is_taken_up_again_where_it_stands() {
    let home = Home::with_project().await;
    home.workspace(&["init", "kimi"]).await.well();
    home.advance_base("news\n").await;
    let behind = home.workspace(&["resume", "kimi"]).await.well().json();
    assert_eq!(
        (json!(0), json!(1)),
        (
            behind["state"]["ahead"].clone(),
            behind["state"]["behind"].clone()
        )
    );
    home.workspace(&["branch", "kimi", "fix/state", "--issue", "1"])
        .await
        .well();
    home.write_in("kimi", "state.txt", "fixed\n");
    let dirty = home
        .workspace(&["branch", "kimi", "another"])
        .await
        .refusal();
    assert_eq!((78, "TIMMY-0935".to_owned()), dirty);
    home.git_in("kimi", &["commit", "--quiet", "--all", "--message=Mend"])
        .await;
    home.write_in("kimi", "notes.txt", "later\n");
    let found = home.workspace(&["resume", "kimi"]).await.well().json();
    let state = &found["state"];
    assert_eq!("fix/state", state["branch"]);
    assert_eq!(json!(["notes.txt"]), state["changed"]);
    assert_eq!((&json!(1), &json!(0)), (&state["ahead"], &state["behind"]));
    assert_eq!(&json!(1), &state["unpublished"]);
    let prompt = found["prompt"].as_str().unwrap();
    for part in [
        "branch fix/state",
        "PORT_BASE=",
        "sh test.sh",
        "The state is broken",
        "notes.txt",
    ] {
        assert!(prompt.contains(part), "no {part}: {prompt}");
    }
    let alone = home
        .run(&["workspace", "resume", "kimi", "--prompt"])
        .await
        .well();
    assert_eq!(prompt.trim_end(), alone.stdout.trim_end());
}

#[tokio::test]
async fn a_workspace_goes_when_everything_in_it_is_elsewhere() {
    let home = Home::with_project().await;
    home.workspace(&["init", "kimi"]).await.well();
    home.write_in("kimi", "state.txt", "fixed\n");
    let refused = home.workspace(&["destroy", "kimi"]).await.refusal();
    assert_eq!((78, "TIMMY-0935".to_owned()), refused);
    home.git_in("kimi", &["commit", "--quiet", "--all", "--message=Mend"])
        .await;
    let refused = home.workspace(&["destroy", "kimi"]).await.refusal();
    assert_eq!((78, "TIMMY-0935".to_owned()), refused);
    let forge = home.root().join("forge/repositories/1.git");
    let to = forge.to_string_lossy();
    home.git_in("kimi", &["push", "--quiet", &to, "work/kimi"])
        .await;
    home.workspace(&["destroy", "kimi"]).await.well();
    assert!(!home.root().join("workspaces/kimi").exists());
    assert_eq!(["workspaces/kimi"].as_slice(), home.removed_paths().await);
    home.workspace(&["init", "kimi"]).await.well();
    home.write_in("kimi", "state.txt", "fixed\n");
    home.workspace(&["destroy", "kimi", "--force"]).await.well();
    assert!(!home.root().join("workspaces/kimi").exists());
}

#[tokio::test]
async fn bootstrap_runs_the_repositorys_set_up_and_its_check_in_the_sandbox() {
    let home = Home::new();
    let secret = home.beside("secret");
    std::fs::write(&secret, "canary").unwrap();
    let set_up = format!(
        "cat {} 2>/dev/null; echo ready > $DATA_DIR/ready; echo installed > installed\n",
        secret.display()
    );
    let source = home.beside("source");
    std::fs::create_dir_all(source.join("script")).unwrap();
    std::fs::write(
        source.join("script/bootstrap"),
        format!("#!/bin/sh\n{set_up}"),
    )
    .unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(source.join("script/bootstrap"), mode).unwrap();
    home.create_project(&small_project()).await;
    let first = home.workspace(&["bootstrap", "kimi"]).await;
    assert_eq!(1, first.code, "the check fails on purpose: {first:?}");
    let told = first.json();
    assert_eq!(json!(false), told["succeeded"]);
    let steps = told["steps"].as_array().unwrap();
    assert_eq!(
        ["set-up", "check"].as_slice(),
        steps
            .iter()
            .map(|s| s["what"].as_str().unwrap())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        (&json!(0), &json!("")),
        (&steps[0]["exit_code"], &steps[0]["output_tail"])
    );
    assert!(home.clone_of("kimi").join("installed").exists());
    assert!(home.root().join("workspaces/kimi/data/ready").exists());
    home.write_in("kimi", "state.txt", "fixed\n");
    let second = home.workspace(&["bootstrap", "kimi"]).await.well().json();
    assert_eq!(json!(true), second["succeeded"]);
    let found = home.workspace(&["resume", "kimi"]).await.well().json();
    assert_eq!(json!(0), found["workspace"]["last_check"]["exit_code"]);
}

#[tokio::test]
async fn two_commands_do_not_meet_in_one_workspace() {
    let home = Home::with_project().await;
    home.workspace(&["init", "kimi"]).await.well();
    let lock = home.root().join("workspaces/.locks/kimi");
    let held = std::fs::File::open(lock).unwrap();
    held.lock().unwrap();
    for command in ["reset", "resume", "destroy", "bootstrap"] {
        let refused = home.workspace(&[command, "kimi"]).await.refusal();
        assert_eq!((75, "TIMMY-0936".to_owned()), refused, "{command}");
    }
    drop(held);
    home.workspace(&["resume", "kimi"]).await.well();
    // Both find the lock free, and different ports.
    let (one, two) = tokio::join!(
        home.workspace(&["init", "one"]),
        home.workspace(&["init", "two"])
    );
    let (one, two) = (one.well().json(), two.well().json());
    assert!(
        first_port(&one).abs_diff(first_port(&two)) >= 10,
        "{one} {two}"
    );
}

#[tokio::test]
async fn a_project_without_a_check_says_so() {
    let home = Home::new();
    commit(&home.beside("source"), &[("README.md", b"x\n".to_vec())]).await;
    home.configure("[forge]\nkind = \"embedded\"\nrepositories = [\"timmy/small\"]\n");
    let source = home.beside("source");
    let source = source.to_string_lossy();
    home.run(&["forge", "create", "timmy/small", "--from", &source])
        .await
        .well();
    let refused = home.workspace(&["bootstrap", "kimi"]).await.refusal();
    assert_eq!((78, "TIMMY-0801".to_owned()), refused);
}
