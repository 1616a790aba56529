//! Keeping secrets out of everything that is stored, shown or sent.
//!
//! Two defences: a [`Redactor`] that knows the live values and removes them in the spellings they
//! travel in, and [`find_secrets`], which recognises values by their form.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use secrecy::ExposeSecret;
use secrecy::SecretString;

/// What stands in the place of a secret.
pub const MARK: &str = "[redacted]";

/// Values shorter than this are not looked for: they would blank out ordinary words.
pub const SHORTEST_SECRET: usize = 8;

/// Removes known secret values, raw, base64 (at any alignment) and percent-encoded.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Vec<String>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} needles)", self.needles.len())
    }
}

impl Redactor {
    /// A redactor that knows these values.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut redactor = Self::default();
        for secret in secrets {
            redactor.learn(secret);
        }
        redactor
    }

    /// Adds a value. One shorter than [`SHORTEST_SECRET`] is ignored.
    pub fn learn(&mut self, secret: &SecretString) {
        let value = secret.expose_secret();
        if value.len() < SHORTEST_SECRET {
            return;
        }
        self.needles.push(value.to_owned());
        self.needles
            .push(utf8_percent_encode(value, NON_ALPHANUMERIC).to_string());
        for alignment in 0..3 {
            self.needles.push(base64_core(value, alignment, &STANDARD));
            self.needles.push(base64_core(value, alignment, &URL_SAFE));
        }
        self.needles
            .sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        self.needles.dedup();
    }

    /// The text without known secrets and without values that look like secrets.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut result = text.to_owned();
        for needle in &self.needles {
            if result.contains(needle.as_str()) {
                result = result.replace(needle.as_str(), MARK);
            }
        }
        redact_forms(&result)
    }

    /// Whether a text holds a known secret in any spelling.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        self.needles
            .iter()
            .any(|needle| text.contains(needle.as_str()))
    }
}

/// The base64 characters that depend on the value alone, when `alignment` bytes stand before it.
fn base64_core(value: &str, alignment: usize, engine: &impl Engine) -> String {
    let mut padded = vec![0_u8; alignment];
    padded.extend_from_slice(value.as_bytes());
    let encoded = engine.encode(&padded);
    let first = [0, 2, 3][alignment];
    let whole_bits = padded.len() * 8 / 6;
    encoded[first..whole_bits].to_owned()
}

/// A value that looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFinding {
    /// What kind of secret it looks like.
    pub kind: &'static str,
    /// Where it starts, in bytes.
    pub start: usize,
    /// Where it ends, in bytes.
    pub end: usize,
}

struct Form {
    kind: &'static str,
    prefix: &'static str,
    shortest_rest: usize,
}

/// Prefixes that providers document for their tokens.
const FORMS: [Form; 13] = [
    Form {
        kind: "GitHub token",
        prefix: "ghp_",
        shortest_rest: 30,
    },
    Form {
        kind: "GitHub token",
        prefix: "gho_",
        shortest_rest: 30,
    },
    Form {
        kind: "GitHub token",
        prefix: "ghu_",
        shortest_rest: 30,
    },
    Form {
        kind: "GitHub token",
        prefix: "ghs_",
        shortest_rest: 30,
    },
    Form {
        kind: "GitHub token",
        prefix: "ghr_",
        shortest_rest: 30,
    },
    Form {
        kind: "GitHub token",
        prefix: "github_pat_",
        shortest_rest: 30,
    },
    Form {
        kind: "GitLab token",
        prefix: "glpat-",
        shortest_rest: 18,
    },
    Form {
        kind: "API key",
        prefix: "sk-",
        shortest_rest: 24,
    },
    Form {
        kind: "Hugging Face token",
        prefix: "hf_",
        shortest_rest: 30,
    },
    Form {
        kind: "AWS access key",
        prefix: "AKIA",
        shortest_rest: 16,
    },
    Form {
        kind: "Slack token",
        prefix: "xoxb-",
        shortest_rest: 20,
    },
    Form {
        kind: "Slack token",
        prefix: "xoxp-",
        shortest_rest: 20,
    },
    Form {
        kind: "JSON web token",
        prefix: "eyJ",
        shortest_rest: 60,
    },
];

const PRIVATE_KEY: &str = "PRIVATE KEY-----";
const TOKEN_WORDS: [&str; 6] = ["token", "secret", "password", "passwd", "api_key", "apikey"];
/// Gitea and Forgejo tokens are bare 40-digit hexadecimal numbers: only their name tells.
const BARE_TOKEN_DIGITS: usize = 40;

/// Values in a text that look like secrets, in order, not overlapping.
#[must_use]
pub fn find_secrets(text: &str) -> Vec<SecretFinding> {
    let mut findings = Vec::new();
    for form in &FORMS {
        find_form(text, form, &mut findings);
    }
    find_private_keys(text, &mut findings);
    find_credentials_in_urls(text, &mut findings);
    find_named_hexadecimal(text, &mut findings);
    findings.sort_by_key(|finding| (finding.start, std::cmp::Reverse(finding.end)));
    let mut last_end = 0;
    findings.retain(|finding| {
        let separate = finding.start >= last_end;
        if separate {
            last_end = finding.end;
        }
        separate
    });
    findings
}

