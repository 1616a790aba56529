//! Listing issues: pages, labels, states.

use serde_json::json;

use super::Bench;
use crate::error::ForgeError;
use crate::forge::Forge;
use crate::types::Issue;
use crate::types::IssueFilter;
use crate::types::IssueUpdate;
use crate::types::NewIssue;
use crate::types::NewLabel;
use crate::types::StateFilter;

/// More than a page of any size that a server gives.
const ISSUES: u64 = 55;
/// The page size that Gitea and Forgejo do not go beyond.
const PAGE: usize = 50;
const FIRST: &str = "First \u{2713}";
const TEXT: &str = "A line.\n\n- [ ] caf\u{e9} \u{1f980}\n\n```\n<b>&amp;\u{200b}</b>\n```\n";

pub(super) async fn check(bench: &mut Bench) {
    if labels(bench).await.is_none() || write(bench).await.is_none() {
        return;
    }
    let all = list(bench, StateFilter::Open, &[]).await;
    let expected: Vec<u64> = (1..=ISSUES).rev().collect();
    let same = all.map(|all| all == expected);
    bench
        .sheet
        .equal("55 issues on two pages, newest first", true, same);
    let page = page_of(bench, &[("state", "open"), ("limit", "100")]).await;
    bench.sheet.usual("a page of 100 holds", PAGE, page);
    let page = page_of(bench, &[("labels", "no-such-label"), ("limit", "50")]).await;
    bench
        .sheet
        .usual("a filter by an unknown label lets through", PAGE, page);

    let one = list(bench, StateFilter::Open, &["todo"]).await;
    bench.sheet.equal("issues with one label", vec![3, 2], one);
    let both = list(bench, StateFilter::Open, &["todo", "night shift"]).await;
    bench
        .sheet
        .equal("issues with both of two labels", vec![2], both);
    let none = list(bench, StateFilter::Open, &["no-such-label"]).await;
    bench
        .sheet
        .equal("issues with a label that does not exist", vec![], none);
    let other = list(bench, StateFilter::Open, &["TODO"]).await;
    bench
        .sheet
        .equal("labels are told apart by case", vec![], other);

    let double = json!({"name": "todo", "color": "#aabb00"});
    let double = bench
        .client
        .raw_post(&bench.repo, &["labels"], double)
        .await;
    let made = match double {
        Ok(()) => Ok(true),
        Err(ForgeError::Conflict(_) | ForgeError::Validation(_)) => Ok(false),
        Err(error) => Err(error),
    };
    bench
        .sheet
        .usual("a second label of one name is made", true, made);
    let same = list(bench, StateFilter::Open, &["todo"]).await;
    bench
        .sheet
        .equal("issues with a label that exists twice", vec![3, 2], same);
    editing(bench).await;
    closing(bench).await;
}

async fn editing(bench: &mut Bench) {
    let update = IssueUpdate {
        title: None,
        body: Some(format!("Changed.\n\n{TEXT}")),
    };
    let edited = bench.client.edit_issue(&bench.repo, 1, &update).await;
    if bench
        .sheet
        .done("the text of an issue is replaced", edited)
        .is_none()
    {
        return;
    }
    let now = bench.client.issue(&bench.repo, 1).await;
    let as_wanted = now.map(|issue| {
        let body = update.body.as_deref().unwrap_or_default();
        issue.title == FIRST && issue.body.trim_end() == body.trim_end()
    });
    bench
        .sheet
        .equal("its title stays as it was", true, as_wanted);
}

async fn closing(bench: &mut Bench) {
    let closed = bench.client.close_issue(&bench.repo, ISSUES).await;
    if bench.sheet.done("an issue is closed", closed).is_some() {
        let closed = list(bench, StateFilter::Closed, &[]).await;
        bench.sheet.equal("closed issues", vec![ISSUES], closed);
        let open = list(bench, StateFilter::Open, &[]).await;
        let count = open.map(|numbers| numbers.len() as u64);
        bench.sheet.equal("open issues, counted", ISSUES - 1, count);
        let again = bench.client.close_issue(&bench.repo, ISSUES).await;
        bench.sheet.done("closing it again", again);
        let counts = bench.client.counts(&bench.repo).await;
        let counted = counts.map(|counts| (counts.open_issues, counts.open_pulls, counts.commits));
        bench.sheet.equal(
            "short lists say (open issues, open pull requests, commits)",
            (ISSUES - 1, 0, 1),
            counted,
        );
    }
}

async fn labels(bench: &mut Bench) -> Option<()> {
    let mut ids = Vec::new();
    for name in ["todo", "night shift", "todo"] {
        let new = NewLabel {
            name: name.to_owned(),
            color: "00aabb".to_owned(),
            description: "of the check".to_owned(),
        };
        let label = bench.client.create_label(&bench.repo, &new).await;
        match label {
            Ok(label) => ids.push(label.id),
            Err(error) => return bench.sheet.done("labels are made", Err(error)),
        }
    }
    let same = Ok::<_, ForgeError>(ids.first() == ids.last());
    bench.sheet.equal("a label made twice is one", true, same);
    Some(())
}

async fn write(bench: &mut Bench) -> Option<()> {
    let first = NewIssue {
        title: FIRST.to_owned(),
        body: TEXT.to_owned(),
        labels: Vec::new(),
    };
    let issue = bench.client.create_issue(&bench.repo, &first).await;
    let same = issue
        .as_ref()
        .is_ok_and(|issue| issue.title == first.title && issue.body.trim_end() == TEXT.trim_end());
    bench.sheet.done("an issue is opened", issue)?;
    let same = Ok::<_, ForgeError>(same);
    bench
        .sheet
        .equal("title and text come back as they were", true, same);
    let labelled = [
        vec!["todo".to_owned(), "night shift".to_owned()],
        vec!["todo".to_owned()],
    ];
    let rest = ISSUES - 1 - labelled.len() as u64;
    let unlabelled = std::iter::repeat_n(Vec::new(), usize::try_from(rest).unwrap_or(0));
    for labels in labelled.into_iter().chain(unlabelled) {
        let new = NewIssue {
            title: "One of many".to_owned(),
            labels,
            ..NewIssue::default()
        };
        if let Err(error) = bench.client.create_issue(&bench.repo, &new).await {
            return bench.sheet.done("55 issues are opened", Err(error));
        }
    }
    Some(())
}

async fn list(bench: &Bench, state: StateFilter, labels: &[&str]) -> Result<Vec<u64>, ForgeError> {
    let filter = IssueFilter {
        state,
        labels: labels.iter().map(|name| (*name).to_owned()).collect(),
    };
    let issues: Vec<Issue> = bench.client.issues(&bench.repo, &filter).await?;
    Ok(issues.iter().map(|issue| issue.number).collect())
}

/// How many issues the server puts on one page.
async fn page_of(bench: &Bench, query: &[(&str, &str)]) -> Result<usize, ForgeError> {
    let found = bench
        .client
        .raw_list(&bench.repo, &["issues"], query)
        .await?;
    Ok(found.len())
}
