use proptest::prelude::*;

use super::*;

const MOUNTS: &str = "\
29 23 0:25 / /sys/fs/cgroup rw shared:4 - tmpfs tmpfs rw,mode=755
30 29 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
31 29 0:27 / /sys/fs/cgroup/pids rw shared:9 - cgroup cgroup rw,pids
32 29 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
33 29 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

const OWN: &str = "4:memory:/job/7\n8:pids:/\n1:cpu,cpuacct:/\n0::/\n";

#[test]
fn a_machine_with_both_versions() {
    let found = candidates(&parse_mounts(MOUNTS), &parse_membership(OWN));
    let expected = [
        ("/sys/fs/cgroup/memory/job/7", Kind::MemoryV1),
        ("/sys/fs/cgroup/pids", Kind::PidsV1),
        ("/sys/fs/cgroup/unified", Kind::Unified),
        ("/sys/fs/cgroup/unified", Kind::KillOnly),
    ];
    let expected: Vec<(PathBuf, Kind)> = expected.map(|(path, kind)| (path.into(), kind)).into();
    assert_eq!(expected, found);
}

#[test]
fn a_container_that_sees_a_part_of_version_2() {
    let mounts = parse_mounts("1 0 0:1 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup ro\n");
    let found = candidates(&mounts, &parse_membership("0::/docker/ab/x/y\n"));
    let expected = [
        ("/sys/fs/cgroup/x/y", Kind::Unified),
        ("/sys/fs/cgroup/x", Kind::Unified),
        ("/sys/fs/cgroup/x/y", Kind::KillOnly),
    ];
    let expected: Vec<(PathBuf, Kind)> = expected.map(|(path, kind)| (path.into(), kind)).into();
    assert_eq!(expected, found);
}

#[test]
fn events_are_counted_by_name() {
    let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
    assert_eq!(2, parse_count(v1, "oom_kill"));
    assert_eq!(0, parse_count("oom 3\nlow 1\n", "oom_kill"));
}

#[test]
fn what_cgroups_there_are_is_found_by_making_one() {
    let cgroups = Cgroups::detect();
    let group = cgroups.group(&Limits::default()).unwrap();
    let files = group.procs_files();
    assert_eq!(cgroups.bases.len(), files.len());
    assert!(files.iter().all(|file| file.exists()));
    assert!(!group.ran_out_of_memory());
    group.remove().unwrap();
    assert!(files.iter().all(|file| !file.exists()));
}

proptest! {
    #[test]
    fn any_text_is_read_and_no_directory_climbs_out(
        mounts in "([0-9a-z/ ,.:-]{0,60}( - cgroup2? x rw,memory)?\n){0,5}",
        own in "([0-9]:[a-z,]{0,9}:[a-z/.]{0,20}\n){0,5}",
    ) {
        for (directory, _) in candidates(&parse_mounts(&mounts), &parse_membership(&own)) {
            prop_assert!(directory.components().all(|part| part.as_os_str() != "..")
                || mounts.contains(".."));
        }
    }

    #[test]
    fn names_of_groups_are_told_from_others(name in "(timmy-)?[0-9a-z-]{0,12}") {
        if let Some(pid) = maker_of(&name) {
            let prefix = format!("{PREFIX}{pid}-");
            prop_assert!(name.starts_with(PREFIX) && (name.starts_with(&prefix) || name.contains("-0")));
        }
    }
}
