//! Reading, writing, editing, listing and searching files.

use serde_json::json;

use crate::stage::Stage;
use crate::stage::call;
use crate::stage::calls;
use crate::stage::finish;

#[tokio::test]
async fn files_are_written_read_and_edited() {
    let turns = [
        call(
            "write_file",
            json!({"path": "src/a.txt", "contents": "one\ntwo\nthree\n"}),
        ),
        call("read_file", json!({"path": "src/a.txt"})),
        call(
            "edit_file",
            json!({"path": "src/a.txt", "old": "two", "new": "2"}),
        ),
        call(
            "read_file",
            json!({"path": "src/a.txt", "from_line": 2, "lines": 1}),
        ),
        finish(),
    ];
    let mut stage = Stage::new(turns).await;
    let played = stage.play().await;
    let expected = [
        "Wrote 14 bytes.",
        "one\ntwo\nthree",
        "Replaced 1 occurrence(s).",
        "2\n[lines 2 to 2 of 3]",
    ];
    assert_eq!(expected, *played.expect_finished().results());
    assert_eq!("one\n2\nthree\n", stage.read("src/a.txt"));
}

#[tokio::test]
async fn an_edit_needs_exactly_one_place_or_leave_to_change_all() {
    let edit = |old: &str, all: bool| {
        let arguments = json!({"path": "a", "old": old, "new": "-", "all": all});
        call("edit_file", arguments)
    };
    let turns = [
        edit("absent", false),
        edit("x", false),
        edit("x", true),
        edit("", false),
        edit("absent", true),
        finish(),
    ];
    let mut stage = Stage::new(turns).await;
    stage.put("a", "x x\n");
    let played = stage.play().await;
    let expected = [
        "`old` does not stand in the file. Read the file and try again.",
        "`old` stands in the file 2 times. Give more of its surroundings, or set `all`.",
        "Replaced 2 occurrence(s).",
        "`old` is empty. Use write_file to make a file.",
        "`old` does not stand in the file. Read the file and try again.",
    ];
    assert_eq!(expected, *played.expect_finished().results());
    assert_eq!(
        [false, false, true, false, false, true],
        *played.successes()
    );
    assert_eq!("- -\n", stage.read("a"));
}

#[tokio::test]
async fn a_file_with_carriage_returns_is_edited_as_it_was_shown() {
    let turns = [
        call("read_file", json!({"path": "a"})),
        call(
            "edit_file",
            json!({"path": "a", "old": "one\ntwo\n", "new": "1\n2\n3\n"}),
        ),
        finish(),
    ];
    let mut stage = Stage::new(turns).await;
    stage.put("a", "one\r\ntwo\r\nend\r\n");
    let played = stage.play().await;
    assert_eq!(
        ["one\ntwo\nend", "Replaced 1 occurrence(s)."],
        *played.expect_finished().results()
    );
    assert_eq!("1\r\n2\r\n3\r\nend\r\n", stage.read("a"));
}

#[tokio::test]
async fn an_edit_cannot_blow_a_file_up() {
    let new = "y".repeat(2_000);
    let edit = call(
        "edit_file",
        json!({"path": "a", "old": "x", "new": new, "all": true}),
    );
    let mut stage = Stage::new([edit, finish()]).await;
    let text = "x".repeat(3 << 20);
    stage.put("a", &text);
    let played = stage.play().await;
    assert_eq!(
        "The file would grow beyond 4194304 bytes. Use run_command for that.",
        played.only_result()
    );
    assert_eq!(text, stage.read("a"));
}

#[tokio::test]
async fn lines_that_are_not_there_and_files_without_any_are_said() {
    let read =
        |path: &str, from: usize| call("read_file", json!({"path": path, "from_line": from}));
    let turns = [
        read("a", 3),
        read("a", usize::MAX),
        read("empty", 1),
        read("absent", 1),
        finish(),
    ];
    let mut stage = Stage::new(turns).await;
    stage.put("a", "one\ntwo\n");
    stage.put("empty", "");
    let played = stage.play().await;
    let results = played.expect_finished().results();
    let none = "[no such lines: the file has 2]";
    assert_eq!([none, none, "[empty]"], results[..3]);
    assert!(results[3].contains("absent"), "{}", results[3]);
    assert_eq!([true, true, true, false, true], *played.successes());
}

