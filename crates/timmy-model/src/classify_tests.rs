use http::HeaderValue;
use proptest::prelude::*;
use secrecy::SecretString;

use super::*;

fn classify(status: u16, retry_after: Option<&str>, body: &str) -> ModelError {
    let mut headers = HeaderMap::new();
    if let Some(value) = retry_after {
        headers.insert("retry-after", HeaderValue::from_str(value).unwrap());
    }
    let answer = ErrorAnswer {
        provider: "p",
        place: "http://x",
        status,
        headers: &headers,
        body,
        now: Timestamp::from_second(1_767_225_600).unwrap(),
        redactor: &Redactor::new([&SecretString::from("sk-verysecretkey")]),
    };
    answer.classify()
}

fn word(error: &ModelError) -> &'static str {
    match error {
        ModelError::Transient { .. } => "transient",
        ModelError::Quota { .. } => "quota",
        ModelError::Auth(_) => "auth",
        ModelError::ContextOverflow(_) => "overflow",
        ModelError::Refused(_) => "refused",
        ModelError::NotFound(_) => "not found",
        ModelError::Rejected(_) => "rejected",
        _ => "other",
    }
}

#[test]
fn the_wordings_of_each_server_are_understood() {
    let cases = [
        // OpenAI
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","code":"context_length_exceeded"}}"#,
            "overflow",
        ),
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-1","code":"invalid_api_key"}}"#,
            "auth",
        ),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota"}}"#,
            "quota",
        ),
        (
            429,
            r#"{"error":{"message":"Rate limit reached for gpt-x on requests per min (RPM): Limit 3. Please try again in 20s.","code":"rate_limit_exceeded"}}"#,
            "transient",
        ),
        (
            404,
            r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#,
            "not found",
        ),
        (
            400,
            r#"{"error":{"message":"Your request was rejected as a result of our safety system.","code":"content_policy_violation"}}"#,
            "refused",
        ),
        (
            503,
            r#"{"error":{"message":"The engine is currently overloaded"}}"#,
            "transient",
        ),
        (
            400,
            r#"{"error":{"message":"Unsupported parameter: 'max_tokens'","code":"unsupported_parameter"}}"#,
            "rejected",
        ),
        // Ollama
        (
            404,
            r#"{"error":"model \"x\" not found, try pulling it first"}"#,
            "not found",
        ),
        (
            400,
            r#"{"error":"prompt too long; exceeded max context length by 12 tokens"}"#,
            "overflow",
        ),
        (
            400,
            r#"{"error":"registry.ollama.ai/library/x does not support tools"}"#,
            "rejected",
        ),
        (
            500,
            r#"{"error":"llama runner process has terminated"}"#,
            "transient",
        ),
        (
            503,
            r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#,
            "transient",
        ),
        // vLLM
        (
            400,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens","type":"BadRequestError","code":400}"#,
            "overflow",
        ),
        (
            404,
            r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","code":404}"#,
            "not found",
        ),
        (
            400,
            r#"{"object":"error","message":"\"auto\" tool choice requires --enable-auto-tool-choice","code":400}"#,
            "rejected",
        ),
        // llama-server
        (
            400,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error"}}"#,
            "overflow",
        ),
        (
            503,
            r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
            "transient",
        ),
        (
            401,
            r#"{"error":{"code":401,"message":"Invalid API Key","type":"authentication_error"}}"#,
            "auth",
        ),
        // Nous
        (402, r#"{"error":"Insufficient balance"}"#, "quota"),
        (401, r#"{"error":{"message":"invalid api key"}}"#, "auth"),
        // OpenRouter
        (
            402,
            r#"{"error":{"code":402,"message":"This request requires more credits"}}"#,
            "quota",
        ),
        (
            429,
            r#"{"error":{"code":429,"message":"Rate limit exceeded: free-models-per-day."}}"#,
            "quota",
        ),
        (
            403,
            r#"{"error":{"code":403,"message":"Input was flagged by moderation","metadata":{"reasons":[]}}}"#,
            "refused",
        ),
        (
            404,
            r#"{"error":{"code":404,"message":"No endpoints found that support tool use."}}"#,
            "not found",
        ),
        (
            200,
            r#"{"error":{"code":502,"message":"Provider returned error"}}"#,
            "transient",
        ),
        (
            200,
            r#"{"error":{"code":429,"message":"Provider returned error","metadata":{"raw":"quota exceeded"}}}"#,
            "quota",
        ),
        // Hermes gateway
        (
            401,
            r#"{"error":{"message":"Invalid API key","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            "auth",
        ),
        (
            429,
            r#"{"error":{"message":"Too many concurrent runs"}}"#,
            "transient",
        ),
        // Proxies
        (502, "<html>Bad Gateway</html>", "transient"),
        (413, "", "overflow"),
        (301, "", "rejected"),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            "transient",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}"#,
            "auth",
        ),
    ];
    for (status, body, expected) in cases {
        assert_eq!(
            expected,
            word(&classify(status, None, body)),
            "{status} {body}"
        );
    }
}

#[test]
fn a_short_wait_is_a_rate_limit_and_a_long_one_a_quota() {
    let passing = classify(429, Some("20"), "{}");
    assert!(
        matches!(&passing, ModelError::Transient { retry_after: Some(wait), .. } if wait.as_secs() == 20),
        "{passing:?}"
    );
    let spent = classify(429, Some("30960"), "{}");
    let until = "2026-01-01T08:36:00Z".parse().unwrap();
    assert!(
        matches!(&spent, ModelError::Quota { resets_at: Some(at), .. } if *at == until),
        "{spent:?}"
    );
}

#[test]
fn a_repeated_key_and_control_sequences_do_not_get_through() {
    let body = "{\"error\":{\"message\":\"wrong: sk-verysecretkey\\u001b[31m\"}}";
    let error = classify(401, None, body);
    assert_eq!("status 401: wrong: [redacted]", error.failure().detail);
}

proptest! {
    #[test]
    fn any_answer_is_classified(status in 0_u16..1000, body in any::<String>(), wait in "[ -~]{0,20}") {
        let error = classify(status, Some(&wait), &body);
        prop_assert!(error.failure().detail.len() <= KEPT + 100);
    }
}
