//! Attempts to use more than was granted, and to outlive the command.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use base64::Engine;
use secrecy::SecretString;
use timmy_core::Redactor;
use timmy_sandbox::Command;
use timmy_sandbox::End;
use timmy_sandbox::Helper;
use timmy_sandbox::Limit;
use timmy_sandbox::Policy;
use timmy_sandbox::Settings;
use timmy_sandbox::Unsandboxed;

use crate::place::Caller;
use crate::place::HELPER;
use crate::place::Job;
use crate::place::Place;
use crate::place::SECRET;
use crate::place::everywhere;

/// Far longer than any test waits.
const FOR_EVER: &str = "600";

/// Far less than [`FOR_EVER`], on however busy a machine.
const SOON: Duration = Duration::from_secs(60);

/// A FIFO in a workspace that processes inside hold open: its end is their end.
struct Lifeline {
    up: mpsc::Receiver<()>,
    gone: mpsc::Receiver<()>,
}

impl Lifeline {
    fn new(workspace: &Path) -> Self {
        let fifo = workspace.join("lifeline");
        let made = std::process::Command::new("mkfifo")
            .args(["-m", "666"])
            .arg(&fifo)
            .status();
        assert!(made.unwrap().success());
        let (tell_up, up) = mpsc::channel();
        let (tell_gone, gone) = mpsc::channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(fs::File::open(fifo).unwrap());
            reader.read_line(&mut String::new()).unwrap();
            tell_up.send(()).unwrap();
            reader.read_to_end(&mut Vec::new()).unwrap();
            tell_gone.send(()).unwrap();
        });
        Self { up, gone }
    }

    #[track_caller]
    fn expect_up(&self) {
        self.up
            .recv_timeout(SOON)
            .expect("the command did not start");
    }

    #[track_caller]
    fn expect_gone(&self, place: &Place) {
        let gone = self.gone.recv_timeout(SOON);
        gone.unwrap_or_else(|_| {
            panic!("a process survives at {:?} {:?}", place.level, place.caller)
        });
    }
}

#[test]
fn attempt_18_fork_bomb() {
    for place in everywhere() {
        let bomb = "bomb() { bomb | bomb & }; bomb; sleep 600";
        let ended = place.job(bomb).limit("processes", 60).wall_s(2).run();
        assert_ne!(End::Exited(0), ended.end, "{ended:?}");
        let many = "i=0; while [ $i -lt 200 ]; do sleep 600 & i=$((i+1)); done; echo all";
        let ended = place.job(many).limit("processes", 60).run();
        assert!(!ended.stdout.contains("all"), "{ended:?}");
        place.sh("true").expect_success();
    }
}

#[test]
fn attempt_19_memory_hog() {
    for place in everywhere() {
        let hog = place.job("head -c 400M /dev/zero | tail -c 400M >/dev/null");
        let ended = hog.limit("memory_bytes", 64 << 20).run();
        let refused = ended.end == End::Exited(1) && ended.stderr.contains("memory exhausted");
        assert!(
            refused || ended.end == End::OverLimit(Limit::Memory),
            "{ended:?}"
        );
        place.sh("true").expect_success();
    }
}

#[test]
fn attempt_20_fill_the_disk() {
    for place in everywhere() {
        let one = place
            .job("head -c 50M /dev/zero > big; truncate -s 1T sparse")
            .limit("file_bytes", 10 << 20)
            .run();
        assert_ne!(End::Exited(0), one.end);
        for name in ["big", "sparse"] {
            let size = fs::metadata(place.workspace.join(name)).map_or(0, |found| found.len());
            assert!(size <= 10 << 20, "{name} {size}");
        }
        let many = place
            .job("i=0; while :; do : > f$i; i=$((i+1)); done")
            .limit("workspace_inodes", 500)
            .run();
        assert_eq!(End::OverLimit(Limit::WorkspaceInodes), many.end, "{many:?}");
    }
    for place in everywhere() {
        let script = "i=0; while :; do head -c 5M /dev/zero > f$i; i=$((i+1)); done";
        let large = place.job(script).limit("workspace_bytes", 20 << 20).run();
        assert_eq!(
            End::OverLimit(Limit::WorkspaceBytes),
            large.end,
            "{large:?}"
        );
        let quick = place.job("true").limit("workspace_bytes", 20 << 20).run();
        assert_eq!(
            End::OverLimit(Limit::WorkspaceBytes),
            quick.end,
            "what is there already counts"
        );
    }
}

