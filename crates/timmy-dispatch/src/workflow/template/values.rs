//! What a template is given: the issue and the attempt, made harmless.

use liquid_core::Object;
use liquid_core::Result;
use liquid_core::Value;
use liquid_core::model::to_object;
use timmy_core::text;

use crate::workflow::issue::BlockerReference;
use crate::workflow::issue::TrackedIssue;

/// The longest value on one line, in bytes.
const LINE_BYTES: usize = 200;
/// The longest description, in bytes. The whole of it follows the instructions in every prompt.
const DESCRIPTION_BYTES: usize = 8 << 10;
/// The most labels, and the most blockers.
const ELEMENTS: usize = 50;
/// What could begin a heading, a list, a quotation or a fence at the start of a line.
const BEGINS_A_BLOCK: [char; 9] = ['#', '>', '-', '*', '+', '=', '`', '~', '<'];

/// The names a template can use.
pub(super) fn globals(issue: &TrackedIssue, attempt: Option<u32>) -> Result<Object> {
    let mut globals = Object::new();
    globals.insert("issue".into(), Value::Object(to_object(&harmless(issue))?));
    let attempt = attempt.map_or(Value::Nil, |attempt| Value::scalar(i64::from(attempt)));
    globals.insert("attempt".into(), attempt);
    Ok(globals)
}

/// The issue as a template may print it: each value on one line that begins no block, the
/// description as a quotation, everything bounded.
fn harmless(issue: &TrackedIssue) -> TrackedIssue {
    let optional = |value: &Option<String>| value.as_deref().map(line);
    let blocker = |blocker: &BlockerReference| BlockerReference {
        id: optional(&blocker.id),
        identifier: optional(&blocker.identifier),
        state: optional(&blocker.state),
    };
    TrackedIssue {
        id: line(&issue.id),
        native_ref: issue.native_ref.clone(),
        identifier: line(&issue.identifier),
        title: line(&issue.title),
        description: issue.description.as_deref().map(quotation),
        priority: issue.priority,
        state: line(&issue.state),
        branch_name: optional(&issue.branch_name),
        url: optional(&issue.url),
        assignee_id: optional(&issue.assignee_id),
        labels: issue
            .labels
            .iter()
            .take(ELEMENTS)
            .map(|label| line(label))
            .collect(),
        blocked_by: issue
            .blocked_by
            .iter()
            .take(ELEMENTS)
            .map(blocker)
            .collect(),
        dispatchable: issue.dispatchable,
        created_at: optional(&issue.created_at),
        updated_at: optional(&issue.updated_at),
    }
}

/// On one line, bounded, and without what would begin a block of Markdown.
fn line(value: &str) -> String {
    let begins = |c: char| c.is_whitespace() || BEGINS_A_BLOCK.contains(&c);
    let line = text::clean_line(value);
    let line = text::bound(line.trim_start_matches(begins), LINE_BYTES);
    line.replace('\n', " ")
}

/// Every line behind a `>`: nothing in it can pass for a line of the template.
fn quotation(value: &str) -> String {
    let cleaned = text::clean(value);
    let bounded = text::bound(cleaned.trim(), DESCRIPTION_BYTES);
    let lines: Vec<_> = bounded.lines().map(|line| format!("> {line}")).collect();
    lines.join("\n")
}
