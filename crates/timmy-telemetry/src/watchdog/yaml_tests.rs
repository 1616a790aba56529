use proptest::prelude::*;

use super::*;

const fn wanted(model: &str) -> Wanted<'_> {
    Wanted {
        model,
        provider: None,
    }
}

fn of<'a>(model: &'a str, provider: &'a str) -> Wanted<'a> {
    let provider = Some(provider);
    Wanted { model, provider }
}

/// A text, what is wanted of it, and the text with that.
type Case = (&'static str, Wanted<'static>, &'static str);

fn cases() -> Vec<Case> {
    let mut cases = plain_cases();
    cases.extend(record_cases());
    cases
}

fn plain_cases() -> Vec<Case> {
    vec![
        ("model: small\n", wanted("big"), "model: big\n"),
        (
            "model: \"small\" # why\r\na: 1\r\n",
            wanted("big"),
            "model: \"big\" # why\r\na: 1\r\n",
        ),
        ("model:   'small'\n", wanted("it's"), "model:   'it''s'\n"),
        ("model: small", wanted("yes"), "model: \"yes\""),
        ("model: small\n", wanted("qwen3:8b"), "model: qwen3:8b\n"),
        ("model: 5\n", wanted("1.5"), "model: \"1.5\"\n"),
        ("\"model\": small\n", wanted("big"), "\"model\": big\n"),
        (
            "---\n# top\nmodel: a\n",
            wanted("b"),
            "---\n# top\nmodel: b\n",
        ),
        ("model:\na: 1\n", wanted("b"), "model: b\na: 1\n"),
        ("model: ~ # none\n", wanted("b"), "model: b # none\n"),
        ("model: # none\n", wanted("b"), "model: b # none\n"),
        ("a: 1", wanted("b"), "a: 1\nmodel: b\n"),
        ("", wanted("b"), "model: b\n"),
        (
            "# only words\n",
            of("b", "p"),
            "# only words\nmodel:\n  default: b\n  provider: p\n",
        ),
        (
            "model: a # c\n",
            of("b:1", "p"),
            "model: {default: \"b:1\", provider: p} # c\n",
        ),
    ]
}

fn record_cases() -> Vec<Case> {
    vec![
        (
            "x: |\n  model: no\nmodel:\n    # which\n    provider: p # of\n    default: 'a'\n    more:\n      default: z\ny: 1\n",
            of("b", "q"),
            "x: |\n  model: no\nmodel:\n    # which\n    provider: q # of\n    default: 'b'\n    more:\n      default: z\ny: 1\n",
        ),
        (
            "model:\n  model: a\n",
            of("b", "p"),
            "model:\n  model: b\n  provider: p\n",
        ),
        (
            "model:\n  default: a",
            of("b", "p"),
            "model:\n  default: b\n  provider: p",
        ),
        (
            "model:\r\n  base_url: u\r\n",
            wanted("b"),
            "model:\r\n  default: b\r\n  base_url: u\r\n",
        ),
        (
            "model:\n  default:\n  x: 1\n",
            wanted("b"),
            "model:\n  default: b\n  x: 1\n",
        ),
        (
            "model: {default: a, x: [1, {default: z}]} # c\n",
            wanted("b"),
            "model: {default: b, x: [1, {default: z}]} # c\n",
        ),
        (
            "model: { 'model': \"a\" }\n",
            of("b", "p"),
            "model: { 'model': \"b\", provider: p }\n",
        ),
        (
            "model: {}\n",
            of("b", "p"),
            "model: {default: b, provider: p}\n",
        ),
        (
            "model: {\n  x: 1, # one\n  default: a, # two\n}\n",
            of("b:2", "p"),
            "model: {\n  x: 1, # one\n  default: \"b:2\", provider: p, # two\n}\n",
        ),
        (
            "model: {default: , x: 1}\n",
            wanted("b"),
            "model: {default: b , x: 1}\n",
        ),
    ]
}

#[test]
fn every_form_keeps_its_looks() {
    for (before, wanted, after) in cases() {
        assert_eq!(Ok(after.to_owned()), edited(before, wanted), "{before}");
    }
}

#[test]
fn what_is_not_understood_is_left_alone() {
    for (before, reason) in [
        ("model: ${MODEL}\n", "change the variable"),
        ("model: {default: 'x-${M}'}\n", "change the variable"),
        ("model: &a small\nother: *a\n", "a form that"),
        ("other: &a small\nmodel: *a\n", "a form that"),
        ("model: |\n  small\n", "a form that"),
        ("model: small\n  and more\n", "something else"),
        ("model: [small]\n", "a list"),
        ("model: !x small\n", "a tag"),
        ("base: &b {model: a}\n<<: *b\n", "<<"),
        ("b: &b {x: a}\nmodel:\n  <<: *b\n", "<<"),
        ("{model: a}\n", "a form that"),
        ("model: a\nmodel: b\n", "not readable"),
        ("model: [\n", "not readable"),
        ("- model: a\n", "no record"),
        ("model: a\n---\nmodel: b\n", "not readable"),
        ("x: 1\n...\n", "something else"),
    ] {
        let refused = edited(before, wanted("big")).unwrap_err();
        assert!(refused.contains(reason), "{before}: {refused}");
    }
    for name in ["", " a", "a\nb", "a\u{1b}[0m"] {
        assert!(edited("model: a\n", wanted(name)).is_err(), "{name:?}");
    }
}

/// Lines of a configuration that have nothing to do with the model, though some look like it.
const OTHERS: [&str; 14] = [
    "# model: not this one",
    "",
    "agent: {max_turns: 90, model: inner}",
    "providers:\n  local:\n    base_url: http://127.0.0.1:1/v1\n    model: other # mine",
    "delegation:\n  model: \"sub\"\n  default: sub2",
    "notes: |\n  model: in a text\n    default: deeper",
    "folded: >-\n  model: folded\n\n  more",
    "list:\n- model: one\n- default: two",
    "url: ${BASE}/x # ${NOT}",
    "modelx: close",
    "\"my model\": 'it''s'",
    "time: 12:30:00",
    "off: no",
    "nested: [a, {model: b}, 'c: d']",
];

fn style() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![("", ""), ("'", "'"), ("\"", "\"")])
}