/// The faster the disk, the more is written until the next look; far less than any disk holds.
const OVERSHOOT: u64 = 3 << 30;

#[test]
fn a_runaway_writer_is_stopped_while_it_writes_among_many_files() {
    for place in everywhere() {
        let many = "mkdir many; cd many; seq 1 20000 | xargs touch";
        place.sh(many).expect_success();
        let script = "i=0; while :; do head -c 64M /dev/zero > f$i; i=$((i+1)); done";
        let limit = 256 << 20;
        let ended = place.job(script).limit("workspace_bytes", limit).run();
        assert_eq!(
            End::OverLimit(Limit::WorkspaceBytes),
            ended.end,
            "{ended:?}"
        );
        let held = timmy_sandbox::footprint(&place.workspace);
        println!(
            "{:?}: stopped after {} ms with {} MiB beyond {} MiB",
            place.level,
            ended.milliseconds,
            held.bytes.saturating_sub(limit) >> 20,
            limit >> 20
        );
        assert!(held.inodes > 20_000, "{held:?}");
        assert!(held.bytes < limit + OVERSHOOT, "{held:?}");
    }
}

#[test]
fn a_command_is_stopped_when_the_disk_is_nearly_full() {
    for place in everywhere() {
        // Nobody has that much: the disk counts as full.
        let full = place
            .job("sleep 600")
            .limit("free_bytes", 1_u64 << 62)
            .run();
        assert_eq!(End::OverLimit(Limit::FreeSpace), full.end, "{full:?}");
        place.sh("true").expect_success();
    }
}

#[test]
fn a_cache_is_written_beside_the_workspace_and_counts_as_it() {
    for place in everywhere() {
        let cache = place.base().join("work/sibling");
        std::fs::remove_file(cache.join("f")).unwrap();
        let also = |job: Job| {
            let mut job = job;
            job.value["policy"]["writable"] = serde_json::json!([cache]);
            job
        };
        let script = format!("echo kept > {}/entry", cache.display());
        also(place.job(&script)).run().expect_success();
        let kept = fs::read_to_string(cache.join("entry")).unwrap();
        assert_eq!("kept\n", kept);
        let without = place.sh(&format!("echo changed > {}/entry", cache.display()));
        assert_ne!(End::Exited(0), without.end);
        let grow = format!("head -c 30M /dev/zero > {}/entry", cache.display());
        let large = also(place.job(&grow))
            .limit("workspace_bytes", 20 << 20)
            .run();
        assert_eq!(
            End::OverLimit(Limit::WorkspaceBytes),
            large.end,
            "{large:?}"
        );
    }
}

#[test]
fn attempt_21_giant_output() {
    for place in everywhere() {
        for endless in ["yes", "head -c 1G /dev/zero", "yes >&2"] {
            let ended = place.sh(endless);
            assert_eq!(End::OverLimit(Limit::Output), ended.end, "{endless}");
            assert!(ended.truncated);
            assert!(
                ended.stdout.len() + ended.stderr.len() < 300 * 1024,
                "{}",
                ended.stdout.len()
            );
        }
        let binary = place.sh("printf head; head -c 3M /dev/urandom; printf tail");
        assert_eq!(End::Exited(0), binary.end);
        assert!(binary.stdout.starts_with("head") && binary.stdout.ends_with("tail"));
        assert!(binary.truncated);
    }
}

#[test]
fn attempt_22_daemons_that_outlive_their_command() {
    for place in everywhere() {
        let lifeline = Lifeline::new(&place.workspace);
        let ended = place.sh(&format!(
            "exec 9>lifeline; echo up >&9; sleep {FOR_EVER} & nohup sleep {FOR_EVER} >/dev/null 2>&1 & \
             setsid sh -c 'trap \"\" TERM HUP; sleep {FOR_EVER} & sleep {FOR_EVER}' & \
             (setsid sh -c '(sleep {FOR_EVER} &)' &); echo done",
        ));
        assert_eq!("done\n", ended.expect_success().stdout);
        assert!(ended.milliseconds < SOON.as_millis() as u64, "{ended:?}");
        lifeline.expect_up();
        lifeline.expect_gone(&place);
    }
}

