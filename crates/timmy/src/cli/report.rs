//! What the morning report is asked for.

use std::path::PathBuf;

use timmy_core::RepoName;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct ReportArguments {
    /// From when on: hours (8 or 8h) or days (3d) back from the last full hour, `night` for when the
    /// newest loop began, a date, or a time. Otherwise the newest night, or everything.
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Until when, in the same words. Otherwise until now.
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// How it is written. Otherwise as text, or as the name of the output file ends.
    #[arg(long, value_enum)]
    pub(crate) format: Option<ReportFormat>,
    /// Write it into this file; as Markdown, the charts into files beside it.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the output file even if it is no report.
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
    /// Post it as an issue, or bring the one of the same stretch of time up to date. Without a
    /// repository: report.post of the configuration, or the only repository.
    #[arg(long, value_name = "OWNER/NAME", num_args = 0..=1)]
    pub(crate) post: Option<Option<RepoName>>,
    /// Mail it with the command of the configuration, `[report]` mail.
    #[arg(long)]
    pub(crate) mail: bool,
}

/// A form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ReportFormat {
    /// For a terminal of 80 columns.
    Text,
    /// Markdown, fit for an issue.
    Md,
    /// One page with its charts inside.
    Html,
    /// For programs.
    Json,
}
