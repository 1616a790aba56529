//! Pull requests, without merging.

use serde_json::Value;
use serde_json::json;
use timmy_forge::embedded::Gate;

use crate::forge_server::Answered;
use crate::forge_server::ForgeServer;

const PULLS: &str = "/repos/bot/project/pulls";

async fn offer(server: &ForgeServer, head: &str) -> Answered {
    let body = json!({"title": "Offer", "body": "b", "head": head, "base": "main"});
    server.post(PULLS, body).await
}

#[tokio::test]
async fn a_pull_request_is_made_once_and_found_by_its_branches() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    server
        .post("/repos/bot/project/issues", json!({"title": "first"}))
        .await;
    let head = clone.push_branch("timmy/1-1", "note", "one\n").await;
    let made = offer(&server, "timmy/1-1").await;
    assert_eq!(201, made.status);
    let made = made.json();
    assert_eq!(2, made["number"]);
    assert_eq!(head, made["head"]["sha"]);
    assert_eq!("timmy/1-1", made["head"]["ref"]);
    assert_eq!("main", made["base"]["ref"]);
    assert_eq!(made["base"]["sha"], made["merge_base"]);
    assert_eq!(
        json!(["open", false, false]),
        json!([made["state"], made["merged"], made["draft"]])
    );
    let again = offer(&server, "bot:timmy/1-1").await;
    assert_eq!(409, again.status);
    let message = again.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("pull request already exists for these targets"),
        "{message}"
    );
    for head in ["timmy/1-1", "timmy%2F1-1", "bot:timmy/1-1"] {
        assert_eq!(
            2,
            server.get(&format!("{PULLS}/main/{head}")).await.json()["number"]
        );
    }
    let reference = server
        .get("/repos/bot/project/git/refs/pull/2/head")
        .await
        .json();
    assert_eq!(head, reference[0]["object"]["sha"]);
    let issue = server.get("/repos/bot/project/issues/2").await.json();
    assert_eq!(json!(false), issue["pull_request"]["merged"]);
    let issues = server
        .get("/repos/bot/project/issues?type=issues")
        .await
        .numbers();
    assert_eq!(vec![1], issues);
    assert_eq!(
        vec![2, 1],
        server.get("/repos/bot/project/issues").await.numbers()
    );
}

#[tokio::test]
async fn what_cannot_be_offered_is_refused() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    clone.push_branch("work", "note", "one\n").await;
    assert_eq!(422, offer(&server, "main").await.status);
    assert_eq!(404, offer(&server, "missing").await.status);
    assert_eq!(404, offer(&server, "alice:work").await.status);
    let body = json!({"title": "x", "head": "work", "base": "missing"});
    assert_eq!(404, server.post(PULLS, body).await.status);
    server
        .patch("/repos/bot/project", json!({"archived": true}))
        .await;
    assert_eq!(423, offer(&server, "work").await.status);
}

#[tokio::test]
async fn a_push_moves_the_pull_request_and_a_lost_branch_closes_it() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    clone.push_branch("work", "note", "one\n").await;
    offer(&server, "work").await;
    let head = clone.push_more("work", "note", "two\n").await;
    let pull = server.get(&format!("{PULLS}/1")).await.json();
    assert_eq!(
        (json!(head), json!("open")),
        (pull["head"]["sha"].clone(), pull["state"].clone())
    );
    let offered = clone
        .run(&["ls-remote", "origin", "refs/pull/1/head"])
        .await;
    assert!(offered.starts_with(&head), "{offered}");
    clone.run(&["push", "-q", "origin", ":work"]).await;
    let pull = server.get(&format!("{PULLS}/1")).await.json();
    assert_eq!(
        (json!(head), json!("closed")),
        (pull["head"]["sha"].clone(), pull["state"].clone())
    );
}

#[tokio::test]
async fn whether_it_merges_is_found_out_later() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    clone.push_branch("work", "note", "one\n").await;
    let gate = Gate::new();
    server.faults.hold_merge_checks(gate.clone());
    assert_eq!(
        json!(false),
        offer(&server, "work").await.json()["mergeable"]
    );
    gate.reached().await;
    let early = server
        .post(&format!("{PULLS}/1/merge"), json!({"Do": "merge"}))
        .await;
    assert_eq!(405, early.status);
    assert_eq!("Please try again later", early.json()["message"]);
    gate.open();
    while server.get(&format!("{PULLS}/1")).await.json()["mergeable"] != json!(true) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_pull_request_is_edited_like_an_issue() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    clone.push_branch("work", "note", "one\n").await;
    clone.push_branch("other-base", "more", "one\n").await;
    offer(&server, "work").await;
    let place = format!("{PULLS}/1");
    let edited = server
        .patch(&place, json!({"title": "WIP: Offer", "body": "new"}))
        .await;
    assert_eq!(
        (201, json!(true)),
        (edited.status, edited.json()["draft"].clone())
    );
    let edited = server
        .patch(&place, json!({"base": "other-base"}))
        .await
        .json();
    assert_eq!("other-base", edited["base"]["ref"]);
    assert_eq!("new", edited["body"]);
    assert_eq!(
        404,
        server
            .patch(&place, json!({"base": "missing"}))
            .await
            .status
    );
    let closed = server
        .patch(&place, json!({"state": "closed"}))
        .await
        .json();
    assert_eq!("closed", closed["state"]);
    let by_base = server
        .get(&format!("{PULLS}?state=all&base_branch=other-base"))
        .await;
    assert_eq!(vec![1], by_base.numbers());
    let by_base = server
        .get(&format!("{PULLS}?state=all&base_branch=zzz"))
        .await;
    assert_eq!(Vec::<u64>::new(), by_base.numbers());
    assert_eq!(Vec::<u64>::new(), server.get(PULLS).await.numbers());
}

