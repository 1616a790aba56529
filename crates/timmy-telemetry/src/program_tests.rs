use std::path::Path;

use super::*;

const TERMS: Terms<'_> = Terms {
    input: &[],
    patience: Duration::from_mins(1),
    output: 64,
    complaint: 64,
};

fn shell(script: &str) -> Command {
    let mut command = command("sh");
    command.args(["-c", script]);
    command
}

/// Opens a named pipe to read: that ends when nobody is left who could write to it.
async fn end_of(pipe: &Path) -> Vec<u8> {
    tokio::fs::read(pipe).await.unwrap()
}

fn pipe(place: &Path) -> PathBuf {
    let path = place.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    path
}

#[tokio::test]
async fn both_voices_are_heard_up_to_a_limit_and_the_input_comes_in() {
    let script = "cat; head -c 1000000 /dev/zero; echo no >&2; exit 3";
    let terms = Terms {
        input: b"yes",
        ..TERMS
    };
    let ended = run(shell(script), terms).await.unwrap();
    assert_eq!(Some(3), ended.status.code());
    assert!(ended.cut && ended.output.starts_with(b"yes\0"));
    assert_eq!((64, &b"no\n"[..]), (ended.output.len(), &*ended.complaint));
    assert!(matches!(
        run(command("/nowhere/at-all"), TERMS).await,
        Err(NotEnded::Missing)
    ));
}

#[tokio::test]
async fn one_that_ended_is_judged_by_that_and_not_by_what_it_left_running() {
    let place = tempfile::tempdir().unwrap();
    let pipe = pipe(place.path());
    let script = format!("cat {} >&2 & echo left; exit 0", pipe.display());
    let ended = run(shell(&script), TERMS).await.unwrap();
    assert!(ended.status.success());
    assert_eq!(b"left\n", &*ended.output);
    // It still reads there: what was left running goes on.
    tokio::fs::write(&pipe, "x").await.unwrap();
}

#[tokio::test]
async fn nothing_is_left_of_one_that_took_too_long_or_is_not_waited_for() {
    let place = tempfile::tempdir().unwrap();
    let pipe = pipe(place.path());
    // Both the shell and what it started hold the pipe.
    let script = format!("exec 7> {}; sleep 600 & sleep 600", pipe.display());
    let terms = Terms {
        patience: Duration::from_millis(300),
        ..TERMS
    };
    let (ended, told) = tokio::join!(run(shell(&script), terms), end_of(&pipe));
    assert!(matches!(ended, Err(NotEnded::TooLong(_))), "{ended:?}");
    assert!(told.is_empty());

    let script = format!(
        "exec 7> {}; echo up >&7; sleep 600 & sleep 600",
        pipe.display()
    );
    let task = tokio::spawn(async move { run(shell(&script), TERMS).await.is_ok() });
    let mut held = tokio::fs::File::open(&pipe).await.unwrap();
    let mut up = [0; 3];
    held.read_exact(&mut up).await.unwrap();
    task.abort();
    assert_eq!(0, held.read(&mut up).await.unwrap());
}

#[tokio::test]
async fn a_program_is_told_little_of_the_environment() {
    let ended = run(
        command("env"),
        Terms {
            output: 1 << 20,
            ..TERMS
        },
    )
    .await;
    let told = String::from_utf8(ended.unwrap().output).unwrap();
    assert!(told.contains("PATH="));
    for line in told.lines() {
        let name = line.split('=').next().unwrap();
        assert!(ENVIRONMENT.contains(&name), "{name}");
    }
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
}
