//! Attempts on files: reading, writing, linking, planting.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use timmy_sandbox::SandboxError;
use timmy_sandbox::Tree;

use crate::place::Job;
use crate::place::SECRET;
use crate::place::everywhere;

#[test]
fn attempt_01_read_secrets_in_a_home() {
    for place in everywhere() {
        let home = place.home.display();
        let ended = place.sh(&format!(
            "cat {home}/.ssh/id {home}/.config/timmy/token /etc/shadow /root/.bashrc; ls -R {home}"
        ));
        assert!(!ended.stdout.contains(SECRET), "{ended:?}");
        assert!(!ended.stdout.contains("root:"), "{ended:?}");
        place.expect_untouched();
    }
}

#[test]
fn attempt_02_read_the_parents_environment() {
    for place in everywhere() {
        let mut job = place.job("env; cat /proc/$PPID/environ /proc/1/environ | tr '\\0' '\\n'");
        job.environment = vec![
            ("GITEA_TOKEN".into(), SECRET.into()),
            ("PLAIN".into(), SECRET.into()),
        ];
        job.value["policy"]["environment"] =
            serde_json::json!({ "FORGE_TOKEN": SECRET, "ASKED": "for" });
        let ended = job.run();
        assert!(ended.stdout.contains("ASKED=for"), "{ended:?}");
        assert!(!ended.stdout.contains(SECRET), "{ended:?}");
    }
}

#[test]
fn attempt_03_scan_other_processes() {
    for place in everywhere() {
        let mut job = place.job(
            "for p in /proc/[0-9]*; do cat $p/environ; ls $p/fd; cat $p/root/etc/hostname $p/cwd/id; done 2>/dev/null \
             | tr '\\0' '\\n' | grep -c 'canary-'; true",
        );
        job.environment = vec![("PLAIN".into(), SECRET.into())];
        let ended = job.run();
        assert_eq!("0", ended.stdout.trim(), "{ended:?}");
    }
}

#[test]
fn attempt_04_write_outside_the_workspace() {
    for place in everywhere() {
        let (home, work) = (place.home.display(), place.base().join("work"));
        let script = format!(
            "for f in /planted /etc/planted /usr/planted {home}/.bashrc {home}/planted {work}/sibling/f {work}/sibling/g; \
             do echo x >> $f; rm -f $f; done 2>/dev/null; echo done",
            work = work.display()
        );
        place.sh(&script).expect_success();
        place.expect_untouched();
        for planted in ["/planted", "/etc/planted", "/usr/planted"] {
            assert!(!Path::new(planted).exists(), "{planted}");
        }
    }
}

#[test]
fn attempt_05_go_through_a_symbolic_link() {
    for place in everywhere() {
        let home = place.home.display();
        let script = format!(
            "ln -s {home}/.ssh/id link && ln -s {home} directory; cat link directory/.ssh/id; \
             echo x > link; echo x > directory/planted; ls -l | grep -c '^l'"
        );
        let ended = place.sh(&script);
        assert!(!ended.stdout.contains(SECRET), "{ended:?}");
        assert!(ended.stdout.contains('2'), "{ended:?}");
        let tree = Tree::open(&place.workspace).unwrap();
        for path in ["link", "directory/.ssh/id"] {
            let read = tree.read(Path::new(path), 100);
            assert!(matches!(read, Err(SandboxError::Tree { .. })), "{read:?}");
            let written = tree.write(Path::new(path), b"x");
            assert!(
                matches!(written, Err(SandboxError::Tree { .. })),
                "{written:?}"
            );
        }
        place.expect_untouched();
    }
}

#[test]
fn attempt_06_hard_link_a_file_into_the_workspace() {
    for place in everywhere() {
        let home = place.home.display();
        let ended = place.sh(&format!("ln {home}/.ssh/id linked; cat linked"));
        assert!(!ended.stdout.contains(SECRET), "{ended:?}");
        assert!(!place.workspace.join("linked").exists());
        place.expect_untouched();
    }
}

