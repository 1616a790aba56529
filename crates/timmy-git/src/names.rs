//! Names that go on git's command line. A value of these types is never an option, never a second
//! argument and never means anything but itself.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;
use timmy_core::ObjectName;
use timmy_core::ids::InvalidName;

const LONGEST_REF: usize = 240;
const REF_FORM: &str =
    "a full ref name (refs/..., as `git check-ref-format` has it, no component starting with '-')";
const BRANCH_FORM: &str = "a branch name (as `git check-ref-format --branch` has it)";
const PATH_FORM: &str =
    "a path inside the repository (relative, without '..', '.git' and control characters)";

fn invalid(value: &str, expected: &'static str) -> InvalidName {
    InvalidName {
        value: value.chars().take(80).collect(),
        expected,
    }
}

/// A full ref name such as `refs/heads/main`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefName(String);

impl RefName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The branch's short name, when this is a branch.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.0.strip_prefix("refs/heads/")
    }
}

fn is_ref_component(component: &str) -> bool {
    let bad =
        |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    !component.is_empty()
        && !component.starts_with(['.', '-'])
        && !component.ends_with('.')
        && !component.ends_with(".lock")
        && !component.contains("..")
        && !component.contains("@{")
        && !component.chars().any(bad)
}

impl FromStr for RefName {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let rest = value.strip_prefix("refs/").unwrap_or_default();
        let legal = value.len() <= LONGEST_REF && rest.split('/').all(is_ref_component);
        if legal {
            return Ok(Self(value.to_owned()));
        }
        Err(invalid(value, REF_FORM))
    }
}

/// A branch by its short name, such as `main`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BranchName(String);

impl BranchName {
    /// The short name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `refs/heads/` and the short name.
    #[must_use]
    pub fn reference(&self) -> RefName {
        RefName(format!("refs/heads/{}", self.0))
    }
}

impl FromStr for BranchName {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let full = format!("refs/heads/{value}");
        if full.parse::<RefName>().is_err() || matches!(value, "HEAD" | "@") {
            return Err(invalid(value, BRANCH_FORM));
        }
        Ok(Self(value.to_owned()))
    }
}

/// A relative path with `/` between its components. `.` is the top.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoPath(String);

impl RepoPath {
    /// The top of the repository or workspace.
    #[must_use]
    pub fn top() -> Self {
        Self(".".to_owned())
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RepoPath {
    fn default() -> Self {
        Self::top()
    }
}

fn is_path_component(component: &str) -> bool {
    !component.is_empty()
        && component != "."
        && component != ".."
        && !component.eq_ignore_ascii_case(".git")
        && !component.chars().any(char::is_control)
}

impl FromStr for RepoPath {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        const LONGEST_PATH: usize = 4096;
        let trimmed = value.strip_prefix("./").unwrap_or(value);
        let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
        let legal = trimmed.len() < LONGEST_PATH && trimmed.split('/').all(is_path_component);
        if matches!(trimmed, "." | "") && !value.starts_with('/') {
            return Ok(Self::top());
        }
        if legal {
            return Ok(Self(trimmed.to_owned()));
        }
        Err(invalid(value, PATH_FORM))
    }
}

/// Something that names one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Revision {
    /// What is checked out.
    Head,
    /// An object by its name.
    Object(ObjectName),
    /// The tip of a ref.
    Reference(RefName),
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("HEAD"),
            Self::Object(name) => f.write_str(name.as_str()),
            Self::Reference(name) => f.write_str(name.as_str()),
        }
    }
}

/// `HEAD`, an object name, a full ref, or a branch's short name.
impl FromStr for Revision {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        if value == "HEAD" {
            return Ok(Self::Head);
        }
        if let Ok(object) = value.parse() {
            return Ok(Self::Object(object));
        }
        if value.starts_with("refs/") {
            return value.parse().map(Self::Reference);
        }
        let branch: BranchName = value.parse()?;
        Ok(Self::Reference(branch.reference()))
    }
}

/// Refs of a remote repository that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefPattern {
    /// One ref.
    Exact(RefName),
    /// Every ref below this name.
    Below(RefName),
}

