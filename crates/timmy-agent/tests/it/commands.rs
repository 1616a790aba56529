//! Commands in the sandbox.

use serde_json::json;

use crate::stage::Stage;
use crate::stage::call;
use crate::stage::calls;
use crate::stage::finish;

#[tokio::test]
async fn a_command_runs_where_it_is_told_and_its_end_is_said() {
    let turns = [
        calls([
            (
                "run_command",
                json!({"command": "pwd; echo $((6 * 7)); echo no >&2"}),
            ),
            (
                "run_command",
                json!({"command": "cat x; exit 3", "directory": "sub"}),
            ),
            ("run_command", json!({"command": "kill -9 $$"})),
            ("run_command", json!({"command": "no-such-program"})),
            (
                "run_command",
                json!({"command": "sleep 100", "timeout_s": 0}),
            ),
            (
                "run_command",
                json!({"command": "true", "directory": "absent"}),
            ),
            ("run_command", json!({"command": "printf made > made"})),
        ]),
        finish(),
    ];
    let mut stage = Stage::new(turns).await;
    stage.put("sub/x", "in sub\n");
    let workspace = stage.workspace.display().to_string();
    let played = stage.play().await;
    let results = played.expect_finished().results();
    assert_eq!(format!("exit code 0\n{workspace}\n42\nno"), results[0]);
    assert_eq!("exit code 3\nin sub", results[1]);
    assert_eq!("ended by signal 9", results[2].trim_end());
    assert!(results[3].starts_with("exit code 127\n"), "{}", results[3]);
    assert_eq!("stopped: it took too long", results[4].trim_end());
    assert_eq!("exit code 0", results[6].trim_end());
    assert_eq!(
        [true, false, false, false, false, false, true, true],
        *played.successes()
    );
    assert_eq!("made", stage.read("made"));
}

#[tokio::test]
async fn what_a_command_left_running_is_gone_at_the_next() {
    let turns = [
        call(
            "run_command",
            json!({"command": "sleep 1000 & echo started"}),
        ),
        call(
            "run_command",
            json!({"command": "ps -e -o args | grep -c '[s]leep 1000'"}),
        ),
        finish(),
    ];
    let results = Stage::new(turns)
        .await
        .play()
        .await
        .expect_finished()
        .results();
    assert_eq!(["exit code 0\nstarted", "exit code 1\n0"], *results);
}
