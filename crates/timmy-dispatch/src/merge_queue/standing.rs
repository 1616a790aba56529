//! Who has a place in the queue, and why the others wait.

use serde::Serialize;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::text;
use timmy_forge::Comment;
use timmy_forge::PullRequest;
use timmy_forge::PullState;
use timmy_forge::Review;
use timmy_forge::ReviewState;
use timmy_forge::marker;

use super::MergeQueueSettings;

/// The longest name that is repeated, in bytes.
const NAME_BYTES: usize = 100;

/// A pull request as the queue sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Queued {
    /// Its number.
    pub number: IssueNumber,
    /// Its title, cleaned and bounded.
    pub title: String,
    /// The commit at the end of its branch.
    pub head: ObjectName,
    /// Whether it has a place.
    pub standing: Standing,
}

/// Whether a pull request has a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", content = "reason", rename_all = "lowercase")]
pub enum Standing {
    /// It is stacked in the next turn.
    Ready,
    /// It is not, for this reason.
    Waits(String),
}

/// What the pull request itself says.
#[must_use]
pub fn standing(pull: &PullRequest, base_branch: &str, settings: &MergeQueueSettings) -> Standing {
    let shown = |name: &str| text::bound(&text::clean_line(name), NAME_BYTES).into_owned();
    let reason = if pull.state != PullState::Open {
        "it is not open".to_owned()
    } else if pull.base_branch != base_branch {
        format!(
            "it goes to {}, not to {base_branch}",
            shown(&pull.base_branch)
        )
    } else if !pull.labels.contains(&settings.label) {
        format!("nobody put the label `{}` on it", settings.label)
    } else if pull.from_fork {
        "its branch is in another repository and may change after it was looked at".to_owned()
    } else if pull.draft {
        "it is a draft".to_owned()
    } else {
        return Standing::Ready;
    };
    Standing::Waits(reason)
}

/// What was said against it: a request for changes that stands, or our own word that this head lost
/// its place.
#[must_use]
pub fn objection(
    pull: &PullRequest,
    reviews: &[Review],
    comments: &[Comment],
    login: &str,
) -> Standing {
    let asks = |review: &&Review| review.state == ReviewState::RequestChanges;
    if let Some(review) = reviews.iter().find(asks) {
        let author = text::clean_line(&text::bound(&review.author, NAME_BYTES));
        return Standing::Waits(format!("{author} asks for changes"));
    }
    let told = rejection_mark(&pull.head);
    let ours = |comment: &Comment| {
        comment.author.eq_ignore_ascii_case(login)
            && marker::marker_in(&comment.body) == Some(told.as_str())
    };
    if comments.iter().any(ours) {
        let reason = "this head lost its place; a comment says why";
        return Standing::Waits(reason.to_owned());
    }
    Standing::Ready
}

/// By what timmy knows the comment again with which a head lost its place.
pub(super) fn rejection_mark(head: &ObjectName) -> String {
    marker::mark(&format!("queue/{head}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn pull() -> PullRequest {
        PullRequest {
            number: 7,
            title: "t".to_owned(),
            body: String::new(),
            state: PullState::Open,
            draft: false,
            head_branch: "work".to_owned(),
            head: "a".repeat(40).parse().unwrap(),
            from_fork: false,
            base_branch: "main".to_owned(),
            mergeable: None,
            merge_commit: None,
            labels: vec!["merge".to_owned()],
            author: "ann".to_owned(),
            web_url: String::new(),
        }
    }

    fn reason(change: impl Fn(&mut PullRequest)) -> String {
        let mut pull = pull();
        change(&mut pull);
        match standing(&pull, "main", &MergeQueueSettings::default()) {
            Standing::Ready => "ready".to_owned(),
            Standing::Waits(reason) => reason,
        }
    }

    #[test]
    fn a_label_is_the_wish_and_everything_else_a_reason_to_wait() {
        let told = [
            reason(|_| ()),
            reason(|pull| pull.labels.clear()),
            reason(|pull| pull.base_branch = "ne\u{1b}[31mxt".to_owned()),
            reason(|pull| pull.draft = true),
            reason(|pull| pull.from_fork = true),
            reason(|pull| pull.state = PullState::Merged),
        ];
        insta::assert_snapshot!(told.join("\n"), @"
        ready
        nobody put the label `merge` on it
        it goes to next, not to main
        it is a draft
        its branch is in another repository and may change after it was looked at
        it is not open
        ");
    }

    #[test]
    fn a_request_for_changes_and_a_lost_place_hold() {
        let review = |state| Review {
            id: 1,
            author: "eve".to_owned(),
            state,
            body: String::new(),
            commit: None,
            stale: false,
            comments: Vec::new(),
        };
        let comment = |author: &str, head: &ObjectName| Comment {
            id: 1,
            author: author.to_owned(),
            body: format!("No. {}", rejection_mark(head)),
            created: Timestamp::UNIX_EPOCH,
        };
        let pull = pull();
        let judge =
            |reviews: &[Review], comments: &[Comment]| objection(&pull, reviews, comments, "timmy");
        let asks = Standing::Waits("eve asks for changes".to_owned());
        assert_eq!(asks, judge(&[review(ReviewState::RequestChanges)], &[]));
        let over = [
            review(ReviewState::Dismissed),
            review(ReviewState::Approved),
        ];
        assert_eq!(Standing::Ready, judge(&over, &[]));
        let lost = judge(&[], &[comment("Timmy", &pull.head)]);
        assert!(matches!(lost, Standing::Waits(_)));
        let older = comment("timmy", &"b".repeat(40).parse().unwrap());
        let foreign = comment("eve", &pull.head);
        assert_eq!(Standing::Ready, judge(&[], &[older, foreign]));
    }
}
