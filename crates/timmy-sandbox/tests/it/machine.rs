//! Attempts on the kernel and on other processes.

use std::fs;
use std::process::Command;

use timmy_sandbox::SandboxLevel;

use crate::place::Caller;
use crate::place::at_level;
use crate::place::everywhere;
use crate::place::helper;

#[test]
fn attempt_08_and_11_calls_a_command_has_no_business_with() {
    for place in everywhere() {
        let victim = helper(place.caller)
            .arg("run")
            .stdin(std::process::Stdio::piped())
            .spawn();
        let mut victim = victim.unwrap();
        let ended = place.attempt(&["calls", &victim.id().to_string()]);
        ended.expect_success();
        assert_eq!(24, ended.stdout.lines().count(), "{ended:?}");
        let escaped: Vec<&str> = ended
            .stdout
            .lines()
            .filter(|l| l.contains("escaped"))
            .collect();
        assert_eq!(
            Vec::<&str>::new(),
            escaped,
            "{:?} {:?}",
            place.level,
            place.caller
        );
        assert!(
            ended
                .stdout
                .contains("clone3 denied Function not implemented"),
            "{ended:?}"
        );
        assert_eq!(None, victim.try_wait().unwrap());
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
}

#[test]
fn attempt_08_kill_everything_in_sight() {
    for place in everywhere() {
        let mut victim = Command::new("sleep").arg("600").spawn().unwrap();
        let script = format!(
            "kill -9 {} 2>/dev/null; kill -9 -1 2>/dev/null; kill -9 1 2>/dev/null; echo alive",
            victim.id()
        );
        place.sh(&script);
        assert_eq!(
            None,
            victim.try_wait().unwrap(),
            "{:?} {:?}",
            place.level,
            place.caller
        );
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
}

#[test]
fn attempt_16_gain_privileges() {
    for place in everywhere() {
        let ended = place.sh(
            "id -u; (unshare -Ur id -u || unshare -m true) 2>/dev/null; \
             for p in /usr/bin/su /bin/mount /usr/bin/passwd; do [ -u $p ] && echo suid; done >/dev/null; \
             mount -o remount,rw / 2>/dev/null && echo mounted; grep -E '^(NoNewPrivs|CapEff|CapBnd)' /proc/self/status",
        );
        let mut lines = ended.stdout.lines();
        assert_ne!(Some("0"), lines.next(), "{ended:?}");
        assert!(!ended.stdout.contains("mounted"), "{ended:?}");
        assert!(ended.stdout.contains("NoNewPrivs:\t1"), "{ended:?}");
        assert!(
            ended.stdout.contains("CapEff:\t0000000000000000"),
            "{ended:?}"
        );
        assert_eq!(
            1,
            ended
                .stdout
                .lines()
                .filter(|line| line.parse::<u32>().is_ok())
                .count(),
            "{ended:?}"
        );
    }
}

#[test]
fn attempt_17_change_the_kernels_settings_and_devices() {
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    for place in everywhere() {
        let ended = place.sh(
            "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper \
             /dev/sda /dev/vda /dev/mem /dev/kmsg /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/pids/cgroup.procs \
             /proc/1/oom_score_adj; do (: >> $f) 2>/dev/null && echo opened $f; done; \
             mknod d c 1 3 2>/dev/null && echo made; true",
        );
        assert_eq!(
            "",
            ended.expect_success().stdout,
            "{:?} {:?}",
            place.level,
            place.caller
        );
    }
    assert_eq!(
        before,
        fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap()
    );
}

#[test]
fn a_command_of_root_never_runs_as_root() {
    for place in everywhere() {
        let uid = place.sh("id -u; id -G").stdout;
        assert!(!uid.split_whitespace().any(|id| id == "0"), "{uid:?}");
        if crate::place::is_root() && place.caller == Caller::Own {
            place.sh("touch made");
            let mut stat = Command::new("stat");
            stat.args(["-c", "%U"]).arg(place.workspace.join("made"));
            let owner = stat.output().unwrap().stdout;
            assert_eq!(format!("{}\n", crate::place::AGENT).as_bytes(), owner);
        }
    }
}

/// Root's private directories stay closed while a workspace and a toolchain in them are used.
#[test]
fn paths_behind_closed_directories_can_be_used() {
    if !crate::place::is_root() {
        return;
    }
    for place in everywhere()
        .into_iter()
        .filter(|place| place.caller == Caller::Own)
    {
        let closed = place.base().join("closed");
        let workspace = closed.join("deep/workspace");
        let tool = closed.join("tools/bin/greet");
        fs::create_dir_all(&workspace).unwrap();
        fs::create_dir_all(tool.parent().unwrap()).unwrap();
        fs::write(&tool, "#!/bin/sh\necho greeting\n").unwrap();
        fs::write(closed.join("secret"), crate::place::SECRET).unwrap();
        let status = Command::new("chmod")
            .args(["-R", "a+rX"])
            .arg(&closed)
            .status()
            .unwrap();
        assert!(status.success());
        Command::new("chmod").arg("+x").arg(&tool).status().unwrap();
        Command::new("chmod")
            .arg("700")
            .arg(&closed)
            .status()
            .unwrap();
        let mut job = place.job("greet; pwd > made; cat ../../secret; ls ../..");
        job.value["policy"]["workspace"] = workspace.display().to_string().into();
        job.value["policy"]["read_only"] = serde_json::json!([closed.join("tools")]);
        job.value["policy"]["path"] = serde_json::json!([closed.join("tools/bin")]);
        let ended = job.run();
        assert!(ended.stdout.contains("greeting"), "{ended:?}");
        assert!(!ended.stdout.contains(crate::place::SECRET), "{ended:?}");
        let made = fs::read_to_string(workspace.join("made")).unwrap();
        assert_eq!(workspace.display().to_string(), made.trim());
        assert!(closed.join("secret").exists());
    }
}

#[test]
fn at_l3_a_command_sees_no_process_but_its_own() {
    for place in at_level(SandboxLevel::L3) {
        let ended = place.sh("ls -d /proc/[0-9]* | wc -l");
        let count: u32 = ended.stdout.trim().parse().unwrap();
        assert!(count <= 4, "{ended:?}");
    }
}
