//! Attempt 25: a machine on which something is missing. And the levels that an operator asks for.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Output;

use seccompiler::BpfProgram;
use seccompiler::SeccompAction;
use seccompiler::SeccompFilter;
use seccompiler::TargetArch;
use serde_json::Value;
use serde_json::json;
use timmy_sandbox::SandboxLevel;

use crate::place::AGENT;
use crate::place::Caller;
use crate::place::HELPER;
use crate::place::Place;
use crate::place::helper;
use crate::place::is_root;

#[track_caller]
fn expect_refusal(output: &Output, code: &str, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(Some(78), output.status.code(), "{said}");
    assert!(said.starts_with(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
    assert!(output.stdout.is_empty(), "{output:?}");
}

/// A kernel on which these calls do not work.
fn without(calls: &'static [i64], errno: i32, mut program: Command) -> Command {
    let architecture: TargetArch = std::env::consts::ARCH.try_into().unwrap();
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let answer = SeccompAction::Errno(errno as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, architecture).unwrap();
    let filter = BpfProgram::try_from(filter).unwrap();
    // SAFETY: applying a prepared filter is two system calls.
    unsafe {
        program.pre_exec(move || seccompiler::apply_filter(&filter).map_err(std::io::Error::other));
    }
    program
}

fn choose(settings: &Value) -> Command {
    let mut program = helper(Caller::Own);
    program.args(["choose", &settings.to_string()]);
    program
}

#[test]
fn attempt_25_bubblewrap_is_missing() {
    let mut program = choose(&json!({ "level": "L3" }));
    let output = program.env("PATH", "/nonexistent").output().unwrap();
    expect_refusal(
        &output,
        "TIMMY-0301",
        &["no bwrap on PATH", "apt install bubblewrap"],
    );
}

#[test]
fn attempt_25_user_namespaces_are_denied() {
    const NAMESPACES: &[i64] = &[libc::SYS_unshare, libc::SYS_clone, libc::SYS_mount];
    let program = choose(&json!({ "level": "L3" }));
    // bwrap makes its namespaces with clone; what std starts processes with is clone3 or vfork.
    let output = without(NAMESPACES, libc::EPERM, program).output().unwrap();
    expect_refusal(&output, "TIMMY-0301", &["L3", "allow user namespaces"]);
}

#[test]
fn attempt_25_landlock_is_absent() {
    const LANDLOCK: &[i64] = &[libc::SYS_landlock_create_ruleset];
    for level in ["L3", "L2"] {
        let program = choose(&json!({ "level": level }));
        let output = without(LANDLOCK, libc::ENOSYS, program).output().unwrap();
        expect_refusal(&output, "TIMMY-0301", &[level, "Landlock", "lsm="]);
    }
    let any = without(LANDLOCK, libc::ENOSYS, choose(&json!({})))
        .output()
        .unwrap();
    expect_refusal(&any, "TIMMY-0301", &["L3", "L2", "L1", "L0"]);
}

#[test]
fn attempt_25_a_command_that_cannot_be_isolated_never_runs() {
    const LANDLOCK: &[i64] = &[libc::SYS_landlock_create_ruleset];
    let place = Place::new(SandboxLevel::L3, Caller::Own);
    let job = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(job.path(), place.job("touch ran").value.to_string()).unwrap();
    let mut program = helper(Caller::Own);
    program.arg("run").stdin(job.reopen().unwrap());
    let output = without(LANDLOCK, libc::ENOSYS, program).output().unwrap();
    expect_refusal(&output, "TIMMY-0301", &["Landlock"]);
    assert!(!place.workspace.join("ran").exists());
}

#[test]
fn as_root_the_user_for_commands_has_to_exist() {
    if !is_root() {
        return;
    }
    for user in ["no-such-user", "root", "", "root:x:0:0"] {
        let output = choose(&json!({ "agent_user": user })).output().unwrap();
        expect_refusal(
            &output,
            "TIMMY-0302",
            &["useradd --system --no-create-home"],
        );
    }
}

/// A container runner made of bubblewrap, as an operator could configure one.
fn runner(workspace: &str) -> Vec<String> {
    let drop_root = [
        "setpriv",
        "--reuid",
        AGENT,
        "--regid",
        AGENT,
        "--clear-groups",
        "--",
    ];
    let contain = "bwrap --unshare-all --die-with-parent --ro-bind /usr /usr --symlink usr/bin /bin \
                   --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --ro-bind /proc/sys /proc/sys \
                   --dev /dev --tmpfs /tmp --bind";
    let mut words: Vec<String> = Vec::new();
    if is_root() {
        words.extend(drop_root.map(str::to_owned));
    }
    words.extend(contain.split_whitespace().map(str::to_owned));
    words.extend([workspace, workspace].map(str::to_owned));
    words
}

#[test]
fn l1_is_believed_when_the_canary_cannot_get_out() {
    let settings = json!({ "level": "L1", "runner": runner("{workspace}") });
    let output = choose(&settings).output().unwrap();
    assert_eq!(
        "L1\n",
        String::from_utf8_lossy(&output.stdout),
        "{output:?}"
    );
    let place = Place::new(SandboxLevel::L1, Caller::Own);
    let job = place
        .job("mkdir a; cd a; pwd; echo $CI; exit 7")
        .set("settings", settings);
    let ended = job.run();
    assert_eq!(timmy_sandbox::End::Exited(7), ended.end, "{ended:?}");
    assert_eq!(
        format!("{}/a\ntrue\n", place.workspace.display()),
        ended.stdout
    );
    assert_eq!(SandboxLevel::L1, ended.level);
}

#[test]
fn l1_is_refused_when_the_canary_gets_out() {
    let leaky: [Vec<String>; 3] = [
        vec!["env".into()],
        runner("{workspace}")
            .into_iter()
            .filter(|word| word != "--unshare-all")
            .collect(),
        vec!["no-such-engine".into(), "run".into()],
    ];
    for runner in leaky {
        let output = choose(&json!({ "level": "L1", "runner": runner }))
            .output()
            .unwrap();
        expect_refusal(&output, "TIMMY-0301", &["L1"]);
    }
}

#[test]
fn l0_needs_the_leave_of_the_host_and_of_the_run() {
    let place = Place::new(SandboxLevel::L0, Caller::Own);
    let settings = |allowed: bool| json!({ "level": "L0", "allow_unsandboxed": allowed });
    for (host, run) in [(false, true), (true, false), (false, false)] {
        let job = place
            .job("touch ran")
            .set("settings", settings(host))
            .set("unsandboxed", run);
        expect_refusal(&job.output(), "TIMMY-0301", &["L0", "isolation"]);
        assert!(!place.workspace.join("ran").exists());
    }
    let job = place
        .job("id -u; touch ran")
        .set("settings", settings(true));
    let ended = job.set("unsandboxed", true).run();
    ended.expect_success();
    assert_eq!(SandboxLevel::L0, ended.level);
    assert_ne!("0", ended.stdout.trim(), "not even then as root");
    assert!(place.workspace.join("ran").exists());
}

#[test]
fn the_strongest_level_is_taken_and_every_level_reported() {
    let chosen = choose(&json!({})).output().unwrap();
    let survey = helper(Caller::Own).args(["survey", "{}"]).output().unwrap();
    let reports: Vec<Value> = serde_json::from_slice(&survey.stdout).unwrap();
    let usable = reports
        .iter()
        .find(|report| report["usable"] == true)
        .unwrap();
    let expected = format!("{}\n", usable["level"].as_str().unwrap());
    assert_eq!(expected, String::from_utf8_lossy(&chosen.stdout));
    assert_eq!(4, reports.len());
    for report in reports {
        assert_eq!(
            report["usable"] == false,
            report["fix"].is_string(),
            "{report}"
        );
    }
}

#[test]
fn the_inner_process_does_nothing_without_a_plan() {
    for input in ["", "12345678", "\u{7f}garbage that is no plan at all"] {
        let mut program = Command::new("sh");
        program.args([
            "-c",
            "printf %s \"$1\" | \"$0\" sandbox-exec; echo $?",
            HELPER.as_str(),
            input,
        ]);
        let output = program.output().unwrap();
        assert_eq!("70\n", String::from_utf8_lossy(&output.stdout));
    }
}
