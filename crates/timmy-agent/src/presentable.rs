//! What a text has to go through before the model, the log or a person sees it.

use serde_json::Map;
use serde_json::Value;
use timmy_core::Redactor;
use timmy_core::text;

/// The text cleaned, redacted and bounded, in this order: cleaning can bring a secret together that
/// hidden characters kept apart, and a cut could leave half of one.
pub(crate) fn presentable(redactor: &Redactor, text: &str, limit: usize) -> String {
    let clean = redactor.redact(&text::clean(text));
    text::bound(&clean, limit).into_owned()
}

/// The same for every name and text of a JSON value. It has to come before the value is written
/// down: escaped as `\n` or `\"`, a line end or a quotation mark hides a secret from the redactor.
pub(crate) fn presentable_json(redactor: &Redactor, value: Value, limit: usize) -> Value {
    match value {
        Value::String(text) => Value::String(presentable(redactor, &text, limit)),
        Value::Array(items) => items
            .into_iter()
            .map(|item| presentable_json(redactor, item, limit))
            .collect(),
        Value::Object(object) => Value::Object(presentable_object(redactor, object, limit)),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
    }
}

/// The same for a JSON object.
pub(crate) fn presentable_object(
    redactor: &Redactor,
    object: Map<String, Value>,
    limit: usize,
) -> Map<String, Value> {
    object
        .into_iter()
        .map(|(name, value)| {
            let name = presentable(redactor, &name, limit);
            (name, presentable_json(redactor, value, limit))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn a_secret_is_found_whatever_stands_around_it_and_wherever_it_is_cut(
            secret in "[a-z\"\\\\/+]{8,20}",
            before in "[ \n\t\u{200b}\u{1b}A-Z]{0,40}",
            after in "[ \n\tA-Z]{0,40}",
            limit in 0_usize..60,
        ) {
            let redactor = Redactor::new([&SecretString::from(secret.as_str())]);
            let hidden: String = secret.chars().flat_map(|c| [c, '\u{200b}']).collect();
            let text = format!("{before}\n{hidden}\n{after}");
            let found = presentable(&redactor, &text, limit);
            prop_assert!(!found.contains(&secret), "shown");
            prop_assert!(!redactor.finds(&found));
            prop_assert!(found.len() <= limit + 64);
            prop_assert!(!found.contains('\u{1b}') && !found.contains('\u{200b}'), "hidden");

            let value = presentable_json(&redactor, json!({"a": [{&text: text}]}), usize::MAX);
            let written = value.to_string();
            let escaped = json!(secret).to_string();
            prop_assert!(!written.contains(escaped.trim_matches('"')), "{}", written);
        }
    }

    #[test]
    fn a_token_at_the_start_of_a_line_of_json_is_found() {
        let token = format!("ghp{}{}", "_", "a1".repeat(18));
        let value = json!({"patch": format!("one\n{token}\n")});
        let shown = presentable_json(&Redactor::default(), value, usize::MAX);
        assert_eq!(json!({"patch": "one\n[redacted]\n"}), shown);
    }
}
