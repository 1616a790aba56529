//! What is heard, and what follows.

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use timmy_forge::ReviewComment;
use timmy_forge::marker;

use super::*;

fn name(digit: char) -> ObjectName {
    digit.to_string().repeat(40).parse().unwrap()
}

fn comment(id: u64, author: &str, body: &str) -> Comment {
    Comment {
        id,
        author: author.to_owned(),
        body: body.to_owned(),
        created: Timestamp::UNIX_EPOCH,
    }
}

fn review(id: u64, author: &str, state: ReviewState, body: &str) -> Review {
    Review {
        id,
        author: author.to_owned(),
        state,
        body: body.to_owned(),
        commit: None,
        stale: false,
        comments: Vec::new(),
    }
}

fn status(context: &str, state: StatusState) -> Status {
    Status {
        context: context.to_owned(),
        state,
        description: "2 failed".to_owned(),
        target_url: "http://ci/1".to_owned(),
    }
}

/// What a listener called `timmy` hears from everybody.
fn heard(comments: &[Comment], reviews: &[Review], statuses: &[Status]) -> Vec<Feedback> {
    let head = name('a');
    let said = Said {
        comments,
        reviews,
        statuses,
        head: &head,
    };
    let redactor = Redactor::default();
    feedback(&said, &listener(&redactor, &BTreeSet::new()))
}

fn listener<'a>(redactor: &'a Redactor, taken: &'a BTreeSet<String>) -> Listener<'a> {
    Listener {
        login: "timmy",
        heard: None,
        contexts: &[],
        taken,
        redactor,
    }
}

fn ids(items: &[Feedback]) -> Vec<&str> {
    items.iter().map(|item| item.id.as_str()).collect()
}

#[test]
fn requests_remarks_and_failures_are_work() {
    let mut remarks = review(8, "ann", ReviewState::Comment, "");
    remarks.comments.push(ReviewComment {
        id: 1,
        author: "ann".to_owned(),
        path: "src/lib.rs".to_owned(),
        line: Some(7),
        body: "off by one".to_owned(),
    });
    let reviews = [
        review(7, "ci-bot", ReviewState::RequestChanges, "Secrets found"),
        remarks,
    ];
    let comments = [comment(12, "bob", "Thanks! Could you add a test?")];
    let statuses = [
        status("ci/test", StatusState::Failure),
        status("ci/lint", StatusState::Error),
    ];
    let items = heard(&comments, &reviews, &statuses);
    assert_eq!(
        vec![
            "review 7",
            "review 8",
            "comment 12",
            "status ci/test aaaaaaaaaa",
            "status ci/lint aaaaaaaaaa"
        ],
        ids(&items)
    );
    assert_eq!("src/lib.rs:7: off by one", items[1].text);
    assert_eq!("2 failed\nhttp://ci/1", items[3].text);
}

#[test]
fn approvals_courtesies_robots_and_own_words_are_not() {
    let own = format!("Please look {}", marker::mark("run/1"));
    let comments = [
        comment(1, "Timmy", "Add a test"),
        comment(2, "bob", "Thanks, looks good to me! \u{1f44d}"),
        comment(3, "bob", " \n"),
        comment(4, "coverage-bot", "Coverage is 80 %"),
        comment(5, "other-host", &own),
        comment(6, "", "From nobody"),
    ];
    let reviews = [
        review(1, "ann", ReviewState::Approved, "But rename it"),
        review(2, "ann", ReviewState::Pending, "Not sent"),
        review(3, "ann", ReviewState::Dismissed, "Withdrawn"),
        review(4, "ann", ReviewState::Comment, "LGTM"),
        review(5, "timmy", ReviewState::RequestChanges, "Own"),
    ];
    let statuses = [
        status("ci/test", StatusState::Pending),
        status("ci/fast", StatusState::Success),
        status("ci/warn", StatusState::Warning),
        status("timmy/check", StatusState::Failure),
    ];
    assert_eq!(
        Vec::<Feedback>::new(),
        heard(&comments, &reviews, &statuses)
    );
}

#[test]
fn only_the_voices_and_contexts_that_count_are_heard() {
    let head = name('a');
    let said = Said {
        comments: &[
            comment(1, "ann", "Rename it"),
            comment(2, "eve", "Delete it"),
        ],
        reviews: &[review(3, "eve", ReviewState::RequestChanges, "No")],
        statuses: &[
            status("required", StatusState::Failure),
            status("optional", StatusState::Failure),
        ],
        head: &head,
    };
    assert_eq!(BTreeSet::from(["ann", "eve"]), said.authors());
    let writers = BTreeSet::from(["ann".to_owned()]);
    let contexts = ["required".to_owned()];
    let (redactor, taken) = (Redactor::default(), BTreeSet::new());
    let strict = Listener {
        heard: Some(&writers),
        contexts: &contexts,
        ..listener(&redactor, &taken)
    };
    assert_eq!(
        vec!["comment 1", "status required aaaaaaaaaa"],
        ids(&feedback(&said, &strict))
    );
}

