//! The two parts of a workflow file.

use serde_yaml_ng::Mapping;
use serde_yaml_ng::Value;
use timmy_core::text;

use super::error::WorkflowError;

/// The longest reason that a reader of YAML may give, in bytes.
const REASON_BYTES: usize = 300;
const DASHES: &str = "---";

/// Splits a text at its two lines of dashes: what stands between them, and the body without the
/// space around it. A text whose first line is not dashes is all body; without a second line of
/// dashes everything is front matter.
pub(super) fn split(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches('\u{feff}');
    let (first, rest) = line(text);
    if first.trim_end() != DASHES {
        return ("", text.trim());
    }
    let mut end = 0;
    while end < rest.len() {
        let (next, after) = line(&rest[end..]);
        if next.trim_end() == DASHES {
            return (&rest[..end], after.trim());
        }
        end = rest.len() - after.len();
    }
    (rest, "")
}

/// The first line without its end, and what follows it.
fn line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// Reads the front matter. Nothing, and nothing but comments, is an empty mapping.
pub(super) fn parse(file: &str, front: &str) -> Result<Mapping, WorkflowError> {
    let value: Value =
        serde_yaml_ng::from_str(front).map_err(|error| WorkflowError::FrontMatter {
            file: file.to_owned(),
            reason: text::bound(&text::clean_line(&error.to_string()), REASON_BYTES).into_owned(),
        })?;
    match value {
        Value::Mapping(mapping) => Ok(mapping),
        Value::Null => Ok(Mapping::new()),
        other => Err(WorkflowError::NotAMapping {
            found: kind(&other),
        }),
    }
}

/// What a value is, for a sentence.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
        Value::Tagged(_) => "a tagged value",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_file_is_split_at_its_lines_of_dashes() {
        for (text, front, body) in [
            ("", "", ""),
            ("# Title\n", "", "# Title"),
            ("----\nx\n----\n", "", "----\nx\n----"),
            ("---\na: 1\n---\n\nBody.\n\n", "a: 1\n", "Body."),
            ("---\n---\nBody.", "", "Body."),
            ("---\na: 1\n---", "a: 1\n", ""),
            ("\u{feff}---\na: 1\n---\nx", "a: 1\n", "x"),
            (
                "---\na: |\n  ---\n---\nx\n---\ny",
                "a: |\n  ---\n",
                "x\n---\ny",
            ),
        ] {
            assert_eq!((front, body), split(text), "{text:?}");
        }
    }

    #[test]
    fn line_ends_of_other_systems_are_line_ends() {
        let (front, body) = split("---\r\na: 1\r\n---\r\nBody.\r\n");
        assert_eq!("Body.", body);
        assert_eq!(1, parse("WORKFLOW.md", front).unwrap().len());
    }

    #[test]
    fn without_closing_dashes_everything_is_front_matter() {
        assert_eq!(("a: 1\nb: 2\n", ""), split("---\na: 1\nb: 2\n"));
        let (front, _) = split("---\nA title, not a mapping\n");
        let error = parse("WORKFLOW.md", front).unwrap_err();
        assert_eq!("workflow_front_matter_not_a_map", error.class());
    }

    #[test]
    fn front_matter_that_is_no_yaml_is_a_typed_error() {
        let error = parse("WORKFLOW.md", "a: [1\nb").unwrap_err();
        assert_eq!("workflow_parse_error", error.class());
    }

    #[test]
    fn front_matter_that_is_no_mapping_is_a_typed_error() {
        for text in ["- 1\n- 2\n", "7", "true", "words"] {
            let error = parse("WORKFLOW.md", text).unwrap_err();
            assert_eq!("workflow_front_matter_not_a_map", error.class(), "{text}");
        }
        assert!(parse("WORKFLOW.md", "# a comment\n").unwrap().is_empty());
    }

    #[test]
    fn aliases_that_multiply_are_refused() {
        let mut text = "a0: &a0 [x]\n".to_owned();
        for level in 1..40 {
            let before = level - 1;
            text += &format!("a{level}: &a{level} [*a{before}, *a{before}, *a{before}]\n");
        }
        let error = parse("WORKFLOW.md", &text).unwrap_err();
        assert_eq!("workflow_parse_error", error.class());
    }

    proptest! {
        #[test]
        fn any_text_is_split_without_losing_its_body(text in "(?s)(---\r?\n)?.{0,60}(\r?\n---\r?\n)?.{0,60}") {
            let (front, body) = split(&text);
            prop_assert!(front.len() + body.len() <= text.len());
            prop_assert!(text.contains(body));
            let _ = parse("WORKFLOW.md", front);
        }
    }
}
