//! What a workspace can be called. The name is a directory's, so it has to be one everywhere.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::workspace::error::WorkspaceError;

const LONGEST: usize = 40;

/// The name of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkspaceName(String);

impl WorkspaceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkspaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WorkspaceName {
    type Err = WorkspaceError;

    fn from_str(text: &str) -> Result<Self, WorkspaceError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let legal = text.len() <= LONGEST
            && text.starts_with(plain)
            && !text.ends_with('.')
            && !text.contains("..")
            && !text.ends_with(".lock")
            && text.chars().all(|c| plain(c) || "._-".contains(c));
        if legal {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(LONGEST).collect();
        Err(WorkspaceError::Name(shown))
    }
}

impl TryFrom<String> for WorkspaceName {
    type Error = WorkspaceError;

    fn try_from(text: String) -> Result<Self, WorkspaceError> {
        text.parse()
    }
}

impl From<WorkspaceName> for String {
    fn from(name: WorkspaceName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_are_no_plain_directory_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            ".locks",
            "-x",
            "a/b",
            "a b",
            "A",
            "ä",
            "a\0",
            "x.lock",
            "a..b",
            "a.",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(bad.parse::<WorkspaceName>().is_err(), "{bad}");
        }
        for good in ["kimi", "agent-2", "0", "a.b_c"] {
            assert_eq!(good, good.parse::<WorkspaceName>().unwrap().as_str());
        }
    }

    proptest! {
        /// Every name is one path component, and its branch one that git takes.
        #[test]
        fn a_name_stays_in_its_place(text in any::<String>(), plain in "[a-z0-9._-]{1,45}") {
            for text in [text, plain] {
                if let Ok(name) = text.parse::<WorkspaceName>() {
                    let path = std::path::Path::new(name.as_str());
                    prop_assert_eq!(1, path.components().count());
                    prop_assert!(!name.as_str().starts_with('.'));
                    let branch = format!("work/{name}").parse::<timmy_git::BranchName>();
                    prop_assert!(branch.is_ok(), "{}", name);
                }
            }
        }
    }
}
