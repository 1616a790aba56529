//! What an operator decides about reports.

use serde::Deserialize;
use serde::Serialize;
use timmy_core::RepoName;

/// `[report]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportSettings {
    /// The program that sends mail, and its arguments: `["sendmail", "-t"]`. It gets the message on
    /// standard input.
    pub mail: Vec<String>,
    /// The addresses that reports are mailed to.
    pub to: Vec<String>,
    /// The address that they come from.
    pub from: String,
    /// The repository in which `--post` opens its issues when it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<RepoName>,
}
