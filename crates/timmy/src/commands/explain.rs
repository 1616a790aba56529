//! `timmy explain` and `timmy prompt`.

use serde::Serialize;
use serde_json::json;
use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_dispatch::Explanation;
use timmy_store::StandingPause;

use super::Ended;
use super::control;
use super::told;
use crate::cli::IssueReference;
use crate::error_pages;
use crate::host::Host;
use crate::output;
use crate::output::Form;

/// What a program is told about an issue.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    #[serde(flatten)]
    explanation: &'a Explanation,
    /// The pause in force, during which nothing is taken, whatever the rules say.
    paused: Option<&'a StandingPause>,
}

/// The page of an error code.
pub(super) fn code(json: bool, code: Code) -> Ended {
    let page = error_pages::page(code)?;
    match json {
        true => output::json(&json!({ "code": code, "page": page }))?,
        false => output::line(page.trim_end())?,
    }
    Ok(ExitStatus::Success)
}

/// Every selection rule with its answer about one issue.
pub(super) async fn issue(host: &Host, subject: &str) -> Ended {
    let reference: IssueReference = subject.parse().map_err(|reason: String| {
        Problem::new(Code::new(111), ExitStatus::Usage, reason)
            .at(format!(
                "timmy explain {}",
                timmy_core::text::clean_line(subject)
            ))
            .fix("give an error code such as TIMMY-0301, or an issue such as owner/name#12")
    })?;
    let repo = host.repo_of(&reference)?;
    let store = host.store().await?;
    let connection = host.connect(&store).await?;
    let log = store.log(std::sync::Arc::clone(&host.clock));
    let pause = log.standing_pause().await.map_err(told)?;
    let desk = host.desk(&repo, store, &connection, &[]).await?;
    let explanation = desk.explain(reference.number).await.map_err(told)?;
    if host.form == Form::Json {
        let explained = Explained {
            explanation: &explanation,
            paused: pause.as_ref(),
        };
        output::json(&explained)?;
        return Ok(ExitStatus::Success);
    }
    if let Some(pause) = &pause {
        output::line(&format!(
            "the fleet is {}\nnothing begins before `timmy resume`; apart from that:",
            control::sentence(pause)
        ))?;
    }
    let verdict = if explanation.workable {
        "a sprint would take it"
    } else {
        "it is passed over"
    };
    output::line(&format!(
        "{repo}#{} {}: {verdict}",
        explanation.issue, explanation.title
    ))?;
    let rows = explanation.answers.into_iter().map(|answer| {
        let mark = answer.passed.map_or("-".to_owned(), output::verdict);
        vec![answer.rule.to_owned(), mark, answer.finding]
    });
    output::line(&output::table(&["rule", "", "finding"], rows.collect()))?;
    Ok(ExitStatus::Success)
}

/// The self-contained prompt for an issue.
pub(super) async fn prompt(host: &Host, reference: &IssueReference) -> Ended {
    let repo = host.repo_of(reference)?;
    let store = host.store().await?;
    let connection = host.connect(&store).await?;
    let desk = host.desk(&repo, store, &connection, &[]).await?;
    let prompt = desk.prompt_for(reference.number).await.map_err(told)?;
    match host.form {
        Form::Human => output::line(prompt.trim_end())?,
        Form::Json => output::json(&json!({ "prompt": prompt }))?,
    }
    Ok(ExitStatus::Success)
}
