//! `timmy issues`: what is open, and what would come next.

use timmy_core::ExitStatus;
use timmy_core::IssueNumber;
use timmy_forge::IssueFilter;

use super::Ended;
use super::told;
use crate::cli::RepoArguments;
use crate::host::Host;
use crate::output;
use crate::output::Form;

#[derive(serde::Serialize)]
struct Line {
    number: IssueNumber,
    title: String,
    labels: Vec<String>,
    author: String,
    /// Why it would not be taken; `next` for the one that would.
    standing: String,
}

pub(super) async fn run(host: &Host, arguments: &RepoArguments) -> Ended {
    let repo = host.repo(arguments.repo.as_ref())?;
    let store = host.store().await?;
    let connection = host.connect(&store).await?;
    let desk = host.desk(&repo, store, &connection, &[]).await?;
    let bar = output::progress("reading the issues");
    let issues = desk
        .forge
        .issues(&repo, &IssueFilter::default())
        .await
        .map_err(told)?;
    let choice = desk.survey().await.map_err(told)?;
    bar.finish_and_clear();
    let standing = |number: IssueNumber| {
        if choice.issue == Some(number) {
            return "next".to_owned();
        }
        let passed = choice
            .passed_over
            .iter()
            .find(|passed| passed.issue == number);
        passed.map_or_else(
            || "waits for its turn".to_owned(),
            |passed| passed.reason.clone(),
        )
    };
    let clean = timmy_core::text::clean_line;
    let mut lines: Vec<Line> = issues
        .into_iter()
        .map(|issue| Line {
            number: issue.number,
            title: clean(&issue.title),
            labels: issue.labels.iter().map(|label| clean(label)).collect(),
            author: clean(&issue.author),
            standing: standing(issue.number),
        })
        .collect();
    lines.sort_by_key(|line| line.number);
    if lines.is_empty() && host.form == Form::Human {
        output::talk(&format!("no open issues in {repo}"));
        return Ok(ExitStatus::Success);
    }
    if host.form == Form::Json {
        output::json(&lines)?;
        return Ok(ExitStatus::Success);
    }
    let rows = lines.into_iter().map(|line| {
        vec![
            format!("#{}", line.number),
            line.title,
            line.labels.join(", "),
            line.standing,
        ]
    });
    output::line(&output::table(
        &["issue", "title", "labels", "standing"],
        rows.collect(),
    ))?;
    Ok(ExitStatus::Success)
}
