//! Reviews, and who may write.

use serde_json::json;
use timmy_core::ObjectName;

use super::Bench;
use crate::forge::Forge;
use crate::review::Review;
use crate::review::ReviewState;

pub(super) async fn check(bench: &mut Bench, number: u64, head: &ObjectName) {
    let index = number.to_string();
    let none = bench.client.reviews(&bench.repo, number).await;
    bench
        .sheet
        .equal("a pull request without reviews", vec![], none);
    let review = json!({
        "event": "COMMENT",
        "body": "Odd",
        "comments": [{"path": "notes.md", "body": "This line", "new_position": 2}],
    });
    let place = ["pulls", index.as_str(), "reviews"];
    let written = bench.client.raw_post(&bench.repo, &place, review).await;
    if bench
        .sheet
        .done("a review with a remark is written", written)
        .is_none()
    {
        return;
    }
    let approval = json!({"event": "APPROVED", "body": "Good"});
    let refused = bench.client.raw_post(&bench.repo, &place, approval).await;
    bench
        .sheet
        .refused("an own pull request is approved", &[507], refused);
    read(bench, number, head).await;
    writers(bench).await;
}

async fn read(bench: &mut Bench, number: u64, head: &ObjectName) {
    let reviews = bench.client.reviews(&bench.repo, number).await;
    let seen = reviews.map(|reviews| {
        let tell = |review: &Review| {
            let remarks = review.comments.iter();
            let remarks = remarks.map(|one| (one.path.clone(), one.line, one.body.clone()));
            (
                review.state,
                review.body.clone(),
                review.commit.as_ref() == Some(head),
                review.stale,
                remarks.collect::<Vec<_>>(),
            )
        };
        reviews.iter().map(tell).collect::<Vec<_>>()
    });
    let remark = ("notes.md".to_owned(), Some(2), "This line".to_owned());
    let expected = (
        ReviewState::Comment,
        "Odd".to_owned(),
        true,
        false,
        vec![remark],
    );
    bench.sheet.equal(
        "it reads (state, text, of the head, stale, remarks)",
        vec![expected],
        seen,
    );
}

async fn writers(bench: &mut Bench) {
    let user = bench.client.user().to_owned();
    let ours = bench.client.is_writer(&bench.repo, &user).await;
    bench.sheet.equal("its owner may write", true, ours);
    let unknown = bench.client.is_writer(&bench.repo, "no-such-login").await;
    bench
        .sheet
        .equal("somebody unknown may write", false, unknown);
}
