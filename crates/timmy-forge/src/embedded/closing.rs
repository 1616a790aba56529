//! Issues that a merged pull request says it closes.

use timmy_store::forge::IssueEdit;
use timmy_store::forge::IssueState;
use timmy_store::forge::Kind;
use timmy_store::forge::Pull;

use super::access::Visit;
use super::answer::Refusal;

/// The words of Gitea.
const KEYWORDS: [&str; 9] = [
    "close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved",
];

/// Closes what title and body name, if the pull request went into the default branch. An issue that
/// waits for another stays open.
pub(super) async fn close_named(visit: &Visit<'_>, pull: &Pull) -> Result<(), Refusal> {
    if pull.base_branch != visit.repository.default_branch {
        return Ok(());
    }
    let text = format!("{}\n{}", pull.issue.title, pull.issue.body);
    for number in named(&text) {
        let found = visit.tables().issue(visit.repository.id, number).await?;
        let Some(issue) = found.filter(|issue| issue.kind == Kind::Issue) else {
            continue;
        };
        let blockers = visit.tables().blockers(issue.id).await?;
        if blockers
            .iter()
            .any(|blocker| blocker.state == IssueState::Open)
        {
            continue;
        }
        let close = IssueEdit {
            state: Some(IssueState::Closed),
            ..IssueEdit::default()
        };
        visit.tables().edit_issue(issue.id, close).await?;
    }
    Ok(())
}

/// The numbers after a keyword: `closes #12`, `Fixes: #3`. Each once, in order.
fn named(text: &str) -> Vec<i64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut numbers = Vec::new();
    for pair in words.windows(2) {
        let keyword = pair[0].trim_start_matches(['(', '*', '_', '[']);
        let keyword = keyword.trim_end_matches(':').to_lowercase();
        let number = number(pair[1]).filter(|number| !numbers.contains(number));
        if KEYWORDS.contains(&keyword.as_str()) {
            numbers.extend(number);
        }
    }
    numbers
}

/// `#12`, with punctuation after it at most.
fn number(word: &str) -> Option<i64> {
    let rest = word.strip_prefix('#')?;
    let digits = rest.trim_end_matches(|c: char| c.is_ascii_punctuation());
    digits.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_keyword_and_a_number_belong_together() {
        assert_eq!(
            vec![12, 3],
            named("Closes #12, and (fixes: #3). closes #12")
        );
        for none in [
            "#12",
            "see #12",
            "closes 12",
            "discloses #12",
            "closes #x",
            "closes #-1",
        ] {
            assert_eq!(Vec::<i64>::new(), named(none), "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_searched(text in any::<String>(), number in 1_i64..1_000_000) {
            named(&text);
            prop_assert_eq!(vec![number], named(&format!("x\nResolved #{number}!")));
        }
    }
}