fn redact_forms(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut copied = 0;
    for finding in find_secrets(text) {
        result.push_str(&text[copied..finding.start]);
        result.push_str(MARK);
        copied = finding.end;
    }
    result.push_str(&text[copied..]);
    result
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn find_form(text: &str, form: &Form, findings: &mut Vec<SecretFinding>) {
    for (start, _) in text.match_indices(form.prefix) {
        let inside_word = start > 0 && is_token_byte(text.as_bytes()[start - 1]);
        let rest = &text.as_bytes()[start + form.prefix.len()..];
        let length = rest.iter().take_while(|byte| is_token_byte(**byte)).count();
        if !inside_word && length >= form.shortest_rest {
            let end = start + form.prefix.len() + length;
            findings.push(SecretFinding {
                kind: form.kind,
                start,
                end,
            });
        }
    }
}

fn find_private_keys(text: &str, findings: &mut Vec<SecretFinding>) {
    for (middle, _) in text.match_indices(PRIVATE_KEY) {
        let Some(start) = text[..middle].rfind("-----BEGIN ") else {
            continue;
        };
        if text[start..middle].contains('\n') {
            continue;
        }
        let body = middle + PRIVATE_KEY.len();
        let end = text[body..]
            .find(PRIVATE_KEY)
            .map_or(text.len(), |at| body + at + PRIVATE_KEY.len());
        findings.push(SecretFinding {
            kind: "private key",
            start,
            end,
        });
    }
}

/// The password part of `scheme://user:password@host`.
fn find_credentials_in_urls(text: &str, findings: &mut Vec<SecretFinding>) {
    for (scheme_end, separator) in text.match_indices("://") {
        let start = scheme_end + separator.len();
        let rest = &text[start..];
        let authority =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '<'));
        let authority = &rest[..authority.unwrap_or(rest.len())];
        let Some(at) = authority.rfind('@') else {
            continue;
        };
        let Some(colon) = authority[..at].find(':') else {
            continue;
        };
        let (start, end) = (start + colon + 1, start + at);
        if end > start && &text[start..end] != MARK {
            findings.push(SecretFinding {
                kind: "password in a URL",
                start,
                end,
            });
        }
    }
}

fn find_named_hexadecimal(text: &str, findings: &mut Vec<SecretFinding>) {
    let bytes = text.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let length = bytes[start..]
            .iter()
            .take_while(|b| b.is_ascii_hexdigit())
            .count();
        let alone = start == 0 || !is_token_byte(bytes[start - 1]);
        if length == BARE_TOKEN_DIGITS && alone && is_named_like_a_token(text, start) {
            findings.push(SecretFinding {
                kind: "forge token",
                start,
                end: start + length,
            });
        }
        start += length.max(1);
    }
}

/// Whether a word for a secret stands on the same line shortly before `start`.
fn is_named_like_a_token(text: &str, start: usize) -> bool {
    const LOOK_BACK: usize = 40;
    let mut from = start.saturating_sub(LOOK_BACK);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let before = text[from..start].to_ascii_lowercase();
    let line = before.rsplit('\n').next().unwrap_or_default();
    TOKEN_WORDS.iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redactor(value: &str) -> Redactor {
        Redactor::new([&SecretString::from(value)])
    }

    #[test]
    fn every_spelling_of_a_known_value_is_removed() {
        let value = "k3y/with+odd=chars";
        let redactor = redactor(value);
        let basic = STANDARD.encode(format!("bot:{value}"));
        let percent = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        for text in [value.to_owned(), basic, percent, STANDARD.encode(value)] {
            let redacted = redactor.redact(&format!("before {text} after"));
            assert!(redacted.contains(MARK), "{redacted}");
            assert!(!redacted.contains(value));
        }
    }

    #[test]
    fn values_are_recognised_by_their_form() {
        let hexadecimal = "0123456789abcdef0123456789abcdef01234567";
        let cases = [
            (format!("GITEA_TOKEN={hexadecimal}"), "forge token"),
            (
                "https://bot:hunter2x@forge/x".to_owned(),
                "password in a URL",
            ),
            (
                format!("x {} y", ["ghp", &"a".repeat(36)].join("_")),
                "GitHub token",
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nabc".to_owned(),
                "private key",
            ),
        ];
        for (text, kind) in cases {
            let found: Vec<&str> = find_secrets(&text).iter().map(|f| f.kind).collect();
            assert_eq!(vec![kind], found, "{text}");
        }
        let commit = format!("commit {hexadecimal}\n");
        assert_eq!(Vec::<SecretFinding>::new(), find_secrets(&commit));
    }

    proptest! {
        #[test]
        fn a_known_value_never_survives(
            value in "[A-Za-z0-9+/_=-]{8,60}", before in ".{0,40}", after in ".{0,40}"
        ) {
            let redactor = redactor(&value);
            let basic = STANDARD.encode(format!("{before}{value}{after}"));
            let redacted = redactor.redact(&format!("{before}{value}{after}"));
            prop_assert!(!redacted.contains(&value));
            prop_assert!(redactor.finds(&basic));
        }

        #[test]
        fn finding_secrets_never_panics(text in any::<String>()) {
            for finding in find_secrets(&text) {
                prop_assert!(text.get(finding.start..finding.end).is_some());
            }
        }
    }
}