/// The model, in every form that people write.
fn forms() -> impl Strategy<Value = String> {
    let comment = prop::sample::select(vec!["", " # chosen", "   # {default: no}"]);
    let indent = prop::sample::select(vec!["  ", "    ", " "]);
    let others = prop::sample::subsequence(
        vec![
            "base_url: http://h/v1",
            "api_key: '${KEY}'",
            "context_length: 8",
            "x: {default: 1}",
        ],
        0..=4,
    );
    let form = prop::sample::select(vec!["plain", "block", "alias", "flow", "flows"]);
    (
        form,
        style(),
        comment,
        indent,
        others,
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(
            |(form, (open, close), comment, indent, mut others, place, provider)| {
                let name = if form == "alias" { "model" } else { "default" };
                let field = format!("{name}: {open}old-1{close}");
                let place = place.index(others.len() + 1);
                others.insert(place, &field);
                if provider {
                    others.push("provider: before");
                }
                match form {
                    "plain" => format!("model: {open}old-1{close}{comment}"),
                    "flow" => format!("model: {{{}}}{comment}", others.join(", ")),
                    "flows" => format!("model: {{\n  {}\n  }}{comment}", others.join(",\n  ")),
                    _ => {
                        let lines: Vec<String> = others
                            .iter()
                            .map(|line| format!("\n{indent}{line}{comment}"))
                            .collect();
                        format!("model:{comment}{}", lines.concat())
                    }
                }
            },
        )
}

fn files() -> impl Strategy<Value = String> {
    let others = prop::sample::subsequence(OTHERS.to_vec(), 0..=OTHERS.len());
    let others = others.prop_shuffle();
    (
        others,
        forms(),
        any::<prop::sample::Index>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(others, model, place, windows, ended)| {
            let mut parts: Vec<String> = others.into_iter().map(str::to_owned).collect();
            parts.insert(place.index(parts.len() + 1), model);
            let mut text = parts.join("\n");
            if ended {
                text.push('\n');
            }
            if windows {
                text = text.replace('\n', "\r\n");
            }
            text
        })
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9][a-zA-Z0-9._/:@+-]{0,20}",
        prop::sample::select(vec![
            "yes",
            "null",
            "1e3",
            "0x1f",
            "12:30",
            "it's \"it\"",
            "#x",
            "a: b",
            "~"
        ])
        .prop_map(str::to_owned),
    ]
}

