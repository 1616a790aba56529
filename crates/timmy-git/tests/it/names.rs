//! The typed names against git's own opinion.

use std::process::Command;

use proptest::prelude::*;
use timmy_git::BranchName;
use timmy_git::RefName;

fn git_accepts(arguments: &[&str]) -> bool {
    let check = Command::new("git")
        .arg("check-ref-format")
        .args(arguments)
        .output();
    check.unwrap().status.success()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn git_accepts_every_accepted_ref(name in "refs/[a-zä.@{}~^:?*\\[ /\\\\-]{1,14}(\\.lock)?") {
        if name.parse::<RefName>().is_ok() {
            prop_assert!(git_accepts(&[&name]), "git refuses {name}");
        }
    }

    #[test]
    fn every_ordinary_branch_is_accepted(name in "[a-z][a-z0-9_-]{0,9}(/[a-z0-9][a-z0-9_-]{0,9}){0,3}") {
        let branch: BranchName = name.parse().unwrap();
        prop_assert!(git_accepts(&["--branch", branch.as_str()]));
    }
}
