//! When a server wants to be asked again, from its headers and its words.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

/// Numbers above this are points in time, in seconds since the Unix epoch (September 2001).
const SMALLEST_EPOCH: f64 = 1e9;
/// Numbers above this are milliseconds since the Unix epoch.
const SMALLEST_EPOCH_MS: f64 = 1e12;
/// Nobody waits longer than this.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

/// How long a server asked to be left alone, where it said so. The longest of its wishes counts.
pub(crate) fn wait(
    headers: &HeaderMap,
    body: &Value,
    words: &str,
    now: Timestamp,
) -> Option<Duration> {
    let asked = from_headers(headers, now)
        .or_else(|| from_body(body, now))
        .or_else(|| from_words(words));
    asked.map(|wait| wait.min(LONGEST))
}

fn from_headers(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(wait) = header("retry-after-ms").and_then(|value| value.trim().parse().ok()) {
        return Some(Duration::from_millis(wait));
    }
    if let Some(wait) = header("retry-after").and_then(|value| moment(value, now)) {
        return Some(wait);
    }
    let spent = |kind: &str| {
        let left = header(&format!("x-ratelimit-remaining-{kind}"));
        left.is_none_or(|left| left.trim() == "0")
    };
    let kinds = ["requests", "tokens", "requests-day", "tokens-day"];
    let per_kind = kinds
        .into_iter()
        .filter(|kind| spent(kind))
        .filter_map(|kind| header(&format!("x-ratelimit-reset-{kind}")));
    let plain = ["x-ratelimit-reset", "ratelimit-reset"];
    let plain = plain.into_iter().filter_map(header);
    per_kind
        .chain(plain)
        .filter_map(|value| moment(value, now))
        .max()
}

fn from_body(body: &Value, now: Timestamp) -> Option<Duration> {
    let paths = [
        "/error/metadata/headers/X-RateLimit-Reset",
        "/error/metadata/retry_after_seconds",
        "/error/resets_in_seconds",
        "/error/resets_at",
        "/error/reset_at",
        "/error/retry_after",
        "/retry_after",
        "/resets_at",
    ];
    let found = paths.iter().filter_map(|path| match body.pointer(path)? {
        Value::String(value) => moment(value, now),
        Value::Number(value) => moment(&value.to_string(), now),
        _ => None,
    });
    found.max()
}

/// "Please try again in 6m12s", "retry after 20 seconds".
fn from_words(words: &str) -> Option<Duration> {
    let words = words.to_ascii_lowercase();
    let openings = ["try again in ", "retry in ", "retry after ", "resets in "];
    let rest = openings.iter().find_map(|opening| {
        let (_, rest) = words.split_once(opening)?;
        Some(rest)
    })?;
    let mut said = rest
        .split_whitespace()
        .map(|word| word.trim_end_matches(['.', ',']));
    let first = said.next()?;
    let unit = said.next().and_then(|word| word.chars().next());
    match (first.parse::<f64>(), unit) {
        (Ok(_), Some(unit)) => duration(&format!("{first}{unit}")),
        _ => duration(first),
    }
}

/// A point in time or a span: `30`, `1.5`, `6m0s`, an epoch in seconds or milliseconds, an HTTP date
/// or RFC 3339.
fn moment(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(number) = value.parse::<f64>() {
        let seconds = if number >= SMALLEST_EPOCH_MS {
            number / 1000.0 - now.as_duration().as_secs_f64()
        } else if number >= SMALLEST_EPOCH {
            number - now.as_duration().as_secs_f64()
        } else {
            number
        };
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    if let Some(span) = duration(value) {
        return Some(span);
    }
    let at: Option<Timestamp> = value.parse().ok();
    let at = at.or_else(|| {
        let date = jiff::fmt::rfc2822::DateTimeParser::new();
        date.parse_timestamp(value).ok()
    })?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// `6m0s`, `1.5s`, `20ms`, `2h`, `1d`.
fn duration(value: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = value.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = after.split_at(letters.unwrap_or(after.len()));
        let seconds = match unit {
            "ms" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        let part = Duration::try_from_secs_f64(number * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = after;
    }
    (!value.trim().is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::HeaderValue;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_767_225_600;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        pairs.collect()
    }

    #[test]
    fn every_spelling_of_a_wait_is_understood() {
        let cases: [(&[(&'static str, &str)], u64); 9] = [
            (&[("retry-after", "20")], 20_000),
            (&[("retry-after-ms", "250")], 250),
            (&[("retry-after", "Thu, 01 Jan 2026 00:01:00 GMT")], 60_000),
            (
                &[
                    ("x-ratelimit-reset-requests", "1m30s"),
                    ("x-ratelimit-reset-tokens", "20ms"),
                ],
                90_000,
            ),
            (
                &[
                    ("x-ratelimit-reset-requests", "1h"),
                    ("x-ratelimit-remaining-requests", "12"),
                    ("x-ratelimit-reset-tokens", "2s"),
                    ("x-ratelimit-remaining-tokens", "0"),
                ],
                2_000,
            ),
            (&[("x-ratelimit-reset", "1767229200")], 3_600_000),
            (&[("x-ratelimit-reset", "1767229200000")], 3_600_000),
            (&[("ratelimit-reset", "30")], 30_000),
            (&[("x-ratelimit-reset", "2026-01-01T01:00:00Z")], 3_600_000),
        ];
        for (given, expected) in cases {
            let expected = Some(Duration::from_millis(expected));
            assert_eq!(
                expected,
                wait(&headers(given), &Value::Null, "", now()),
                "{given:?}"
            );
        }
    }

    #[test]
    fn bodies_and_words_are_asked_when_headers_say_nothing() {
        let body =
            json!({"error": {"metadata": {"headers": {"X-RateLimit-Reset": "1767229200000"}}}});
        let none = HeaderMap::new();
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(hour, wait(&none, &body, "", now()));
        let body = json!({"error": {"resets_in_seconds": 3600}});
        assert_eq!(hour, wait(&none, &body, "", now()));
        for (words, seconds) in [
            ("Rate limit reached. Please try again in 6m12s.", 372.0),
            ("Please try again in 1.2s. Visit https://x.", 1.2),
            ("retry after 20 seconds", 20.0),
        ] {
            let expected = Some(Duration::from_secs_f64(seconds));
            assert_eq!(expected, wait(&none, &Value::Null, words, now()), "{words}");
        }
        assert_eq!(
            None,
            wait(&none, &Value::Null, "try again in a moment", now())
        );
    }

    proptest! {
        #[test]
        fn any_value_is_answered(value in "[ -~]{0,40}", words in any::<String>()) {
            let given = headers(&[("retry-after", &value), ("x-ratelimit-reset", &value)]);
            let asked = wait(&given, &json!({"error": {"resets_at": value}}), &words, now());
            prop_assert!(asked.is_none_or(|wait| wait <= LONGEST));
        }
    }
}