/// What a file says, without the model.
fn without_model(text: &str) -> Value {
    let mut value = read(text).unwrap();
    let Value::Mapping(root) = &mut value else {
        panic!("{text}");
    };
    if let Some(Value::Mapping(model)) = root.get_mut("model") {
        for name in ["default", "model", "provider"] {
            model.remove(name);
        }
    } else {
        root.remove("model");
    }
    value
}

/// The lines of both that differ.
fn changed_lines(before: &str, after: &str) -> usize {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.split('\n').collect(), after.split('\n').collect());
    let same = before
        .iter()
        .zip(&after)
        .take_while(|(a, b)| a == b)
        .count();
    let rest = before.len().min(after.len()) - same;
    let ends = before.iter().rev().zip(after.iter().rev());
    let ends = ends.take(rest).take_while(|(a, b)| a == b).count();
    after.len() - same - ends
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_model_changes_and_nothing_else(text in files(), model in names()) {
        let after = edited(&text, wanted(&model)).unwrap();
        let value = read(&after).unwrap();
        let found = match &value["model"] {
            Value::Mapping(record) => {
                let named = record.get("default").or_else(|| record.get("model"));
                named.unwrap().clone()
            }
            plain => plain.clone(),
        };
        prop_assert_eq!(Some(model.as_str()), found.as_str());
        prop_assert_eq!(without_model(&text), without_model(&after));
        prop_assert!(changed_lines(&text, &after) <= 1, "{}\n{}", text, after);
        prop_assert_eq!(text.matches("${").count(), after.matches("${").count());
        prop_assert_eq!(text.matches('#').count() + model.matches('#').count(), after.matches('#').count());
        // Twice is once, and back is back.
        prop_assert_eq!(&after, &edited(&after, wanted(&model)).unwrap());
    }

    #[test]
    fn the_provider_goes_with_it(text in files(), model in names(), provider in names()) {
        let after = edited(&text, of(&model, &provider)).unwrap();
        let value = read(&after).unwrap();
        prop_assert_eq!(Some(provider.as_str()), value["model"]["provider"].as_str());
        prop_assert_eq!(&after, &edited(&after, of(&model, &provider)).unwrap());
        let plain = read(&text).unwrap()["model"].is_string();
        if !plain {
            prop_assert_eq!(without_model(&text), without_model(&after));
        }
    }

    #[test]
    fn no_text_breaks_it(text in any::<String>(), model in "[a-z]{1,5}") {
        if let Ok(after) = edited(&text, wanted(&model)) {
            prop_assert!(after.len() + 200 > text.len());
        }
    }

    #[test]
    fn no_yaml_like_text_breaks_it(parts in prop::collection::vec(prop::sample::select(vec![
        "model", ":", " ", "\n", "default", "{", "}", ",", "'", "\"", "#", "a", "  ", "- ", "&x", "*x", "|", "provider", "\r\n", "?", "[", "]", "\\", "\t", "é",
    ]), 0..40)) {
        let text = parts.concat();
        if let Ok(after) = edited(&text, of("m", "p")) {
            let value = read(&after).unwrap();
            prop_assert_eq!(Some("p"), value["model"]["provider"].as_str());
        }
    }
}
