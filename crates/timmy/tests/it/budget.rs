//! What `timmy budget` tells.

use serde_json::Value;
use serde_json::json;

use crate::home::Home;
use crate::home::mender;
use crate::home::provider;

#[tokio::test]
async fn a_sprint_is_booked_at_every_scope() {
    let home = Home::with_project().await;
    let model = mender().await;
    let mut settings = provider("generic", &model.base_url());
    settings.push_str("[budget.per_issue]\ntokens = 1000000\n");
    home.configure_small(&settings);
    home.json(&["sprint"]).await.well();
    let budget = home.json(&["budget", "--recount"]).await.well().json();
    let scopes = budget["scopes"].as_array().unwrap();
    let of = |scope: &str| -> &Value {
        let found = scopes.iter().find(|row| row["scope"] == scope);
        found.unwrap_or_else(|| panic!("no {scope}: {budget}"))
    };
    let spent = &of("fleet")["spent"];
    assert!(spent["input_tokens"].as_u64() > Some(0), "{budget}");
    for scope in ["day", "repository", "issue"] {
        assert_eq!(spent, &of(scope)["spent"], "{scope}");
        assert_eq!(json!(0), of(scope)["reserved"]["input_tokens"], "{scope}");
    }
    assert_eq!("timmy/small#1", of("issue")["of"]);
    let tokens = |usage: &Value| {
        let figure = |name: &str| usage[name].as_u64().unwrap();
        figure("input_tokens") + figure("output_tokens")
    };
    assert_eq!(
        json!(1_000_000 - tokens(spent)),
        of("issue")["left"]["tokens"]
    );
    assert_eq!(Value::Null, of("day")["left"]["tokens"]);
    // One pull request is open and none is merged: there is no price yet.
    assert_eq!(
        (json!(1), json!(0)),
        (
            budget["merged"]["runs"].clone(),
            budget["merged"]["merged"].clone()
        )
    );
    assert_eq!(Value::Null, budget["merged"]["cost_each"]);
    let told = home
        .run(&["budget", "--repo", "timmy/small"])
        .await
        .well()
        .stdout;
    assert!(told.contains("n/a: nothing was merged"), "{told}");
}

#[tokio::test]
async fn a_home_where_nothing_happened_has_a_budget() {
    let home = Home::new();
    let budget = home.json(&["budget", "--days", "1"]).await.well().json();
    assert_eq!(json!([]), budget["days"]);
    assert_eq!(json!(0), budget["merged"]["runs"]);
    assert_eq!(2, home.run(&["budget", "--days", "0"]).await.code);
}