#[test]
fn attempt_24_stop_ignore_and_oversleep() {
    for place in everywhere() {
        let stubborn = [
            "exec 9>lifeline; echo up >&9; kill -STOP $$",
            "exec 9>lifeline; echo up >&9; trap '' TERM INT HUP; sleep 600; sleep 600",
            "exec 9>lifeline; echo up >&9; sleep 600 & setsid sleep 600",
        ];
        for script in stubborn {
            let lifeline = Lifeline::new(&place.workspace);
            let ended = place.job(script).wall_s(1).run();
            assert_eq!(End::OverLimit(Limit::Time), ended.end, "{ended:?}");
            assert!(ended.milliseconds >= 1000, "{ended:?}");
            assert!(ended.milliseconds < SOON.as_millis() as u64, "{ended:?}");
            lifeline.expect_up();
            lifeline.expect_gone(&place);
            fs::remove_file(place.workspace.join("lifeline")).unwrap();
        }
    }
}

#[test]
fn attempt_24_kill_timmy_in_the_middle() {
    for place in everywhere() {
        let lifeline = Lifeline::new(&place.workspace);
        let script =
            "exec 9>lifeline; echo up >&9; setsid sleep 600 & (nohup sleep 600 &); sleep 600";
        let mut timmy = place.job(script).start();
        lifeline.expect_up();
        timmy.kill().unwrap();
        timmy.wait().unwrap();
        lifeline.expect_gone(&place);
    }
}

fn own_sandbox(
    place: &Place,
) -> (
    tokio::runtime::Runtime,
    std::sync::Arc<dyn timmy_sandbox::Sandbox>,
) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let settings = Settings {
        level: Some(place.level),
        ..Settings::default()
    };
    let helper = Helper::new(HELPER.as_str());
    let sandbox = runtime.block_on(timmy_sandbox::choose(
        &settings,
        &helper,
        Unsandboxed::Forbidden,
    ));
    let sandbox = sandbox.unwrap();
    sandbox.hand_over(&place.workspace).unwrap();
    (runtime, sandbox)
}

#[test]
fn dropping_a_run_ends_it() {
    for place in everywhere()
        .into_iter()
        .filter(|place| place.caller == Caller::Own)
    {
        let (runtime, sandbox) = own_sandbox(&place);
        let lifeline = Lifeline::new(&place.workspace);
        let policy = Policy::new(&place.workspace);
        let run = runtime.spawn(async move {
            let command = Command::shell("exec 9>lifeline; echo up >&9; setsid sleep 600");
            sandbox.run(&policy, &command).await
        });
        lifeline.expect_up();
        run.abort();
        lifeline.expect_gone(&place);
    }
}

#[test]
fn attempt_23_output_that_steers_a_terminal_or_holds_a_token() {
    for place in everywhere()
        .into_iter()
        .filter(|place| place.caller == Caller::Own)
    {
        let (runtime, sandbox) = own_sandbox(&place);
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("x:{SECRET}"));
        let script = format!(
            "printf 'a\\033]52;c;aGk=\\007b\\033[2J\\342\\200\\256c\\r\\nd\\n'; echo {SECRET} >&2; echo {encoded}"
        );
        let policy = Policy::new(&place.workspace);
        let finished = runtime
            .block_on(sandbox.run(&policy, &Command::shell(&script)))
            .unwrap();
        let text = finished.text(&Redactor::new([&SecretString::from(SECRET)]));
        assert!(text.starts_with("abc\nd\n"), "{text:?}");
        assert!(
            !text.contains(SECRET) && !text.contains(&encoded),
            "{text:?}"
        );
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn eight_commands_at_once_do_not_meet() {
    let places: Vec<Place> = everywhere().into_iter().cycle_eight();
    let runs: Vec<_> = places
        .iter()
        .enumerate()
        .map(|(number, place)| {
            place
                .job(&format!("echo {number} > n; cat n; ls .."))
                .start()
        })
        .collect();
    for (number, run) in runs.into_iter().enumerate() {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let ended: crate::place::Ended = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            ended.stdout.starts_with(&format!("{number}\n")),
            "{ended:?}"
        );
    }
}

trait CycleEight {
    fn cycle_eight(self) -> Vec<Place>;
}

impl<I: Iterator<Item = Place>> CycleEight for I {
    /// Eight places of the kinds that this yields.
    fn cycle_eight(self) -> Vec<Place> {
        let kinds: Vec<Place> = self.collect();
        (0..8)
            .map(|number| &kinds[number % kinds.len()])
            .map(|kind| Place::new(kind.level, kind.caller))
            .collect()
    }
}
