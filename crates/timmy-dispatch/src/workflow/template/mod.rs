//! The body of a workflow as a strict Liquid template.
//!
//! Strict means: a name that is not there ends the rendering, also in a condition, and a filter or
//! tag that is not there ends the reading. Both are bounded in time, memory and stack, whoever
//! wrote the template. Values are data: what an issue says is never read as a template.

mod blocks;
mod bounds;
mod filters;
mod strict;
mod values;

use liquid_core::Language;
use liquid_core::Renderable;
use liquid_core::parser;
use liquid_core::runtime::RuntimeBuilder;
use liquid_lib::stdlib;
use timmy_core::text;

use super::error::WorkflowError;
use super::issue::TrackedIssue;
use bounds::BoundedOutput;
use strict::Strict;

/// The longest reason that is told, in bytes.
const REASON_BYTES: usize = 300;

/// A template that was read.
#[derive(Debug)]
pub struct Template {
    body: liquid_core::Template,
}

impl Template {
    /// Whether a text has tags or placeholders in it. One without any is its own rendering.
    #[must_use]
    pub fn is_in(text: &str) -> bool {
        text.contains("{{") || text.contains("{%")
    }

    /// Reads a template.
    ///
    /// # Errors
    /// [`WorkflowError::TemplateParse`] for a tag or filter that is not known or not whole, and for
    /// a template that is larger or deeper than any that people write.
    pub fn parse(text: &str) -> Result<Self, WorkflowError> {
        bounds::check_source(text).map_err(|reason| WorkflowError::TemplateParse { reason })?;
        let elements = parser::parse(text, &language()).map_err(|error| {
            let reason = reason(&error);
            WorkflowError::TemplateParse { reason }
        })?;
        Ok(Self {
            body: liquid_core::Template::new(elements),
        })
    }

    /// Renders it for an issue. `attempt` counts from 1; there is none for the first run.
    ///
    /// # Errors
    /// [`WorkflowError::TemplateRender`] for a name that is not there, a filter that cannot work on
    /// what it got, and a template that does or prints more than any needs to.
    pub fn render(
        &self,
        issue: &TrackedIssue,
        attempt: Option<u32>,
    ) -> Result<String, WorkflowError> {
        let failed = |reason| WorkflowError::TemplateRender { reason };
        let globals = values::globals(issue, attempt).map_err(|error| failed(reason(&error)))?;
        let runtime = RuntimeBuilder::new().set_globals(&globals).build();
        let strict = Strict::new(&runtime);
        let mut output = BoundedOutput::default();
        let rendered = self.body.render_to(&mut output, &strict);
        // What a condition asked for in vain is told before what came of it.
        if let Some(fault) = strict.fault() {
            return Err(failed(fault));
        }
        rendered.map_err(|error| failed(output.fault().unwrap_or_else(|| reason(&error))))?;
        Ok(output.into_text())
    }
}

/// Every tag and filter that a template can use.
fn language() -> Language {
    let mut language = Language::empty();
    let blocks = &mut language.blocks;
    blocks.register("if".to_owned(), stdlib::IfBlock.into());
    blocks.register("unless".to_owned(), stdlib::UnlessBlock.into());
    blocks.register("case".to_owned(), stdlib::CaseBlock.into());
    blocks.register("comment".to_owned(), stdlib::CommentBlock.into());
    blocks.register("raw".to_owned(), stdlib::RawBlock.into());
    blocks.register("for".to_owned(), Box::new(blocks::For));
    blocks.register("capture".to_owned(), Box::new(blocks::Capture));
    let tags = &mut language.tags;
    tags.register("assign".to_owned(), stdlib::AssignTag.into());
    tags.register("break".to_owned(), stdlib::BreakTag.into());
    tags.register("continue".to_owned(), stdlib::ContinueTag.into());
    for filter in filters::all() {
        let name = filter.reflection().name().to_owned();
        language.filters.register(name, filter);
    }
    language
}

/// What the engine said, on one line, without the values it was about and without its lists of
/// everything there is, whose order changes.
fn reason(error: &liquid_core::Error) -> String {
    let said = error.to_string();
    let said = said.strip_prefix("liquid: ").unwrap_or(&said);
    let kept: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("input=") && !line.starts_with("available "))
        .filter(|line| *line != "with:")
        .collect();
    text::bound(&text::clean_line(&kept.join(" ")), REASON_BYTES).replace('\n', " ")
}

#[cfg(test)]
mod tests;