#[tokio::test]
async fn a_long_file_is_shown_page_by_page() {
    let turns = [
        call("read_file", json!({"path": "a"})),
        call("read_file", json!({"path": "a", "from_line": 401})),
        finish(),
    ];
    let mut stage = Stage::new(turns).await;
    let text: String = (1..=450).map(|number| format!("{number}\n")).collect();
    stage.put("a", text);
    let results = stage.play().await.expect_finished().results();
    assert!(results[0].starts_with("1\n2\n"));
    assert!(results[0].ends_with("\n400\n[lines 1 to 400 of 450]"));
    assert!(results[1].starts_with("401\n"));
    assert!(results[1].ends_with("\n450\n[lines 401 to 450 of 450]"));
}

#[tokio::test]
async fn binary_files_are_named_and_not_shown() {
    let turns = [
        calls([
            ("read_file", json!({"path": "a.png"})),
            (
                "edit_file",
                json!({"path": "latin", "old": "e", "new": "f"}),
            ),
            ("read_file", json!({"path": "latin"})),
            ("search", json!({"pattern": "IHDR"})),
        ]),
        finish(),
    ];
    let mut stage = Stage::new(turns).await;
    stage.put("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    stage.put("latin", b"caf\xe9 e");
    let results = stage.play().await.expect_finished().results();
    let expected = [
        "This is a binary file of 16 bytes.",
        "This is not a UTF-8 text file.",
        "caf\u{fffd} e",
        "[no line matches]",
    ];
    assert_eq!(expected, *results);
}

#[tokio::test]
async fn a_listing_goes_down_and_leaves_git_out() {
    let turns = [
        call("list_files", json!({})),
        call("list_files", json!({"path": "src/deep"})),
        call("list_files", json!({"depth": 1})),
        call("list_files", json!({"path": "none"})),
        call("list_files", json!({"path": "a.txt"})),
        call("list_files", json!({"path": "src/void"})),
        finish(),
    ];
    let mut stage = Stage::new(turns).await;
    stage.put("a.txt", "123");
    stage.put(".git/config", "x");
    stage.put("src/module/.git/config", "x");
    stage.put("src/deep/b/c.txt", "1");
    std::fs::create_dir(stage.path("src/void")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", stage.path("src/link")).unwrap();
    let played = stage.play().await;
    let results = played.expect_finished().results();
    assert_eq!(
        "a.txt 3\nsrc/\nsrc/deep/\nsrc/deep/b/\nsrc/link [symbolic link]\nsrc/module/\nsrc/void/",
        results[0]
    );
    assert_eq!("src/deep/b/\nsrc/deep/b/c.txt 1", results[1]);
    assert_eq!("a.txt 3\nsrc/", results[2]);
    assert_eq!(
        [true, true, true, false, false, true, true],
        *played.successes()
    );
    assert_eq!("[empty]", results[5]);
}

#[tokio::test]
async fn a_directory_that_cannot_be_listed_hides_no_other() {
    let mut stage = Stage::new([call("list_files", json!({})), finish()]).await;
    let odd = std::ffi::OsStr::new("odd-").to_owned();
    let odd = [odd.as_encoded_bytes(), b"\xff"].concat();
    let odd: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(odd);
    std::fs::create_dir(stage.workspace.join(odd)).unwrap();
    stage.put("z.txt", "1");
    let result = stage.play().await.only_result();
    assert!(
        result.starts_with("odd-\u{fffd}/\nodd-\u{fffd}/ ["),
        "{result}"
    );
    assert!(result.ends_with("\nz.txt 1"), "{result}");
}

#[tokio::test]
async fn a_search_finds_patterns_and_plain_texts() {
    let search = |arguments| call("search", arguments);
    let turns = [
        search(json!({"pattern": "f(oo|u)\\("})),
        search(json!({"pattern": "f(oo|u)", "plain": true})),
        search(json!({"pattern": "foo", "path": "src"})),
        search(json!({"pattern": "--version"})),
        search(json!({"pattern": "(", "plain": false})),
        search(json!({"pattern": "x", "path": "absent"})),
        finish(),
    ];
    let mut stage = Stage::new(turns).await;
    stage.put("a.rs", "foo(1)\nf(oo|u)\n");
    stage.put("src/b.rs", "//\nfoo\n");
    stage.put(".git/c", "foo(");
    let played = stage.play().await;
    let results = played.expect_finished().results();
    assert_eq!(
        [
            "./a.rs:1:foo(1)",
            "./a.rs:2:f(oo|u)",
            "src/b.rs:2:foo",
            "[no line matches]"
        ],
        [&results[0], &results[1], &results[2], &results[3]].map(|text| text.trim_end())
    );
    assert!(results[4].starts_with("exit code 2\n"), "{}", results[4]);
    assert!(results[5].contains("absent"), "{}", results[5]);
    assert_eq!(
        [true, true, true, true, false, false, true],
        *played.successes()
    );
}
