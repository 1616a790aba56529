//! Files that cannot be written, before and after the portal was asked.

use super::*;
use crate::auth::book;
use crate::auth::book::Entry;
use crate::auth::held::Held;

/// A user and a group that nobody is.
const STRANGER: u32 = 65_533;

fn skips() -> bool {
    let skips = !rustix::process::geteuid().is_root();
    if skips {
        eprintln!("skipped: only root gives files to others");
    }
    skips
}

#[tokio::test]
async fn nobody_is_asked_when_a_file_belongs_to_another_user() {
    if skips() {
        return;
    }
    for name in ["auth.json", "shared/nous_auth.json"] {
        let stage = Stage::with_login(MINUTE).await;
        stage.write("shared/nous_auth.json", &stage.record(MINUTE));
        std::os::unix::fs::chown(stage.path(name), Some(STRANGER), None).unwrap();
        let before = [stage.text("auth.json"), stage.text("shared/nous_auth.json")];
        let refused = stage.refresh().await;
        assert_eq!(1046, code(&refused), "{name}: {refused:?}");
        let after = [stage.text("auth.json"), stage.text("shared/nous_auth.json")];
        assert_eq!((before, 0), (after, stage.portal.asked().len()), "{name}");
        assert!(!stage.path("auth.lock").exists(), "{name}");
    }
}

/// Takes over new tokens after something happened to the files.
fn take_over(stage: &Stage, meanwhile: impl Fn()) -> Result<(), AuthError> {
    let homes = stage.homes();
    let memory = stage.memory();
    std::fs::create_dir(&memory).unwrap();
    let refresher = Refresher {
        settings: &stage.settings,
        homes: Some(&homes),
        memory: &memory,
        portal: None,
        clock: Arc::clone(&stage.clock) as Arc<dyn Clock>,
    };
    let [entry]: [Entry; 1] = book::entries(&stage.settings, Some(&homes))
        .try_into()
        .unwrap();
    let mut held = Held::read(&refresher, &entry, stage.clock.now()).unwrap();
    let (file, shared) = held.prepare().unwrap();
    meanwhile();
    let answer = json!({
        "access_token": stage.portal.access_token(HOUR),
        "refresh_token": refresh_token(1),
    });
    let answer = answer.as_object().unwrap();
    held.take_over(answer, &refresh_token(0), file, shared)
}

/// Puts a directory where a file was: what replaces files cannot go there.
fn block(path: &Path) {
    std::fs::remove_file(path).unwrap();
    std::fs::create_dir(path).unwrap();
}

fn not_kept(outcome: Result<(), AuthError>) -> (PathBuf, String) {
    let error = outcome.expect_err("it was kept");
    assert_eq!(1049, error.problem().code.number(), "{error:?}");
    match error {
        AuthError::NotKept { path, fix, .. } => (path, fix),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tokens_that_fit_nowhere_are_put_aside() {
    let stage = Stage::with_login(MINUTE).await;
    let (auth, shared) = (stage.path("auth.json"), stage.path("shared/nous_auth.json"));
    stage.write("shared/nous_auth.json", &stage.record(MINUTE));
    let outcome = take_over(&stage, || {
        block(&auth);
        block(&shared);
    });
    let (path, fix) = not_kept(outcome);
    let aside = stage.memory().join("nous.tokens.timmy-20260101T000000Z");
    assert_eq!(auth.canonicalize().unwrap(), path);
    assert!(fix.contains(&aside.display().to_string()), "{fix}");
    let kept = read(&aside);
    assert_eq!(
        (json!(refresh_token(1)), 0o600),
        (
            kept["providers"]["nous"]["refresh_token"].clone(),
            mode(&aside)
        )
    );
}

#[tokio::test]
async fn tokens_that_are_in_one_of_two_files_are_not_lost() {
    let stage = Stage::with_login(MINUTE).await;
    stage.write("shared/nous_auth.json", &stage.record(MINUTE));
    let auth = stage.path("auth.json");
    let before = stage.text("auth.json");
    let (_, fix) = not_kept(take_over(&stage, || block(&auth)));
    assert!(fix.contains("shared/nous_auth.json"), "{fix}");
    // The next refresh takes them from there, and asks nobody.
    std::fs::remove_dir(&auth).unwrap();
    stage.write_text("auth.json", &before);
    assert!(!stage.standing().due, "{:?}", stage.standing());
    assert_eq!(json!(refresh_token(1)), stage.tokens()[2]);

    let stage = Stage::with_login(MINUTE).await;
    stage.write("shared/nous_auth.json", &stage.record(MINUTE));
    let shared = stage.path("shared/nous_auth.json");
    let (path, fix) = not_kept(take_over(&stage, || block(&shared)));
    assert_eq!(shared, path);
    assert!(fix.starts_with("remove "), "{fix}");
    let own = stage.read("auth.json")["providers"]["nous"]["refresh_token"].clone();
    assert_eq!(json!(refresh_token(1)), own);
}
