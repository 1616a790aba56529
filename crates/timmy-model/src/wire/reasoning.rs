//! Reasoning that arrives inside of the text, in `<think>` tags.

const OPENINGS: [&str; 3] = ["<think>", "<thinking>", "<reasoning>"];
const CLOSINGS: [&str; 3] = ["</think>", "</thinking>", "</reasoning>"];

/// Splits leading reasoning from what is meant for others: `(reasoning, text)`.
///
/// Templates that put the opening tag into the prompt leave only the closing one in the reply; a
/// reply that ran out of tokens has only the opening one. Both are reasoning up to their end.
pub(crate) fn split(said: &str) -> (Option<String>, String) {
    let mut rest = said.trim_start();
    let mut reasoning = Vec::new();
    if let Some((before, after)) = closed_without_opening(rest) {
        reasoning.push(before.trim());
        rest = after.trim_start();
    }
    for (opening, closing) in OPENINGS.iter().zip(CLOSINGS).cycle() {
        let Some(inside) = rest.strip_prefix(opening) else {
            if OPENINGS.iter().any(|opening| rest.starts_with(opening)) {
                continue;
            }
            break;
        };
        let (thought, after) = inside.split_once(closing).unwrap_or((inside, ""));
        reasoning.push(thought.trim());
        rest = after.trim_start();
    }
    if reasoning.is_empty() {
        return (None, said.to_owned());
    }
    (Some(reasoning.join("\n")), rest.to_owned())
}

fn closed_without_opening(said: &str) -> Option<(&str, &str)> {
    let (before, after) = said.split_once(CLOSINGS[0])?;
    let opened = OPENINGS.iter().any(|opening| before.contains(opening));
    (!opened).then_some((before, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_shape_of_thinking_is_split_off() {
        let cases = [
            ("plain", None, "plain"),
            ("<think>a</think>b", Some("a"), "b"),
            ("\n<think>\na\n</think>\n\nb", Some("a"), "b"),
            ("a</think>b", Some("a"), "b"),
            ("<think>a", Some("a"), ""),
            ("<thinking>a</thinking><think>c</think>b", Some("a\nc"), "b"),
            ("say <think>x</think>", None, "say <think>x</think>"),
        ];
        for (said, reasoning, text) in cases {
            let expected = (reasoning.map(str::to_owned), text.to_owned());
            assert_eq!(expected, split(said), "{said}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_split(said in "(<think>|</think>|<thinking>|</thinking>|<reasoning>|[a-z ]){0,12}") {
            let (_, text) = split(&said);
            prop_assert!(text.len() <= said.len());
        }
    }
}
