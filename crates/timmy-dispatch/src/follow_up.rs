//! What becomes of an own pull request after it was opened.
//!
//! - [`feedback`] is what people and checks said that nobody has answered yet;
//! - [`verdict`] is what follows from that and from where the pull request stands.
//!
//! # Rules
//! - Each thing said is taken once: its id is in the log with the run that answered it.
//! - Own words start nothing, nor do other robots', unless they ask for changes.
//! - A branch that holds anything but what the log pushed last is a person's.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;
use timmy_core::ObjectName;
use timmy_core::Redactor;
use timmy_core::event::Feedback;
use timmy_core::text;
use timmy_forge::Comment;
use timmy_forge::PullState;
use timmy_forge::Review;
use timmy_forge::ReviewState;
use timmy_forge::Status;
use timmy_forge::StatusState;
use timmy_forge::marker::marker_in;

/// The longest text of one thing said, in bytes.
const TEXT_BYTES: usize = 8 << 10;
/// The longest path or context, in bytes.
const NAME_BYTES: usize = 200;
/// The most things that one answer takes up. What is left is taken up by the next.
const ITEMS: usize = 20;
/// Statuses of timmy's own.
const OWN_CONTEXT: &str = "timmy/";
/// How the logins of robots end, in lower case. A forge does not say who is one.
const ROBOTS: [&str; 3] = ["[bot]", "-bot", "_bot"];
/// What a comment may consist of that asks for nothing.
const COURTESIES: [&str; 32] = [
    "+1", "a", "again", "all", "approve", "approved", "awesome", "cheers", "cool", "for", "good",
    "great", "it", "job", "lgtm", "looks", "me", "merged", "merging", "much", "nice", "ok", "okay",
    "perfect", "so", "thank", "thanks", "this", "to", "very", "work", "you",
];

/// `[follow_up]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FollowUpSettings {
    /// Whether what is said about own pull requests is answered by another attempt.
    pub enabled: bool,
    /// The most attempts that answer, per pull request.
    pub attempts: u32,
    /// Whose words count.
    pub from: Voices,
}

impl Default for FollowUpSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            attempts: 3,
            from: Voices::Writers,
        }
    }
}

/// Whose words count. A failing commit status always does: only writers can set one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Voices {
    /// Those who may push to the repository; see [`timmy_forge::Forge::is_writer`].
    Writers,
    /// Everybody who can comment.
    Anyone,
}

/// What was said about an own pull request.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Its comments.
    pub comments: &'a [Comment],
    /// Its reviews.
    pub reviews: &'a [Review],
    /// The newest status of each context of its head.
    pub statuses: &'a [Status],
    /// Its head.
    pub head: &'a ObjectName,
}

impl Said<'_> {
    /// Everybody who said something, so that their rights can be looked up.
    #[must_use]
    pub fn authors(&self) -> BTreeSet<&str> {
        let comments = self.comments.iter().map(|comment| comment.author.as_str());
        let reviews = self.reviews.iter().map(|review| review.author.as_str());
        comments.chain(reviews).collect()
    }
}

/// Who listens.
#[derive(Debug, Clone, Copy)]
pub struct Listener<'a> {
    /// Our own login.
    pub login: &'a str,
    /// The logins whose words count; `None` for everybody's.
    pub heard: Option<&'a BTreeSet<String>>,
    /// The contexts whose failure counts; every one when none is named.
    pub contexts: &'a [String],
    /// The ids of what was taken up before.
    pub taken: &'a BTreeSet<String>,
    /// What must not be shown.
    pub redactor: &'a Redactor,
}

/// What was said and is to be answered: reviews, then comments, then checks, oldest first, at most
/// twenty. Approvals and thanks are not work.
#[must_use]
pub fn feedback(said: &Said<'_>, listener: &Listener<'_>) -> Vec<Feedback> {
    let reviews = said.reviews.iter().filter_map(|one| listener.review(one));
    let comments = said.comments.iter().filter_map(|one| listener.comment(one));
    let statuses = said.statuses.iter();
    let statuses = statuses.filter_map(|one| listener.status(one, said.head));
    let mut ids = BTreeSet::new();
    reviews
        .chain(comments)
        .chain(statuses)
        .filter(|item| !listener.taken.contains(&item.id) && ids.insert(item.id.clone()))
        .take(ITEMS)
        .collect()
}

