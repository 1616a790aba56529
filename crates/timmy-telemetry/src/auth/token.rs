//! What can be read from a token without asking anybody.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

/// What a JSON Web Token (RFC 7519) says of itself. Nobody checked its signature: it decides only when
/// to ask for a new one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// When it expires, by the clock of the portal.
    pub(super) expires: Option<Timestamp>,
    /// When it was issued, by the clock of the portal.
    pub(super) issued: Option<Timestamp>,
    /// When a person last logged in.
    pub(super) login: Option<Timestamp>,
    /// What it allows.
    pub(super) scopes: Vec<String>,
}

/// The claims of a token; none for what is no JSON Web Token.
pub(super) fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&bytes).ok()?;
    let claims = claims.as_object()?;
    let time = |name: &str| seconds(claims.get(name)?);
    let mut found = scopes(claims.get("scope"));
    found.extend(scopes(claims.get("scp")));
    Some(Claims {
        expires: time("exp"),
        issued: time("iat"),
        login: time("auth_time"),
        scopes: found,
    })
}

/// A text with spaces or commas, or a list of such.
pub(super) fn scopes(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => {
            let words = text.split([' ', ',']).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect()
        }
        Some(Value::Array(list)) => list.iter().flat_map(|item| scopes(Some(item))).collect(),
        _ => Vec::new(),
    }
}

/// Seconds since 1970, whole or not.
pub(super) fn seconds(value: &Value) -> Option<Timestamp> {
    if let Some(whole) = value.as_i64() {
        return Timestamp::from_second(whole).ok();
    }
    let seconds = value.as_f64()?;
    let since = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::UNIX_EPOCH.checked_add(since).ok()
}

/// A time as Python and everybody else write RFC 3339. One without a zone is in UTC.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    pub(crate) fn jwt(claims: &Value) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part("{}"), part(&claims.to_string()))
    }

    #[test]
    fn claims_are_read() {
        let token = jwt(&json!({"exp": 100, "iat": 1.5, "scope": "a b", "scp": ["c", "d,e"]}));
        let found = claims(&token).unwrap();
        let second = |second| Timestamp::from_second(second).ok();
        assert_eq!(second(100), found.expires);
        assert_eq!(Timestamp::from_millisecond(1500).ok(), found.issued);
        assert_eq!(["a", "b", "c", "d", "e"], found.scopes.as_slice());
        assert_eq!(None, found.login);
        assert_eq!(None, claims("opaque"));
        assert_eq!(None, claims("a.b.c"));
        assert_eq!(None, claims(&format!("{token}.more")));
    }

    #[test]
    fn times_of_python_are_read() {
        let expected = Timestamp::from_second(1_763_667_000).ok();
        for text in [
            "2025-11-20T19:30:00+00:00",
            "2025-11-20T20:30:00.000000+01:00",
            "2025-11-20T19:30:00Z",
            "2025-11-20T19:30:00",
            "2025-11-20 19:30:00",
        ] {
            assert_eq!(expected, time(text), "{text}");
        }
        assert_eq!(None, time("soon"));
    }

    proptest! {
        #[test]
        fn nothing_breaks_the_reader(token in any::<String>(), claims_of in any::<Vec<u8>>()) {
            let _ = claims(&token);
            let _ = time(&token);
            let _ = claims(&format!("a.{}.c", URL_SAFE_NO_PAD.encode(claims_of)));
        }
    }
}
