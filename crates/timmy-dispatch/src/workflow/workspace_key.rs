//! The directory of an issue's workspace.
//!
//! timmy's own sprints do not use it: each attempt has a directory of its own, named after its run,
//! and is thrown away after. It is for whoever keeps one workspace per issue.

use std::path::Path;
use std::path::PathBuf;

use sha2::Digest;
use sha2::Sha256;
use timmy_core::text;

use super::error::WorkflowError;
use super::surroundings::plain;

/// Hexadecimal digits of the hash that keeps changed names apart: 96 bits.
const HASH_DIGITS: usize = 24;
/// The longest name that is kept as it is, in bytes. A name of a file has at most 255.
const LONGEST: usize = 200;

/// The name of the directory for an issue: the identifier itself when every character is one of
/// `A-Z a-z 0-9 . _ -`, else with `_` for every other character and a hash of the identifier. Names
/// that mean a directory themselves (`.`, `..`, nothing) and very long ones get the hash too.
#[must_use]
pub fn workspace_key(identifier: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut key: String = identifier
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect();
    let means_another = matches!(key.as_str(), "" | "." | "..");
    if key == identifier && !means_another && key.len() <= LONGEST {
        return key;
    }
    let hash = text::hexadecimal(&Sha256::digest(identifier.as_bytes()));
    key.truncate(LONGEST);
    format!("{key}-{}", &hash[..HASH_DIGITS])
}

/// The workspace of an issue: a directory directly below the root.
///
/// # Errors
/// When it would lie anywhere else.
pub fn workspace_path(root: &Path, identifier: &str) -> Result<PathBuf, WorkflowError> {
    let path = plain(&root.join(workspace_key(identifier)));
    let root = plain(root);
    if root.is_absolute() && path.parent() == Some(&root) {
        return Ok(path);
    }
    Err(WorkflowError::OutsideRoot { path, root })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_that_need_no_change_are_their_own_key() {
        for identifier in ["ABC-123", "project-7", "a.b_c", "-x"] {
            assert_eq!(identifier, workspace_key(identifier));
        }
    }

    #[test]
    fn identifiers_that_become_alike_keep_different_keys() {
        let alike = ["a/b#1", "a_b_1", "a b#1", "a_b#1", "a/b_1"];
        let keys: std::collections::BTreeSet<_> = alike.map(workspace_key).into();
        assert_eq!(alike.len(), keys.len(), "{keys:?}");
        assert_eq!("a_b_1", workspace_key("a_b_1"));
        assert!(workspace_key("a/b#1").starts_with("a_b_1-"));
    }

    #[test]
    fn a_workspace_lies_directly_below_its_root() {
        let root = Path::new("/srv/../srv/spaces");
        for identifier in ["..", ".", "", "../../etc", "/etc/passwd", "a/b#1"] {
            let path = workspace_path(root, identifier).unwrap();
            assert_eq!(
                Some(Path::new("/srv/spaces")),
                path.parent(),
                "{identifier:?}"
            );
        }
        let error = workspace_path(Path::new("relative"), "x").unwrap_err();
        assert_eq!("invalid_workspace_cwd", error.class());
    }

    proptest! {
        #[test]
        fn a_key_is_a_plain_name_and_the_same_every_time(identifier in any::<String>()) {
            let key = workspace_key(&identifier);
            prop_assert!(!key.is_empty() && key.len() <= 255 && key != "." && key != "..");
            prop_assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
            prop_assert_eq!(&key, &workspace_key(&identifier));
            prop_assert!(workspace_path(Path::new("/root"), &identifier).is_ok());
        }

        #[test]
        fn different_identifiers_have_different_keys(a in "[ab/._-]{0,4}", b in "[ab/._-]{0,4}") {
            prop_assert_eq!(a == b, workspace_key(&a) == workspace_key(&b));
        }
    }
}
