//! Hidden marks in the texts that timmy writes on a forge, by which it knows them again.
//!
//! A marked comment is written once: after a lost reply or a killed process the mark tells whether
//! it is there. It proves nothing, since anybody can write one; the author is checked as well.

const OPENING: &str = "<!-- timmy:";
const CLOSING: &str = " -->";

/// A mark for `name`, invisible where Markdown is shown. Anything but letters, digits, `.`, `_`,
/// `/` and `:` in the name becomes `_`.
#[must_use]
pub fn mark(name: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | ':');
    let safe: String = name
        .chars()
        .map(|c| if legal(c) { c } else { '_' })
        .collect();
    format!("{OPENING}{safe}{CLOSING}")
}

/// The first mark in a text.
#[must_use]
pub fn marker_in(text: &str) -> Option<&str> {
    let start = text.find(OPENING)?;
    let length = text[start..].find(CLOSING)? + CLOSING.len();
    let marker = &text[start..start + length];
    (!marker.contains('\n')).then_some(marker)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mark_is_found_again(name in any::<String>(), before in "[^<]{0,30}", after in any::<String>()) {
            let marker = mark(&name);
            let text = format!("{before}{marker}{after}");
            prop_assert_eq!(Some(marker.as_str()), marker_in(&text));
        }
    }

    #[test]
    fn a_name_cannot_end_the_comment_it_is_in() {
        assert_eq!("<!-- timmy:a___b -->", mark("a-->b"));
        assert_eq!(None, marker_in("<!-- timmy:a\nb -->"));
    }
}
