//! A report as a mail: text, with the page as its alternative, handed to the operator's command.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use sha2::Digest;
use sha2::Sha256;
use timmy_core::text;

use super::error::ReportError;
use super::file;
use super::file::Output;
use super::file::Over;
use super::settings::ReportSettings;
use super::words::Zone;
use super::words::short;
use crate::program;
use crate::program::Terms;

/// How long the command may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// Of what it says, so much is kept, in bytes.
const SAID: usize = 4 << 10;
/// Characters of a line of base64, as RFC 2045 wants it.
const LINE: usize = 76;
/// The longest address, in bytes, with a name before it.
const LONGEST_ADDRESS: usize = 320;
/// What is mailed.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// Its subject.
    pub subject: &'a str,
    /// The report as text.
    pub text: &'a str,
    /// The report as a page.
    pub html: &'a str,
    /// When it is written.
    pub date: Timestamp,
}

/// Writes the message (RFC 5322, with the parts of RFC 2045 and 2046).
///
/// # Errors
/// [`ReportError::MailSettings`] when an address is missing or cannot stand in a header.
pub fn message(
    settings: &ReportSettings,
    letter: &Letter<'_>,
    zone: &Zone,
) -> Result<String, ReportError> {
    if settings.to.is_empty() {
        return Err(unusable("report.to", "it names nobody".to_owned()));
    }
    for address in &settings.to {
        check(address, "report.to")?;
    }
    check(&settings.from, "report.from")?;
    let (text, html) = (encoded(letter.text), encoded(letter.html));
    let name = name_of(&[
        &settings.from,
        letter.subject,
        &letter.date.to_string(),
        &text,
        &html,
    ]);
    let domain = settings.from.rsplit('@').next().unwrap_or_default();
    let domain: String = domain
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        .collect();
    let domain = if domain.is_empty() {
        "localhost"
    } else {
        &domain
    };
    let date = rfc2822::to_string(&letter.date.to_zoned(zone.0.clone())).unwrap_or_default();
    let subject: String = text::clean_line(letter.subject)
        .chars()
        .map(|c| if c.is_ascii() { c } else { '?' })
        .collect();
    let part = |kind: &str, body: &str| {
        format!(
            "--timmy-{name}\r\nContent-Type: {kind}; charset=utf-8\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{body}\r\n"
        )
    };
    Ok(format!(
        "From: {}\r\nTo: {}\r\nSubject: {subject}\r\nDate: {date}\r\n\
         Message-ID: <{name}.timmy@{domain}>\r\nAuto-Submitted: auto-generated\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"timmy-{name}\"\r\n\r\n\
         {}{}--timmy-{name}--\r\n",
        settings.from,
        settings.to.join(",\r\n "),
        part("text/plain", &text),
        part("text/html", &html),
    ))
}

/// Hands a message to the operator's command. When that fails, the message is kept in `keep`.
///
/// # Errors
/// [`ReportError::MailSettings`] when there is no command, [`ReportError::MailCommand`] when it cannot
/// be started, takes too long, or says by its exit code that it failed.
pub async fn send(command: &[String], message: &str, keep: &Path) -> Result<(), ReportError> {
    let Some((program, arguments)) = command.split_first() else {
        let reason = "no command is set".to_owned();
        return Err(unusable("report.mail", reason));
    };
    let sent = hand_over(program, arguments, message).await;
    sent.map_err(|reason| ReportError::MailCommand {
        program: short(program),
        reason: short(&reason),
        kept: kept(message, keep),
    })
}

/// Keeps a message that was not sent.
fn kept(message: &str, keep: &Path) -> Option<PathBuf> {
    let output = Output {
        path: keep.to_owned(),
        text: message.to_owned(),
    };
    let written = file::write(&[output], Over::Anything);
    written.ok().map(|()| keep.to_owned())
}

async fn hand_over(program: &str, arguments: &[String], message: &str) -> Result<(), String> {
    let mut command = program::command(program);
    command.args(arguments);
    let terms = Terms {
        input: message.as_bytes(),
        patience: PATIENCE,
        output: 0,
        complaint: SAID,
    };
    let ended = program::run(command, terms).await;
    let ended = ended.map_err(|error| error.to_string())?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.complaint);
    Err(format!("{}; it said: {}", ended.status, short(&said)))
}

fn unusable(setting: &'static str, reason: String) -> ReportError {
    ReportError::MailSettings { setting, reason }
}

/// An address that can stand in a header: what is not printable ASCII could end the header.
fn check(address: &str, setting: &'static str) -> Result<(), ReportError> {
    let printable = address.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let reason = match address.trim() {
        "" => "an address is missing",
        _ if address.len() > LONGEST_ADDRESS => "an address is too long",
        _ if !printable => "an address holds something else than printable ASCII",
        _ => return Ok(()),
    };
    Err(unusable(setting, reason.to_owned()))
}

fn encoded(text: &str) -> String {
    let whole = STANDARD.encode(text);
    let mut lines = String::with_capacity(whole.len() + whole.len() / LINE * 2);
    for (place, character) in whole.char_indices() {
        if place > 0 && place % LINE == 0 {
            lines.push_str("\r\n");
        }
        lines.push(character);
    }
    lines
}

