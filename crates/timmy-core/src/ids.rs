//! Names of things, each with a type of its own so that they cannot be mixed up.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

/// The number of an issue or pull request inside its repository.
pub type IssueNumber = u64;

/// A name that does not have the form its type demands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{value:?} is not {expected}")]
pub struct InvalidName {
    /// What was given, cut to 80 characters.
    pub value: String,
    /// What would have been accepted.
    pub expected: &'static str,
}

impl InvalidName {
    fn new(value: &str, expected: &'static str) -> Self {
        Self {
            value: value.chars().take(80).collect(),
            expected,
        }
    }
}

/// One attempt at one issue. A UUIDv7, so ids sort by the time they were made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// A new id, different from every other one.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last eight characters: enough for a person to tell runs of one night apart.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[self.0.len() - 8..]
    }
}

impl FromStr for RunId {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        uuid::Uuid::parse_str(value)
            .map(|id| Self(id.to_string()))
            .map_err(|_| InvalidName::new(value, "a run id (a UUID)"))
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, InvalidName> {
        value.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository on a forge, `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoName {
    owner: String,
    name: String,
}

const REPO_NAME_FORM: &str =
    "a repository (owner/name in letters, digits, '.', '_' and '-', not starting with '-' or '.')";

impl RepoName {
    /// A repository name from its two halves.
    ///
    /// # Errors
    /// When a half is empty, longer than 100 bytes, starts with `-` or `.`, or holds anything but
    /// ASCII letters, digits, `.`, `_` and `-`.
    pub fn new(owner: &str, name: &str) -> Result<Self, InvalidName> {
        if !is_name_part(owner) || !is_name_part(name) || name.ends_with(".git") {
            return Err(InvalidName::new(&format!("{owner}/{name}"), REPO_NAME_FORM));
        }
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The user or organisation.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The repository's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn is_name_part(part: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !part.is_empty()
        && part.len() <= 100
        && !part.starts_with(['-', '.'])
        && part.chars().all(legal)
}

impl FromStr for RepoName {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        match value.split_once('/') {
            Some((owner, name)) => Self::new(owner, name),
            None => Err(InvalidName::new(value, REPO_NAME_FORM)),
        }
    }
}

impl TryFrom<String> for RepoName {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, InvalidName> {
        value.parse()
    }
}

impl From<RepoName> for String {
    fn from(repo: RepoName) -> Self {
        repo.to_string()
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// One issue or pull request of one repository, `owner/name#7`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IssueName {
    /// The repository.
    pub repo: RepoName,
    /// The number inside it.
    pub number: IssueNumber,
}

impl FromStr for IssueName {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName::new(value, "an issue (owner/name#7)");
        let (repo, number) = value.split_once('#').ok_or_else(invalid)?;
        let plain = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| plain);
        Ok(Self {
            repo: repo.parse()?,
            number: number.ok_or_else(invalid)?,
        })
    }
}

impl TryFrom<String> for IssueName {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, InvalidName> {
        value.parse()
    }
}

impl From<IssueName> for String {
    fn from(issue: IssueName) -> Self {
        issue.to_string()
    }
}

impl fmt::Display for IssueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.repo, self.number)
    }
}

/// The name of a git object: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectName(String);

impl ObjectName {
    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first ten digits.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

impl FromStr for ObjectName {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let hexadecimal = value
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hexadecimal && matches!(value.len(), 40 | 64) {
            return Ok(Self(value.to_owned()));
        }
        Err(InvalidName::new(
            value,
            "a git object name (40 or 64 hexadecimal digits)",
        ))
    }
}

impl TryFrom<String> for ObjectName {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, InvalidName> {
        value.parse()
    }
}

impl From<ObjectName> for String {
    fn from(name: ObjectName) -> Self {
        name.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_name_cannot_be_an_option_or_a_path() {
        for bad in [
            "-o/x", "a/-x", "a/..", "../b", "a", "a/b/c", "a/b.git", "a/b c", "a/", "/b",
        ] {
            assert!(bad.parse::<RepoName>().is_err(), "{bad} was accepted");
        }
        let repo: RepoName = "operator/night-shift".parse().unwrap();
        assert_eq!(("operator", "night-shift"), (repo.owner(), repo.name()));
    }

    #[test]
    fn an_issue_name_reads_back() {
        let issue: IssueName = "operator/night-shift#7".parse().unwrap();
        assert_eq!(7, issue.number);
        assert_eq!("operator/night-shift#7", issue.to_string());
        for bad in [
            "#7",
            "a/b",
            "a/b#",
            "a/b#+7",
            "a/b#-7",
            "a/b#7#8",
            "a#7",
            "a/b#99999999999999999999",
        ] {
            assert!(bad.parse::<IssueName>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn run_ids_sort_by_time() {
        let ids: Vec<RunId> = (0..50).map(|_| RunId::generate()).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0], ids[0].to_string().parse().unwrap());
    }

    #[test]
    fn object_names_are_hexadecimal() {
        assert!("a".repeat(40).parse::<ObjectName>().is_ok());
        for bad in ["A".repeat(40), "a".repeat(39), "--upload-pack=x".to_owned()] {
            assert!(bad.parse::<ObjectName>().is_err());
        }
    }
}
