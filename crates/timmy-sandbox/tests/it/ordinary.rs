//! What has to work inside.

use timmy_sandbox::End;
use timmy_sandbox::SandboxLevel;

use crate::place::Job;
use crate::place::everywhere;

#[test]
fn a_command_reads_and_writes_its_workspace() {
    for place in everywhere() {
        place.write_workspace("given", "before\n");
        let ended = place
            .sh("cat given; echo after > given; mkdir -p a/b; mv given a/b/; pwd; echo oops >&2");
        ended.expect_success();
        assert_eq!(
            format!("before\n{}\n", place.workspace.display()),
            ended.stdout
        );
        assert_eq!("oops\n", ended.stderr);
        assert_eq!(place.level, ended.level);
        let after = std::fs::read_to_string(place.workspace.join("a/b/given")).unwrap();
        assert_eq!("after\n", after);
    }
}

#[test]
fn exit_codes_signals_and_missing_programs_are_told_apart() {
    for place in everywhere() {
        let end = |argv: &[&str]| Job::new(&place, argv).run().end;
        assert_eq!(End::Exited(0), end(&["true"]));
        assert_eq!(End::Exited(137), end(&["sh", "-c", "exit 137"]));
        assert_eq!(End::Signalled(15), end(&["sh", "-c", "kill -TERM $$"]));
        assert_eq!(End::Exited(127), end(&["no-such-program"]));
        assert_eq!(End::Exited(126), end(&["/etc/alternatives"]));
    }
}

#[test]
fn input_and_environment_arrive() {
    for place in everywhere() {
        let mut job = place.job("cat; echo $GREETING $CI $TERM $LANG; echo x > $HOME/h; echo y > $TMPDIR/t; cat $HOME/h $TMPDIR/t");
        job = job.set("input", "given\n");
        job.value["policy"]["environment"] = serde_json::json!({ "GREETING": "hello" });
        let ended = job.run();
        assert_eq!(
            "given\nhello true dumb C.UTF-8\nx\ny\n",
            ended.expect_success().stdout
        );
        let silent = place.sh("cat; readlink /proc/self/fd/0");
        assert_eq!("/dev/null\n", silent.stdout);
    }
}

#[test]
fn the_directory_of_a_command_is_below_the_workspace() {
    for place in everywhere() {
        place.sh("mkdir -p a/b").expect_success();
        let ended = place.job("pwd").set("directory", "a/b").run();
        assert_eq!(format!("{}/a/b\n", place.workspace.display()), ended.stdout);
    }
}

#[test]
fn git_works_inside() {
    for place in everywhere() {
        let ended = place.sh(
            "git init -q -b main && git config user.email a@b && git config user.name n && \
             echo x > f && git add -A && git commit -qm first && git log --format=%s",
        );
        assert_eq!("first\n", ended.expect_success().stdout);
    }
}

#[test]
fn nothing_is_left_beside_the_workspace() {
    for place in everywhere() {
        place.sh("echo x > $TMPDIR/t").expect_success();
        let mut names: Vec<_> = std::fs::read_dir(place.base().join("work"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(vec!["one", "sibling"], names, "{:?}", place.level);
    }
}

#[test]
fn a_read_only_path_stays_so() {
    for place in everywhere() {
        let cache = place.base().join("cache");
        std::fs::create_dir(&cache).unwrap();
        std::fs::write(cache.join("object"), "cached").unwrap();
        std::process::Command::new("chmod")
            .args(["-R", "777"])
            .arg(&cache)
            .status()
            .unwrap();
        let script = format!(
            "cat {0}/object; echo x > {0}/object; echo x > {0}/new; rm {0}/object",
            cache.display()
        );
        let mut job = place.job(&script);
        job.value["policy"]["read_only"] = serde_json::json!([cache]);
        assert_eq!("cached", job.run().stdout);
        assert_eq!(
            "cached",
            std::fs::read_to_string(cache.join("object")).unwrap()
        );
        assert_eq!(1, std::fs::read_dir(&cache).unwrap().count());
        if place.level == SandboxLevel::L2 {
            job.value["policy"]["read_only"] = serde_json::json!([place.workspace.join("sub")]);
            assert_eq!(Some(65), job.output().status.code());
        }
    }
}