impl RefPattern {
    pub(crate) fn argument(&self) -> String {
        match self {
            Self::Exact(name) => name.to_string(),
            Self::Below(name) => format!("{name}/*"),
        }
    }

    /// Whether a ref is asked for. `git ls-remote` itself also matches tails of names.
    pub(crate) fn matches(&self, name: &RefName) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Below(parent) => {
                let rest = name.as_str().strip_prefix(parent.as_str());
                rest.is_some_and(|rest| rest.starts_with('/'))
            }
        }
    }
}

/// What to fetch, and the ref of ours that is made to point at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refspec(String);

impl Refspec {
    /// One ref of the other side.
    #[must_use]
    pub fn one(source: &RefName, target: &RefName) -> Self {
        Self(format!("+{source}:{target}"))
    }

    /// One commit of the other side, by its name.
    #[must_use]
    pub fn object(source: &ObjectName, target: &RefName) -> Self {
        Self(format!("+{source}:{target}"))
    }

    /// Every branch, under its own name.
    #[must_use]
    pub fn every_branch() -> Self {
        Self("+refs/heads/*:refs/heads/*".to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text conversions shared by the validated names: out by `Display`, in by `FromStr`.
macro_rules! text_conversions {
    ($($name:ty),+) => {$(
        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(value: String) -> Result<Self, InvalidName> {
                value.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }
    )+};
}

macro_rules! display_inner {
    ($($name:ty),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

display_inner!(RefName, BranchName, RepoPath);
text_conversions!(RefName, BranchName, RepoPath, Revision);

impl From<&RefName> for Revision {
    fn from(name: &RefName) -> Self {
        Self::Reference(name.clone())
    }
}

impl From<&ObjectName> for Revision {
    fn from(name: &ObjectName) -> Self {
        Self::Object(name.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_would_be_options_are_refused() {
        for bad in [
            "--output=/x",
            "-b",
            "refs/heads/-x",
            "refs/heads/a..b",
            "refs/",
            "refs//x",
        ] {
            assert!(bad.parse::<RefName>().is_err(), "{bad}");
            assert!(bad.parse::<Revision>().is_err(), "{bad}");
        }
        for bad in [
            "--output=/x",
            "a b",
            "a:b",
            "a^",
            "a~1",
            "x.lock",
            "HEAD",
            "@",
            "@{-1}",
            "",
        ] {
            assert!(bad.parse::<BranchName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_stays_inside() {
        for bad in [
            "/etc/passwd",
            "../x",
            "a/../../x",
            ".git/config",
            "a/.GIT/x",
            "a\0b",
            "a//b",
        ] {
            assert!(bad.parse::<RepoPath>().is_err(), "{bad}");
        }
        assert_eq!(
            "src/ä b.rs",
            "./src/ä b.rs".parse::<RepoPath>().unwrap().as_str()
        );
        assert_eq!(RepoPath::top(), "./".parse().unwrap());
    }

    #[test]
    fn a_pattern_does_not_match_tails() {
        let parent: RefName = "refs/timmy/claims".parse().unwrap();
        let inside: RefName = "refs/timmy/claims/7".parse().unwrap();
        let tail: RefName = "refs/heads/refs/timmy/claims/7".parse().unwrap();
        let pattern = RefPattern::Below(parent);
        assert!(pattern.matches(&inside));
        assert!(!pattern.matches(&tail));
    }

    proptest! {
        #[test]
        fn an_accepted_name_survives_its_text(text in "(refs/)?[a-zA-Z0-9/@{}.~ -]{0,30}") {
            if let Ok(name) = text.parse::<RefName>() {
                prop_assert_eq!(name.as_str(), text.as_str());
                prop_assert!(!text.contains("..") && !text.starts_with('-'));
            }
        }

        #[test]
        fn any_text_is_parsed_without_panic(text in any::<String>()) {
            let _ = text.parse::<RefName>();
            let _ = text.parse::<Revision>();
            if let Ok(path) = text.parse::<RepoPath>() {
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert!(path.as_str().split('/').all(|part| part != ".."));
            }
        }
    }
}
