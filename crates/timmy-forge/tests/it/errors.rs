//! What a person reads when a forge says no.

use std::fmt::Write;

use http::StatusCode;
use serde_json::json;
use timmy_core::Coded;
use timmy_forge::Forge;
use timmy_forge::ForgeAddress;
use timmy_forge::ForgeKind;
use timmy_forge::GiteaClient;
use timmy_loopback::Reply;
use timmy_testkit::ManualClock;

use crate::scripted::Scripted;
use crate::scripted::TOKEN;
use crate::scripted::json;
use crate::scripted::repo;
use crate::scripted::text;
use crate::scripted::with_header;

const NO_SCOPE: &str = "token does not have at least one of required scope(s): [write:issue]";

fn answer_to(number: &str) -> Reply {
    let message = |status, text: &str| json(status, &json!({"message": text, "url": "u"}));
    match number {
        "400" | "422" => message(422, "[]: json: cannot unmarshal number into Go struct"),
        "401" => message(401, "token is required"),
        "403" => message(403, NO_SCOPE),
        "1403" => Reply::empty(StatusCode::FORBIDDEN),
        "404" => json(
            404,
            &json!({"errors": null, "message": "The target couldn't be found."}),
        ),
        "1404" => message(404, "Git Repository is empty."),
        "1405" => text(405, "text/plain", "Method Not Allowed"),
        "409" => message(409, "head out of date"),
        "412" => message(412, "it still has open dependencies"),
        "413" => message(413, "quota exceeded"),
        "423" => message(423, "night/shift is archived"),
        "429" => with_header(json(429, &json!({})), "retry-after", "3600"),
        "418" => text(418, "text/plain", "{Err:0xc000123 \u{1b}[31mName:x}\n"),
        "302" => with_header(
            json(302, &json!({})),
            "location",
            "https://elsewhere.invalid/x",
        ),
        "502" => text(502, "text/html", "<html><h1>Bad Gateway</h1></html>"),
        "500" => text(500, "text/plain", TOKEN),
        "200" => text(200, "text/html", "<!doctype html><title>Sign in</title>"),
        "1200" => json(200, &json!({"number": {"a": "wrong shape"}})),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_refusal_says_what_where_and_what_to_do() {
    let forge =
        Scripted::start(|asked| answer_to(asked.request.uri().path().rsplit('/').next().unwrap()))
            .await;
    let client = forge.client();
    let mut told = String::new();
    for number in [
        401, 403, 1403, 404, 1404, 1405, 409, 412, 413, 418, 422, 423, 429, 302, 500, 502, 200,
        1200,
    ] {
        let error = client.issue(&repo(), number).await.unwrap_err();
        writeln!(told, "{}\n", error.problem()).unwrap();
    }
    assert!(!told.contains(TOKEN));
    insta::with_settings!({filters => vec![(r"127\.0\.0\.1:\d+", "FORGE")]}, {
        insta::assert_snapshot!(told);
    });
}

#[tokio::test]
async fn a_write_names_its_call() {
    let forge = Scripted::start(|_| Reply::Dropped).await;
    let error = forge.client().comment(&repo(), 1, "x").await.unwrap_err();
    insta::with_settings!({filters => vec![(r"127\.0\.0\.1:\d+", "FORGE")]}, {
        insta::assert_snapshot!(error.problem());
    });
}

#[test]
fn an_address_that_cannot_be_used_is_refused_before_anything_is_sent() {
    let mut told = String::new();
    for (base, token) in [
        ("ftp://h", "good"),
        ("http://user:word@h", "good"),
        ("http://h", "two\nlines"),
    ] {
        let address = ForgeAddress {
            base: base.parse().unwrap(),
            kind: ForgeKind::Gitea,
        };
        let clock = std::sync::Arc::new(ManualClock::default());
        let error = GiteaClient::new(address, "bot".into(), token.into(), clock).unwrap_err();
        writeln!(told, "{}", error.problem()).unwrap();
    }
    insta::assert_snapshot!(told);
}
