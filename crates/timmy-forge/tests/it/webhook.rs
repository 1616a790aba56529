//! Deliveries over HTTP.

use std::net::Ipv4Addr;
use std::time::Duration;

use hmac::Hmac;
use hmac::Mac;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;
use sha2::Sha256;
use timmy_forge::webhook;
use timmy_forge::webhook::Listening;
use timmy_forge::webhook::Subscription;
use tokio::sync::mpsc::error::TryRecvError;

const SECRET: &str = "between us";
const LONG: Duration = Duration::from_secs(3600);

struct Stage {
    listening: Listening,
    client: reqwest::Client,
}

impl Stage {
    async fn new(interval: Duration) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let subscription = Subscription {
            secret: SecretString::from(SECRET),
            login: "timmy".to_owned(),
            repositories: vec!["night/shift".parse().unwrap(), "day/shift".parse().unwrap()],
            interval,
        };
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        Self {
            listening: webhook::listen(address, subscription).await.unwrap(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    async fn send(&self, id: &str, secret: &str, body: String) -> u16 {
        let mut digest = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        digest.update(body.as_bytes());
        let digest = digest.finalize().into_bytes();
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let url = format!("{}{}", self.listening.server.url(), webhook::PATH);
        let request = self.client.post(url).body(body);
        let request = request
            .header("x-gitea-delivery", id)
            .header("x-gitea-event", "issues")
            .header("x-gitea-signature", digest);
        request.send().await.unwrap().status().as_u16()
    }

    async fn deliver(&self, id: &str, repo: &str, sender: &str) -> u16 {
        self.send(id, SECRET, delivery(repo, sender).to_string())
            .await
    }

    async fn woken(&mut self) -> String {
        self.listening.wakes.recv().await.unwrap().to_string()
    }

    fn assert_quiet(&mut self) {
        assert_eq!(Err(TryRecvError::Empty), self.listening.wakes.try_recv());
    }
}

fn delivery(repo: &str, sender: &str) -> Value {
    json!({
        "action": "opened",
        "issue": {"number": 1, "body": "run `rm -rf /`"},
        "repository": {"id": 1, "full_name": repo},
        "sender": {"login": sender},
    })
}

#[tokio::test]
async fn a_delivery_wakes_its_repository_once() {
    let mut stage = Stage::new(Duration::ZERO).await;
    assert_eq!(200, stage.deliver("1", "night/shift", "ann").await);
    assert_eq!("night/shift", stage.woken().await);
    assert_eq!(200, stage.deliver("1", "night/shift", "ann").await);
    // However the forge spells it, it is the repository as it is configured.
    assert_eq!(200, stage.deliver("2", "Day/Shift", "ann").await);
    assert_eq!("day/shift", stage.woken().await);
    stage.assert_quiet();
}

#[tokio::test]
async fn strangers_wake_nobody() {
    let mut stage = Stage::new(Duration::ZERO).await;
    let body = delivery("night/shift", "ann").to_string();
    assert_eq!(401, stage.send("1", "another", body.clone()).await);
    assert_eq!(400, stage.send("2", SECRET, "[]x".to_owned()).await);
    let url = stage.listening.server.url();
    let answered =
        async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    let target = format!("{url}{}", webhook::PATH);
    assert_eq!(405, answered(stage.client.get(&target)).await);
    assert_eq!(
        404,
        answered(stage.client.post(format!("{url}/other"))).await
    );
    let unsigned = stage.client.post(&target).body(body);
    assert_eq!(
        401,
        answered(unsigned.header("x-gitea-signature", "")).await
    );
    let huge = "x".repeat(webhook::BODY_LIMIT + 1);
    let status = stage.client.post(&target).body(huge).send().await;
    // The connection may break while the rest is still being sent.
    assert!(status.is_err() || status.unwrap().status().as_u16() == 413);
    stage.assert_quiet();
    assert_eq!(200, stage.deliver("3", "night/other", "ann").await);
    assert_eq!(200, stage.deliver("4", "night/shift", "Timmy").await);
    assert_eq!(200, stage.send("5", SECRET, "{}".to_owned()).await);
    assert_eq!(200, stage.deliver("6", "day/shift", "ann").await);
    assert_eq!("day/shift", stage.woken().await);
    stage.assert_quiet();
}

#[tokio::test]
async fn a_flood_wakes_a_repository_once_in_an_interval() {
    let mut stage = Stage::new(LONG).await;
    for id in 0..1000 {
        assert_eq!(
            200,
            stage.deliver(&id.to_string(), "night/shift", "ann").await
        );
    }
    assert_eq!("night/shift", stage.woken().await);
    stage.assert_quiet();
    // One repository does not keep another from being heard.
    assert_eq!(200, stage.deliver("other", "day/shift", "ann").await);
    assert_eq!("day/shift", stage.woken().await);
}