#[test]
fn attempt_07_paths_that_climb_or_do_not_end() {
    for place in everywhere() {
        for directory in ["..", "/etc", "a/../../..", &"x/".repeat(3000)] {
            let output = place.job("true").set("directory", directory).output();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(Some(65), output.status.code(), "{said}");
            assert!(said.contains("TIMMY-0304"), "{said}");
        }
        let nul = Job::new(&place, &["echo", "a\0b"]).output();
        assert_eq!(Some(65), nul.status.code());
        let tree = Tree::open(&place.workspace).unwrap();
        for path in [
            "../sibling/f",
            "/etc/passwd",
            "a\0b",
            &"y/".repeat(3000),
            "..",
            "",
        ] {
            assert!(tree.read(Path::new(path), 100).is_err(), "{path:?}");
            assert!(tree.write(Path::new(path), b"x").is_err(), "{path:?}");
        }
        place.expect_untouched();
    }
}

#[test]
fn attempt_12_use_an_inherited_descriptor() {
    for place in everywhere() {
        let secret = fs::File::open(place.home.join(".ssh/id")).unwrap();
        let mut program = crate::place::helper(place.caller);
        let descriptor = secret.as_raw_fd();
        // SAFETY: dup2 is safe to call between fork and exec.
        unsafe {
            program.pre_exec(move || match libc::dup2(descriptor, 9) {
                9 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let job = place.job("cat <&9; ls /proc/self/fd | tr '\\n' ' '");
        let ended = job.run_with(program);
        assert!(!ended.stdout.contains(SECRET), "{ended:?}");
        assert!(!ended.stdout.contains('9'), "{ended:?}");
    }
}

/// What an agent plants for git is only files here: no program of the host's has run. That the
/// publication from them runs nothing is tested with the git crate.
#[test]
fn attempt_13_14_15_plant_hooks_and_configuration_for_the_host() {
    for place in everywhere() {
        let marker = place.base().join("marker");
        let script = format!(
            "mkdir -p .git/hooks vendor/x/.git .GIT && \
             printf '#!/bin/sh\\ntouch {marker}\\n' > .git/hooks/post-checkout && chmod +x .git/hooks/* && \
             printf '[core]\\n fsmonitor = touch {marker}\\n[filter \"x\"]\\n process = touch {marker}\\n\
             [url \"http://evil\"]\\n insteadOf = https://\\n[credential]\\n helper = !touch {marker}\\n' \
             | tee .git/config > .GIT/config && \
             printf 'gitdir: {home}' > vendor/.git && ln -s {home}/.bashrc .gitmodules",
            marker = marker.display(),
            home = place.home.display(),
        );
        place.sh(&script).expect_success();
        let tree = Tree::open(&place.workspace).unwrap();
        let hook = tree
            .read(Path::new(".git/hooks/post-checkout"), 1000)
            .unwrap();
        assert!(hook.starts_with(b"#!"));
        assert!(tree.read(Path::new(".gitmodules"), 1000).is_err());
        assert!(!marker.exists());
        place.expect_untouched();
    }
}

#[test]
fn attempt_05_put_a_link_where_the_workspace_was() {
    for place in everywhere() {
        let target = place.base().join("work/two");
        symlink(&place.home, &target).unwrap();
        let mut job = place
            .job("cat .ssh/id; echo x > planted")
            .set("hand_over", false);
        job.value["policy"]["workspace"] = target.display().to_string().into();
        let output = job.output();
        assert!(
            !String::from_utf8_lossy(&output.stdout).contains(SECRET),
            "{output:?}"
        );
        assert_eq!(Some(65), output.status.code(), "{output:?}");
        place.expect_untouched();
    }
}

impl Job {
    #[track_caller]
    fn run_with(&self, mut program: Command) -> crate::place::Ended {
        let job = tempfile::NamedTempFile::new().unwrap();
        fs::write(job.path(), self.value.to_string()).unwrap();
        let output = program
            .arg("run")
            .stdin(job.reopen().unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