impl Listener<'_> {
    fn hears(&self, author: &str) -> bool {
        let ours = author.eq_ignore_ascii_case(self.login);
        let heard = self.heard.is_none_or(|heard| heard.contains(author));
        !ours && !author.is_empty() && heard
    }

    fn review(&self, review: &Review) -> Option<Feedback> {
        let asks = match review.state {
            ReviewState::RequestChanges => true,
            ReviewState::Comment => {
                let says = !review.comments.is_empty() || is_work(&review.body);
                says && !is_robot(&review.author)
            }
            ReviewState::Approved | ReviewState::Pending | ReviewState::Dismissed => false,
        };
        if !asks || !self.hears(&review.author) {
            return None;
        }
        let mut said = review.body.clone();
        for remark in &review.comments {
            let path = text::bound(&remark.path, NAME_BYTES);
            let line = remark.line.map(|line| format!(":{line}"));
            let place = format!("{}{}", text::clean_line(&path), line.unwrap_or_default());
            said.push_str(&format!("\n\n{place}: {}", remark.body));
        }
        let id = format!("review {}", review.id);
        Some(self.item(id, &review.author, &said))
    }

    fn comment(&self, comment: &Comment) -> Option<Feedback> {
        let marked = marker_in(&comment.body).is_some();
        let asks = is_work(&comment.body) && !marked && !is_robot(&comment.author);
        let id = format!("comment {}", comment.id);
        (asks && self.hears(&comment.author)).then(|| self.item(id, &comment.author, &comment.body))
    }

    fn status(&self, status: &Status, head: &ObjectName) -> Option<Feedback> {
        let failed = match status.state {
            StatusState::Failure | StatusState::Error => true,
            StatusState::Pending | StatusState::Success | StatusState::Warning => false,
        };
        let named = self.contexts.is_empty() || self.contexts.contains(&status.context);
        if !failed || !named || status.context.starts_with(OWN_CONTEXT) {
            return None;
        }
        let context = text::clean_line(&text::bound(&status.context, NAME_BYTES));
        let said = format!("{}\n{}", status.description, status.target_url);
        // The same check may fail again on the commit that answers this.
        let id = format!("status {context} {}", head.short());
        Some(self.item(id, &context, &said))
    }

    fn item(&self, id: String, author: &str, said: &str) -> Feedback {
        let author = text::clean_line(&text::bound(author, NAME_BYTES));
        let said = self.redactor.redact(&text::clean(said));
        Feedback {
            id,
            author: self.redactor.redact(&author),
            text: text::bound(said.trim(), TEXT_BYTES).into_owned(),
        }
    }
}

fn is_robot(login: &str) -> bool {
    let login = login.to_ascii_lowercase();
    ROBOTS.iter().any(|end| login.ends_with(end))
}

/// Whether a text asks for anything: it is neither empty nor made of courtesies alone.
fn is_work(said: &str) -> bool {
    let said = text::clean(said).to_lowercase();
    let mut words = said
        .split(|c: char| !c.is_alphanumeric() && c != '+')
        .filter(|word| !word.is_empty());
    words.any(|word| !COURTESIES.contains(&word))
}

/// Where an own pull request stands.
#[derive(Debug, Clone, Copy)]
pub struct PullFacts<'a> {
    /// As the forge says.
    pub state: PullState,
    /// The commit at the end of its branch.
    pub head: &'a ObjectName,
    /// The commit that our log pushed to it last.
    pub pushed: &'a ObjectName,
    /// Attempts that answered something said about it, however they ended.
    pub answered: u32,
    /// Whether the issue it is for is open.
    pub issue_is_open: bool,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was said that needs an answer.
    Wait,
    /// One more attempt on the same branch answers this.
    Answer(Vec<Feedback>),
    /// Something was said, but it was answered as often as it may be. People go on.
    Enough,
    /// Its branch holds somebody else's commits. It is not touched any more.
    EditedByPerson,
    /// Its work is in the base branch: its workspace is freed.
    Merged {
        /// Whether the forge left the issue open.
        close_issue: bool,
    },
    /// It was closed, which is an answer: its issue is not taken up again.
    Refused,
}

/// What follows for an own pull request from where it stands and from what was said.
#[must_use]
pub fn verdict(facts: &PullFacts<'_>, said: Vec<Feedback>, settings: &FollowUpSettings) -> Verdict {
    match facts.state {
        PullState::Merged => {
            return Verdict::Merged {
                close_issue: facts.issue_is_open,
            };
        }
        PullState::Closed => return Verdict::Refused,
        PullState::Open => {}
    }
    if facts.head != facts.pushed {
        Verdict::EditedByPerson
    } else if said.is_empty() || !settings.enabled {
        Verdict::Wait
    } else if facts.answered >= settings.attempts {
        Verdict::Enough
    } else {
        Verdict::Answer(said)
    }
}

#[cfg(test)]
#[path = "follow_up_tests.rs"]
mod tests;
