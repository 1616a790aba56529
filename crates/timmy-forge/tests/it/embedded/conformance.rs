//! The list that is run against Gitea and Forgejo holds here too, line by line.

use std::sync::Arc;

use secrecy::SecretString;
use timmy_core::SystemClock;
use timmy_forge::ForgeAddress;
use timmy_forge::ForgeKind;
use timmy_forge::check;
use timmy_forge::check::Subject;
use timmy_forge::check::Verdict;
use timmy_forge::embedded::Scope;
use timmy_git::Git;

use crate::forge_server::ForgeServer;

#[tokio::test]
async fn every_line_of_the_list_passes() {
    let server = ForgeServer::start().await;
    let reading = [Scope::ReadIssue, Scope::ReadRepository];
    let read_only = server.forge.create_token("bot", "reader", &reading).await;
    let subject = Subject {
        address: ForgeAddress {
            base: server.url().parse().unwrap(),
            kind: ForgeKind::Embedded,
        },
        user: "bot".to_owned(),
        token: SecretString::from(server.bot.as_str()),
        read_only: Some(read_only.unwrap()),
        scratch: "scratch".to_owned(),
    };
    let git = Git::new(&server.directory.path().join("git")).unwrap();
    let directory = server.directory.path();
    let rows = check::run(&subject, &git, directory, Arc::new(SystemClock::new())).await;
    let rows = rows.unwrap();
    let others: Vec<_> = rows
        .iter()
        .filter(|row| row.verdict != Verdict::Pass)
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(rows.len() > 90, "the list ended after {} lines", rows.len());
}
