//! Whether Hermes succeeded. Status 200 and exit code 0 do not say so (observed with 0.19.0).

use serde_json::Value;
use serde_json::json;

use crate::wire::stream::Fault;

/// Texts with which Hermes reports its own failure as if it were the model's reply.
const FAILURES: [&str; 7] = [
    "⚠️ No reply:",
    "API call failed after",
    "Context length exceeded",
    "Response truncated due to output length limit",
    "Model generated invalid tool call:",
    "I reached the iteration limit and couldn't generate a summary",
    "Error: ",
];

/// The failure that a completion of the gateway tells of.
pub(crate) fn of_completion(completion: &Value) -> Option<Fault> {
    let verdict = &completion["hermes"];
    let choice = completion.pointer("/choices/0").unwrap_or(&Value::Null);
    let finish = choice["finish_reason"].as_str().unwrap_or_default();
    let said = choice.pointer("/message/content").and_then(Value::as_str);
    let said = said.unwrap_or_default();
    let incomplete = verdict["completed"] == json!(false) && finish != "length";
    if verdict["failed"] == json!(true) || finish == "error" || incomplete {
        let error = verdict["error"].as_str().unwrap_or(said);
        return Some(reported(error));
    }
    // Any other server may say what it likes; Hermes names itself by this object or model.
    let from_hermes = verdict.is_object() || completion["model"] == json!("hermes-agent");
    (from_hermes && is_failure(said)).then(|| of_failure(said))
}

/// Whether a text is the report of a failure.
pub(crate) fn is_failure(said: &str) -> bool {
    let said = said.trim_start();
    let status = said.strip_prefix("HTTP ").and_then(|rest| rest.get(..4));
    let status = status.is_some_and(|status| {
        status.ends_with(':') && status[..3].bytes().all(|byte| byte.is_ascii_digit())
    });
    status || FAILURES.iter().any(|failure| said.starts_with(failure))
}

/// What the report of a failure means. An empty reply of the model is a malformed one.
pub(crate) fn of_failure(said: &str) -> Fault {
    let empty = [
        "⚠️ No reply:",
        "Response truncated",
        "Model generated",
        "I reached",
    ];
    let said = said.trim();
    if empty.iter().any(|start| said.starts_with(start)) {
        return Fault::Unreadable(said.to_owned());
    }
    reported(said)
}

/// An error in the shape servers report it in, with the status that stands in its words.
fn reported(error: &str) -> Fault {
    let status = error.match_indices("HTTP ").find_map(|(at, found)| {
        let digits = error.get(at + found.len()..at + found.len() + 3)?;
        digits
            .parse::<u16>()
            .ok()
            .filter(|status| (400..600).contains(status))
    });
    Fault::Reported(json!({"error": {"message": error, "code": status}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_captured_shapes_of_failure_are_seen() {
        let failed = json!({"model": "hermes-agent", "choices": [{"finish_reason": "error",
            "message": {"content": "API call failed after 3 retries: HTTP 429: slow down"}}],
            "hermes": {"completed": false, "partial": false, "failed": true,
                "error": "HTTP 429: slow down", "error_code": "agent_error"}});
        let expected = json!({"error": {"message": "HTTP 429: slow down", "code": 429}});
        assert_eq!(Some(Fault::Reported(expected)), of_completion(&failed));

        let empty = json!({"model": "hermes-agent", "choices": [{"finish_reason": "stop",
            "message": {"content": "⚠️ No reply: the model returned empty content"}}]});
        assert!(matches!(of_completion(&empty), Some(Fault::Unreadable(_))));

        let cut = json!({"choices": [{"finish_reason": "length", "message": {"content": "half"}}],
            "hermes": {"completed": false, "partial": true, "failed": false}});
        assert_eq!(None, of_completion(&cut));

        let good = json!({"model": "hermes-agent", "choices": [{"finish_reason": "stop",
            "message": {"content": "HTTP is a protocol"}}]});
        assert_eq!(None, of_completion(&good));
    }
}