#[test]
fn where_it_stands_decides_before_what_was_said() {
    let (ours, theirs) = (name('a'), name('b'));
    let said = vec![Feedback {
        id: "comment 1".to_owned(),
        author: "ann".to_owned(),
        text: "Rename it".to_owned(),
    }];
    let settings = FollowUpSettings::default();
    let facts = PullFacts {
        state: PullState::Open,
        head: &ours,
        pushed: &ours,
        answered: 2,
        issue_is_open: true,
    };
    let judge = |facts: PullFacts<'_>| verdict(&facts, said.clone(), &settings);
    assert_eq!(Verdict::Answer(said.clone()), judge(facts));
    assert_eq!(Verdict::Wait, verdict(&facts, Vec::new(), &settings));
    assert_eq!(
        Verdict::Enough,
        judge(PullFacts {
            answered: 3,
            ..facts
        })
    );
    assert_eq!(
        Verdict::EditedByPerson,
        judge(PullFacts {
            head: &theirs,
            ..facts
        })
    );
    // What became of it counts, whoever pushed last.
    let merged = PullFacts {
        state: PullState::Merged,
        head: &theirs,
        ..facts
    };
    assert_eq!(Verdict::Merged { close_issue: true }, judge(merged));
    let closed = PullFacts {
        state: PullState::Closed,
        head: &theirs,
        ..facts
    };
    assert_eq!(Verdict::Refused, judge(closed));
    let off = FollowUpSettings {
        enabled: false,
        ..settings.clone()
    };
    assert_eq!(Verdict::Wait, verdict(&facts, said.clone(), &off));
}

fn any_review() -> impl Strategy<Value = Review> {
    let state = prop_oneof![
        Just(ReviewState::Approved),
        Just(ReviewState::RequestChanges),
        Just(ReviewState::Comment),
        Just(ReviewState::Dismissed),
    ];
    let remark = ("\\PC{0,300}", "\\PC{0,40}").prop_map(|(path, body)| ReviewComment {
        id: 1,
        author: String::new(),
        path,
        line: None,
        body,
    });
    (
        0_u64..9,
        "timmy|Timmy|ann|\\PC{0,300}",
        state,
        "\\PC{0,300}",
        vec(remark, 0..3),
    )
        .prop_map(|(id, author, state, body, comments)| Review {
            comments,
            ..review(id, &author, state, &body)
        })
}

fn any_comment() -> impl Strategy<Value = Comment> {
    let long = format!("\u{1b}[31m{}", "x".repeat(2 * TEXT_BYTES));
    let body = prop_oneof![4 => "\\PC{0,20}", 1 => Just(long)];
    let parts = (0_u64..9, "timmy|TIMMY|ann|[a-z]{0,3}", body);
    parts.prop_map(|(id, author, body)| comment(id, &author, &body))
}

proptest! {
    #[test]
    fn everything_is_taken_once_and_nothing_is_ours(
        comments in vec(any_comment(), 0..8),
        reviews in vec(any_review(), 0..24),
        contexts in vec("\\PC{0,300}", 0..4),
    ) {
        let statuses: Vec<Status> =
            contexts.iter().map(|context| status(context, StatusState::Failure)).collect();
        let head = name('a');
        let said = Said { comments: &comments, reviews: &reviews, statuses: &statuses, head: &head };
        let redactor = Redactor::default();
        let mut taken = BTreeSet::new();
        for _answer in 0..4 {
            let items = feedback(&said, &listener(&redactor, &taken));
            prop_assert!(items.len() <= ITEMS);
            for item in items {
                prop_assert!(!item.author.eq_ignore_ascii_case("timmy"));
                prop_assert!(item.text.len() <= TEXT_BYTES + 64);
                prop_assert!(item.author.len() <= NAME_BYTES + 64 && item.id.len() <= NAME_BYTES + 99);
                prop_assert!(!item.text.chars().any(|c| c as u32 == 27));
                prop_assert!(taken.insert(item.id.clone()), "{} came twice", item.id);
            }
        }
        prop_assert_eq!(Vec::<Feedback>::new(), feedback(&said, &listener(&redactor, &taken)));
    }

    #[test]
    fn any_text_can_be_judged(said in any::<String>()) {
        is_work(&said);
    }
}
