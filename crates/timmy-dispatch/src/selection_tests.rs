use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

fn issue(number: IssueNumber, title: &str, labels: &[&str]) -> Issue {
    Issue {
        number,
        title: title.to_owned(),
        body: String::new(),
        body_bytes: 0,
        state: IssueState::Open,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        assignees: Vec::new(),
        author: "alice".to_owned(),
        created: Timestamp::UNIX_EPOCH,
        updated: Timestamp::UNIX_EPOCH,
        comment_count: 0,
        web_url: String::new(),
    }
}

fn candidate(issue: Issue) -> Candidate {
    Candidate {
        issue,
        blockers: Some(Vec::new()),
        claim: None,
        past: Past::default(),
    }
}

fn reason(candidate: &Candidate) -> Option<String> {
    let answers = judge(candidate, &SelectionSettings::default(), "timmy");
    failure(&answers).map(str::to_owned)
}

#[test]
fn a_plain_open_issue_passes_every_rule() {
    let answers = judge(
        &candidate(issue(1, "Sum is wrong", &["bug"])),
        &SelectionSettings::default(),
        "timmy",
    );
    assert!(
        answers.iter().all(|answer| answer.passed == Some(true)),
        "{answers:?}"
    );
}

#[test]
fn each_rule_can_fail_and_says_why() {
    let mut cases = Vec::new();
    let mut closed = candidate(issue(1, "x", &[]));
    closed.issue.state = IssueState::Closed;
    cases.push(reason(&closed));
    cases.push(reason(&candidate(issue(1, "x", &["Kind/Epic"]))));
    cases.push(reason(&candidate(issue(1, "[STUDY] how fast is it", &[]))));
    let report = "[timmy report] the night since 2026-01-31 22:00 +00:00";
    cases.push(reason(&candidate(issue(1, report, &[]))));
    let mut taken = candidate(issue(1, "x", &[]));
    taken.issue.assignees = vec!["Timmy".to_owned(), "bob".to_owned()];
    cases.push(reason(&taken));
    let past = |past| {
        reason(&Candidate {
            past,
            ..candidate(issue(1, "x", &[]))
        })
    };
    cases.push(past(Past {
        open_pull: Some(7),
        ..Past::default()
    }));
    cases.push(past(Past {
        refused_pull: Some(8),
        ..Past::default()
    }));
    cases.push(past(Past {
        merged_pull: Some(9),
        ..Past::default()
    }));
    cases.push(past(Past {
        failed_attempts: 3,
        ..Past::default()
    }));
    let blockers = Some(vec![
        Blocker {
            number: 4,
            open: true,
        },
        Blocker {
            number: 5,
            open: false,
        },
    ]);
    cases.push(reason(&Candidate {
        blockers,
        ..candidate(issue(1, "x", &[]))
    }));
    let claim = Some("host b holds its claim".to_owned());
    cases.push(reason(&Candidate {
        claim,
        ..candidate(issue(1, "x", &[]))
    }));
    insta::assert_debug_snapshot!(cases);
}

#[test]
fn words_are_whole_words() {
    for title in ["Epic fail in parser", "Studying the log", "epics: a list"] {
        assert_eq!(
            None,
            reason(&candidate(issue(1, title, &["epicurean"]))),
            "{title}"
        );
    }
    for title in ["EPIC: everything", "(epic) all", "Study - speed"] {
        assert!(
            reason(&candidate(issue(1, title, &[]))).is_some(),
            "{title}"
        );
    }
}

#[test]
fn the_most_urgent_comes_first_then_the_oldest() {
    let mut issues = vec![
        issue(9, "", &["P2"]),
        issue(8, "", &[]),
        issue(7, "", &["P1"]),
        issue(6, "", &[]),
        issue(5, "", &["priority/P0"]),
        issue(4, "", &["P3"]),
    ];
    order(&mut issues, &SelectionSettings::default());
    assert_eq!(
        [5, 7, 6, 8, 9, 4],
        issues.iter().map(|i| i.number).collect::<Vec<_>>()[..]
    );
}

proptest! {
    #[test]
    fn any_title_and_label_is_judged_without_panic(title in any::<String>(), label in any::<String>()) {
        let answers = judge(&candidate(issue(1, &title, &[&label])), &SelectionSettings::default(), "timmy");
        prop_assert_eq!(9, answers.len());
    }
}
