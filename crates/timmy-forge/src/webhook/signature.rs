//! Proving that a delivery comes from the forge.

use hmac::Hmac;
use hmac::Mac;
use http::HeaderMap;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use sha2::Sha256;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;

const HEADERS: [&str; 3] = [
    "x-forgejo-signature",
    "x-gitea-signature",
    "x-hub-signature-256",
];
const DIGEST_BYTES: usize = 32;

/// A delivery that is not believed. The receiver answers 401 and keeps nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No secret is configured on this side, so nothing could be proven. The operator sets one.
    #[error("no secret is configured for webhooks")]
    NoSecret,
    /// It carries no signature, or an empty one. The operator sets the secret on the forge.
    #[error("the delivery is not signed")]
    Missing,
    /// The signature is of another secret or another body, or is no signature at all.
    #[error("the signature of the delivery is wrong")]
    Wrong,
}

impl Coded for SignatureError {
    fn problem(&self) -> Problem {
        Problem::new(Code::new(519), ExitStatus::Permission, self.to_string())
            .at("the webhook's settings on the forge")
            .fix("set the same secret there and in webhook.secret")
    }
}

/// Proves that whoever sent `body` knows `secret`. Every signature that is there must be right.
///
/// # Errors
/// See [`SignatureError`].
pub fn verify(
    headers: &HeaderMap,
    body: &[u8],
    secret: &SecretString,
) -> Result<(), SignatureError> {
    if secret.expose_secret().is_empty() {
        return Err(SignatureError::NoSecret);
    }
    let mut signed = false;
    for value in HEADERS.iter().flat_map(|name| headers.get_all(*name)) {
        let text = value.to_str().map_err(|_| SignatureError::Wrong)?;
        let digits = text.strip_prefix("sha256=").unwrap_or(text);
        if digits.is_empty() {
            return Err(SignatureError::Missing);
        }
        let digest = bytes_of(digits).ok_or(SignatureError::Wrong)?;
        let mut expected = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
            .map_err(|_| SignatureError::NoSecret)?;
        expected.update(body);
        // In constant time.
        expected
            .verify_slice(&digest)
            .map_err(|_| SignatureError::Wrong)?;
        signed = true;
    }
    if signed {
        Ok(())
    } else {
        Err(SignatureError::Missing)
    }
}

fn bytes_of(digits: &str) -> Option<[u8; DIGEST_BYTES]> {
    let mut bytes = [0; DIGEST_BYTES];
    if digits.len() != 2 * DIGEST_BYTES || !digits.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        let pair = &digits[2 * index..2 * index + 2];
        let hexadecimal = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        *byte = u8::from_str_radix(pair, 16).ok().filter(|_| hexadecimal)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    // RFC 4231, test case 2.
    const KEY: &str = "Jefe";
    const BODY: &[u8] = b"what do ya want for nothing?";
    const DIGEST: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    fn check(name: &'static str, value: &str) -> Result<(), SignatureError> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        verify(&headers, BODY, &SecretString::from(KEY))
    }

    #[test]
    fn all_three_headers_prove_it() {
        assert_eq!(Ok(()), check("x-gitea-signature", DIGEST));
        assert_eq!(Ok(()), check("x-forgejo-signature", DIGEST));
        assert_eq!(
            Ok(()),
            check("x-hub-signature-256", &format!("sha256={DIGEST}"))
        );
    }

    #[test]
    fn nothing_empty_or_foreign_proves_anything() {
        let wrong = DIGEST.replace('5', "6");
        assert_eq!(Err(SignatureError::Missing), check("x-gitea-signature", ""));
        assert_eq!(
            Err(SignatureError::Missing),
            check("x-hub-signature-256", "sha256=")
        );
        assert_eq!(
            Err(SignatureError::Missing),
            check("x-github-event", DIGEST)
        );
        for digits in [
            wrong.as_str(),
            &DIGEST[2..],
            "sha1=00",
            "+1",
            &format!("{DIGEST}00"),
        ] {
            assert_eq!(
                Err(SignatureError::Wrong),
                check("x-gitea-signature", digits),
                "{digits}"
            );
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-gitea-signature", HeaderValue::from_static(DIGEST));
        let verdict = verify(&headers, BODY, &SecretString::from(""));
        assert_eq!(Err(SignatureError::NoSecret), verdict);
        headers.insert("x-forgejo-signature", HeaderValue::from_static(""));
        let verdict = verify(&headers, BODY, &SecretString::from(KEY));
        assert_eq!(Err(SignatureError::Missing), verdict);
    }

    proptest! {
        #[test]
        fn only_the_signed_body_is_believed(body in any::<Vec<u8>>(), digits in "[0-9a-f]{64}") {
            let mut headers = HeaderMap::new();
            headers.insert("x-gitea-signature", HeaderValue::from_static(DIGEST));
            let secret = SecretString::from(KEY);
            prop_assert_eq!(body == BODY, verify(&headers, &body, &secret).is_ok());
            prop_assert_eq!(digits == DIGEST, check("x-gitea-signature", &digits).is_ok());
        }
    }
}
