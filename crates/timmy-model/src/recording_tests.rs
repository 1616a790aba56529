use proptest::prelude::*;
use secrecy::SecretString;

use super::*;

fn exchange(body: &str) -> Exchange {
    let request = ChatRequest {
        messages: vec![Message::User("do it".to_owned())],
        tools: Vec::new(),
        max_output_tokens: 10,
    };
    let dialect = Dialect::of(ProviderKind::Generic);
    Exchange::of(
        ProviderKind::Generic,
        dialect,
        &request,
        &json!({"model": "m"}),
    )
    .answered(
        200,
        &HeaderMap::new(),
        body.to_owned(),
        Duration::from_millis(7),
    )
}

#[test]
fn a_line_of_a_recording_is_readable() {
    let line = serde_json::to_string_pretty(&exchange("{}")).unwrap();
    insta::assert_snapshot!(line);
}

#[test]
fn damage_and_newer_versions_are_told_apart() {
    let good = serde_json::to_string(&exchange("{}")).unwrap();
    let newer = good.replacen("\"timmy_recording\":1", "\"timmy_recording\":2", 1);
    let cases = [
        (format!("{good}\n{}", &good[..good.len() / 2]), 614),
        ("{}".to_owned(), 614),
        (String::new(), 614),
        ("\n\n".to_owned(), 614),
        (good.replacen("200", "20", 1), 614),
        (format!("{good}\n{newer}\n"), 615),
    ];
    for (recording, code) in cases {
        let error = parse(&recording, "x.jsonl").unwrap_err();
        assert_eq!(timmy_core::Code::new(code), error.code(), "{recording}");
    }
}

#[test]
fn a_secret_does_not_reach_the_file_even_in_pieces() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.jsonl");
    let secret = SecretString::from("hunter2-hunter2-hunter2");
    let recorder = Recorder::create(&path, Redactor::new([&secret])).unwrap();
    recorder
        .keep(&exchange("{\"said\": \"hunter2-hunter2-hunter2\"}"))
        .unwrap();
    let mut cut = exchange("data: hunter2-hu\n\ndata: nter2-hunter2\n\n");
    cut.reply = Some(Reply {
        text: "it is hunter2-hunter2-hunter2".to_owned(),
        calls: Vec::new(),
        reasoning: None,
        finish: Finish::Stop,
        tokens: None,
        model: "m".to_owned(),
        warnings: Vec::new(),
    });
    recorder.keep(&cut).unwrap();
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(!written.contains("nter2"), "{written}");
    assert!(written.contains("it is [redacted]"), "{written}");
    assert_eq!(2, parse(&written, "x").unwrap().len());
    assert!(Recorder::create(&path, Redactor::default()).is_err());
}

proptest! {
    #[test]
    fn any_text_is_parsed(recording in any::<String>()) {
        let _ = parse(&recording, "x");
    }

    #[test]
    fn any_change_of_a_line_is_parsed(at in any::<usize>(), with in "[ -~]{0,3}", body in any::<String>()) {
        let mut line = serde_json::to_string(&exchange(&body)).unwrap();
        let at = at % line.len();
        if line.is_char_boundary(at) && line.is_char_boundary(at + 1) {
            line.replace_range(at..=at, &with);
        }
        let _ = parse(&line, "x");
    }

    #[test]
    fn what_is_written_is_read_back(body in any::<String>()) {
        let written = exchange(&body);
        let line = serde_json::to_string(&written).unwrap();
        prop_assert_eq!(vec![written], parse(&line, "x").unwrap());
    }
}