/// A name that nothing else has.
fn name_of(parts: &[&str]) -> String {
    const BYTES: usize = 12;
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    text::hexadecimal(&hash.finalize()[..BYTES])
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn settings() -> ReportSettings {
        ReportSettings {
            to: vec![
                "ada@example.org".to_owned(),
                "Bo <bo@example.org>".to_owned(),
            ],
            from: "timmy@example.org".to_owned(),
            ..ReportSettings::default()
        }
    }

    fn zone() -> Zone {
        Zone(TimeZone::fixed(jiff::tz::offset(2)))
    }

    #[test]
    fn a_message_has_both_forms() {
        let letter = Letter {
            subject: "The night",
            text: "plain",
            html: "<p>page</p>",
            date: Timestamp::UNIX_EPOCH,
        };
        let message = message(&settings(), &letter, &zone()).unwrap();
        insta::assert_snapshot!(message.replace("\r\n", "\n"));
    }

    #[test]
    fn an_address_cannot_add_a_header() {
        let letter = Letter {
            subject: "",
            text: "",
            html: "",
            date: Timestamp::UNIX_EPOCH,
        };
        for bad in ["", "a@b\r\nBcc: c@d", "a@b\nBcc: c", "\u{e4}@b", "a@b\0"] {
            let mut settings = settings();
            settings.to.push(bad.to_owned());
            assert!(message(&settings, &letter, &zone()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_message(subject in any::<String>(), text in any::<String>()) {
            let letter = Letter { subject: &subject, text: &text, html: &text, date: Timestamp::UNIX_EPOCH };
            let message = message(&settings(), &letter, &zone()).unwrap();
            let (head, body) = message.split_once("\r\n\r\n").unwrap();
            prop_assert!(head.is_ascii() && body.is_ascii());
            prop_assert_eq!(9, head.split("\r\n").filter(|line| !line.starts_with(' ')).count() + 1);
            prop_assert!(!message.replace("\r\n", "").contains(['\r', '\n']));
            let encoded: String = body.split("\r\n\r\n").nth(1).unwrap().split("\r\n--").next().unwrap()
                .split("\r\n").collect();
            prop_assert_eq!(text.as_bytes(), STANDARD.decode(encoded).unwrap());
        }
    }

    #[tokio::test]
    async fn what_the_command_leaves_running_is_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        // It ends when the second command ends it: that one is only run once the first was judged.
        let left = place.path().join("left");
        let shell = |script: &str| {
            let script = format!("cat >&2; {script}");
            ["sh", "-c", &script].map(str::to_owned).to_vec()
        };
        let keep = place.path().join("unsent.eml");
        let first = shell(&format!("sleep 7777 & echo $! > {}", left.display()));
        send(&first, "text", &keep).await.unwrap();
        let second = shell(&format!("kill $(cat {})", left.display()));
        send(&second, "text", &keep).await.unwrap();
    }

    #[tokio::test]
    async fn nothing_of_a_command_is_left_when_nobody_waits_any_more() {
        let place = tempfile::tempdir().unwrap();
        let pipe = place.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let script = format!(
            "exec 3> {}; echo begun >&3; sleep 7777 & wait",
            pipe.display()
        );
        let command = ["sh", "-c", &script].map(str::to_owned);
        let keep = place.path().join("unsent.eml");
        let sent = tokio::spawn(async move { send(&command, "text", &keep).await.is_ok() });
        let mut pipe = tokio::fs::File::open(pipe).await.unwrap();
        let mut begun = [0; 6];
        pipe.read_exact(&mut begun).await.unwrap();
        assert_eq!(b"begun\n", &begun);
        sent.abort();
        // That ends when nobody is left who could write to it.
        assert_eq!(0, pipe.read(&mut begun).await.unwrap());
    }

    #[tokio::test]
    async fn a_command_that_fails_loses_nothing() {
        let place = tempfile::tempdir().unwrap();
        let keep = place.path().join("unsent.eml");
        let took = place.path().join("took");
        let shell = |script: &str| ["sh", "-c", script].map(str::to_owned).to_vec();
        let works = shell(&format!("cat > {}", took.display()));
        let long = "x".repeat(1 << 20);
        send(&works, &long, &keep).await.unwrap();
        assert_eq!(long, std::fs::read_to_string(&took).unwrap());
        assert!(!keep.exists());
        for fails in [
            shell("cat >/dev/null; echo no route >&2; exit 75"),
            shell("exit 1"),
            vec!["/nowhere/sendmail".to_owned()],
        ] {
            let error = send(&fails, &long, &keep).await.unwrap_err();
            assert!(
                matches!(error, ReportError::MailCommand { kept: Some(_), .. }),
                "{error}"
            );
            assert_eq!(long, std::fs::read_to_string(&keep).unwrap());
            std::fs::remove_file(&keep).unwrap();
        }
        assert!(matches!(
            send(&[], &long, &keep).await,
            Err(ReportError::MailSettings { .. })
        ));
    }
}