#[tokio::test]
async fn files_diff_patch_and_commits_tell_the_change() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    clone.push_branch("work", "note", "one\n").await;
    clone.run(&["mv", "README.md", "ABOUT.md"]).await;
    std::fs::write(clone.path.join("picture"), [0, 159, 146, 150]).unwrap();
    clone.push_more("work", "note", "one\ntwo\n").await;
    offer(&server, "work").await;
    let files = server.get(&format!("{PULLS}/1/files")).await.json();
    let told: Vec<Value> = files
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            json!([
                file["filename"],
                file["status"],
                file["additions"],
                file["previous_filename"]
            ])
        })
        .collect();
    assert_eq!(
        json!([
            ["ABOUT.md", "renamed", 0, "README.md"],
            ["note", "added", 2, null],
            ["picture", "added", 0, null],
        ]),
        json!(told)
    );
    let diff = server.get(&format!("{PULLS}/1.diff")).await;
    assert!(diff.header("content-type").starts_with("text/plain"));
    let diff = String::from_utf8(diff.body).unwrap();
    assert!(
        diff.contains("+two") && diff.contains("rename to ABOUT.md"),
        "{diff}"
    );
    let patch = String::from_utf8(server.get(&format!("{PULLS}/1.patch")).await.body).unwrap();
    assert!(patch.contains("Subject: [PATCH 1/2] Write note"), "{patch}");
    let commits = server.get(&format!("{PULLS}/1/commits")).await.json();
    assert_eq!("Write note\n", commits[1]["commit"]["message"]);
    assert_eq!(2, commits.as_array().unwrap().len());
}

#[tokio::test]
async fn nobody_approves_his_own() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    let head = clone.push_branch("work", "note", "one\n").await;
    offer(&server, "work").await;
    let place = format!("{PULLS}/1/reviews");
    for event in ["APPROVED", "REQUEST_CHANGES"] {
        let own = server
            .post(&place, json!({"event": event, "body": "b"}))
            .await;
        assert_eq!(422, own.status);
        assert!(
            own.json()["message"]
                .as_str()
                .unwrap()
                .ends_with("your own pull is not allowed")
        );
    }
    let comment = server
        .post(&place, json!({"event": "COMMENT", "body": "b"}))
        .await;
    assert_eq!(
        (200, json!("COMMENT")),
        (comment.status, comment.json()["state"].clone())
    );
    let path = "/repos/bot/project/collaborators/alice";
    server
        .ask(
            http::Method::PUT,
            path,
            &server.bot,
            json!({"permission": "read"}),
        )
        .await;
    let review = json!({
        "event": "APPROVED",
        "comments": [{"path": "note", "body": "fine", "new_position": 1}],
    });
    let hers = server
        .ask(http::Method::POST, &place, &server.alice, review)
        .await
        .json();
    assert_eq!(
        json!(["APPROVED", 1, false]),
        json!([hers["state"], hers["comments_count"], hers["stale"]])
    );
    assert_eq!(head, hers["commit_id"]);
    let remarks = format!("{place}/{}/comments", hers["id"]);
    let remarks = server.get(&remarks).await.json();
    assert_eq!(
        json!(["note", 1, "fine", "alice"]),
        json!([
            remarks[0]["path"],
            remarks[0]["position"],
            remarks[0]["body"],
            remarks[0]["user"]["login"]
        ])
    );
    clone.push_more("work", "note", "two\n").await;
    let again = json!({"event": "REQUEST_CHANGES", "body": "no"});
    server
        .ask(http::Method::POST, &place, &server.alice, again)
        .await;
    let reviews = server.get(&place).await.json();
    assert_eq!(json!(true), reviews[1]["stale"]);
    let dismissed: Vec<&Value> = (0..3).map(|n| &reviews[n]["dismissed"]).collect();
    assert_eq!(json!([false, true, false]), json!(dismissed));
    assert_eq!(
        404,
        server.get(&format!("{place}/99/comments")).await.status
    );
}

#[tokio::test]
async fn a_base_that_moves_is_no_change_of_a_pull_request() {
    let server = ForgeServer::start().await;
    let clone = server.clone_project("one").await;
    clone.push_branch("work", "note", "one\n").await;
    offer(&server, "work").await;
    let updated = async || {
        let found = server.tables.pull(1, 1).await.unwrap().unwrap();
        (found.issue.updated_at, found.head)
    };
    let before = updated().await;
    clone.run(&["checkout", "-q", "main"]).await;
    clone.push_more("main", "other", "two\n").await;
    assert_eq!(before, updated().await);
    clone.run(&["checkout", "-q", "work"]).await;
    clone.push_more("work", "note", "two\n").await;
    assert!(updated().await.0 > before.0);
}
