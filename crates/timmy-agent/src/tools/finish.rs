//! `finish`: the model says that it is done.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Answer;
use super::Tool;
use super::Workbench;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// What was done and how it was checked, or why it could not be done. A few sentences.
    summary: String,
    /// A title for the pull request.
    #[serde(default)]
    title: Option<String>,
}

pub(super) struct FinishWork;

#[async_trait]
impl Tool for FinishWork {
    type Arguments = Arguments;
    const NAME: &'static str = "finish";
    const DESCRIPTION: &'static str = "Ends the work. The project's check then runs on a clean \
        checkout of what you leave behind.";

    async fn run(bench: &Workbench, arguments: Arguments) -> Answer {
        if arguments.summary.trim().is_empty() {
            return Answer::error("`summary` is empty. Say what was done.");
        }
        if let Some(title) = &arguments.title {
            let title = bench.proposal(title);
            bench.propose(|proposals| proposals.title = title);
        }
        let text = "The work is finished.".to_owned();
        Answer {
            text,
            ok: true,
            finished: Some(arguments.summary),
        }
    }
}
