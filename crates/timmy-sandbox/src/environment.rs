//! The environment of a command: nothing of the host's, and nothing that sounds like a secret.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::policy::Policy;

const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A name with one of these in it is left out.
const SECRET_WORDS: [&str; 7] = ["TOKEN", "SECRET", "KEY", "PASS", "AUTH", "CRED", "COOKIE"];

/// Words that hold one of the above and are harmless (`GIT_AUTHOR_NAME`).
const HARMLESS_WORDS: [&str; 2] = ["AUTHOR", "KEYBOARD"];

/// Names that the sandbox decides alone, because its own directories depend on them.
const FIXED: [&str; 3] = ["HOME", "PATH", "TMPDIR"];

/// The environment of a command whose home and temporary directories are these.
pub(crate) fn environment(
    policy: &Policy,
    home: &Path,
    temporary: &Path,
) -> Vec<(OsString, OsString)> {
    let mut variables: BTreeMap<OsString, OsString> = BTreeMap::new();
    let mut set = |name: &str, value: OsString| variables.insert(name.into(), value);
    set("LANG", "C.UTF-8".into());
    set("TERM", "dumb".into());
    set("CI", "true".into());
    set("CARGO_HOME", home.join(".cargo").into());
    set("GIT_CONFIG_NOSYSTEM", "1".into());
    set("GIT_TERMINAL_PROMPT", "0".into());
    for (name, value) in &policy.environment {
        if may_enter(name, value) {
            set(name, value.into());
        } else {
            tracing::warn!(name, "this variable does not enter the sandbox");
        }
    }
    set("HOME", home.into());
    set("TMPDIR", temporary.into());
    set("PATH", search_path(policy));
    variables.into_iter().collect()
}

fn search_path(policy: &Policy) -> OsString {
    let mut joined = OsString::new();
    for directory in &policy.path {
        joined.push(directory);
        joined.push(":");
    }
    joined.push(SYSTEM_PATH);
    joined
}

fn may_enter(name: &str, value: &str) -> bool {
    let well_formed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well
        && name.chars().all(well_formed)
        && !value.contains('\0')
        && !FIXED.contains(&name)
        && !sounds_secret(name)
}

fn sounds_secret(name: &str) -> bool {
    let mut name = name.to_ascii_uppercase();
    for harmless in HARMLESS_WORDS {
        name = name.replace(harmless, "_");
    }
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_and_is_harmless_enters() {
        let mut policy = Policy::new("/srv/work");
        policy.path.push("/opt/rust/bin".into());
        for name in [
            "GITEA_TOKEN",
            "api_key",
            "GIT_AUTHOR_NAME",
            "HOME",
            "A=B",
            "",
            "LANG",
        ] {
            policy.environment.insert(name.into(), "value".into());
        }
        let found = environment(&policy, Path::new("/home/agent"), Path::new("/tmp"));
        let expected = [
            ("CARGO_HOME", "/home/agent/.cargo"),
            ("CI", "true"),
            ("GIT_AUTHOR_NAME", "value"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("HOME", "/home/agent"),
            ("LANG", "value"),
            ("PATH", "/opt/rust/bin:/usr/local/bin:/usr/bin:/bin"),
            ("TERM", "dumb"),
            ("TMPDIR", "/tmp"),
        ];
        let expected = expected.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(expected.to_vec(), found);
    }
}
