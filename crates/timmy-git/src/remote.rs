//! Where a repository is and how timmy proves who it is there.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;
use timmy_core::Redactor;
use timmy_core::ids::InvalidName;
use url::Url;

const URL_FORM: &str = "a repository URL (http or https without user, password, query and fragment, or an absolute path)";

/// The place of a repository: http(s), or an absolute local path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GitUrl {
    text: String,
    transport: Transport,
}

/// How the other side is reached. git is allowed this one transport and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Transport {
    Http,
    Https,
    File,
}

impl Transport {
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::File => "file",
        }
    }
}

impl GitUrl {
    /// The URL of a local repository.
    ///
    /// # Errors
    /// When the path is not absolute, not UTF-8 or holds control characters.
    pub fn local(path: &std::path::Path) -> Result<Self, InvalidName> {
        path.to_string_lossy().parse()
    }

    /// The URL as text. It holds no secret.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path, when the repository is local.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        (self.transport == Transport::File).then(|| PathBuf::from(&self.text))
    }

    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }
}

impl FromStr for GitUrl {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let refuse = || InvalidName {
            value: without_userinfo(value),
            expected: URL_FORM,
        };
        let odd = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
        if value.chars().any(odd) {
            return Err(refuse());
        }
        if value.starts_with('/') {
            return Ok(Self {
                text: value.to_owned(),
                transport: Transport::File,
            });
        }
        let url = Url::parse(value).map_err(|_| refuse())?;
        let transport = match url.scheme() {
            "http" => Transport::Http,
            "https" => Transport::Https,
            _ => return Err(refuse()),
        };
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.has_host();
        if !bare {
            return Err(refuse());
        }
        Ok(Self {
            text: url.to_string(),
            transport,
        })
    }
}

/// The start of a refused URL, without the part that may hold a password.
fn without_userinfo(value: &str) -> String {
    let shown = match (value.find("://"), value.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}://...{}", &value[..scheme], &value[at..])
        }
        _ => value.to_owned(),
    };
    shown.chars().take(80).collect()
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for GitUrl {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, InvalidName> {
        value.parse()
    }
}

impl From<GitUrl> for String {
    fn from(url: GitUrl) -> Self {
        url.text
    }
}

/// A user and a token, sent as Basic authentication to one URL and nowhere else.
#[derive(Clone)]
pub struct Credential {
    /// The login. Forges accept any with a token, but some want the right one.
    pub user: String,
    /// The token.
    pub token: SecretString,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?}, ...)", self.user)
    }
}

impl Credential {
    pub(crate) fn header(&self) -> SecretString {
        let pair = format!("{}:{}", self.user, self.token.expose_secret());
        SecretString::from(format!("Authorization: Basic {}", STANDARD.encode(pair)))
    }
}

/// A repository on the other side.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Where it is.
    pub url: GitUrl,
    /// Who timmy is there.
    pub credential: Option<Credential>,
}

impl Remote {
    /// A repository that needs no credential.
    #[must_use]
    pub fn open(url: GitUrl) -> Self {
        Self {
            url,
            credential: None,
        }
    }

    pub(crate) fn redactor(&self) -> Redactor {
        Redactor::new(self.credential.iter().map(|credential| &credential.token))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_plain_places_are_accepted() {
        for bad in [
            "--upload-pack=cmd",
            "ext::sh -c evil",
            "ssh://host/x",
            "git@host:x",
            "file:///x",
            "http://user@host/x",
            "https://user:hunter2hunter2@host/x",
            "https://host/x?y",
            "https://host/x#y",
            "relative/path",
            "https://",
            "/a\nb",
            "",
        ] {
            let refused = bad.parse::<GitUrl>().unwrap_err();
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
        for good in [
            "https://forge.example/o/r.git",
            "http://127.0.0.1:3000/o/r.git",
            "/srv/r.git",
        ] {
            assert_eq!(good, good.parse::<GitUrl>().unwrap().as_str());
        }
    }

    #[test]
    fn a_credential_is_not_shown() {
        let credential = Credential {
            user: "bot".to_owned(),
            token: SecretString::from("0123456789abcdef"),
        };
        assert_eq!("Credential(\"bot\", ...)", format!("{credential:?}"));
    }

    proptest! {
        #[test]
        fn an_accepted_url_is_never_an_option(text in "[-:/@?#a-z0-9.]{0,30}") {
            if let Ok(url) = text.parse::<GitUrl>() {
                prop_assert!(!url.as_str().starts_with('-'));
                prop_assert!(!url.as_str().contains(['?', '#']) || url.path().is_some());
                prop_assert_eq!(&url, &url.as_str().parse::<GitUrl>().unwrap());
            }
        }
    }
}
