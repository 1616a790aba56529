//! The pages behind the error codes, inside the program.

use rust_embed::RustEmbed;
use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::Problem;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../docs/errors"]
struct Pages;

/// The page of a code.
pub(crate) fn page(code: Code) -> Result<String, Problem> {
    let page = Pages::get(&format!("{code}.md"));
    let text = page.and_then(|page| String::from_utf8(page.data.into_owned()).ok());
    text.ok_or_else(|| {
        Problem::new(
            Code::new(108),
            ExitStatus::NotFound,
            format!("there is no code {code}"),
        )
        .fix("codes look like TIMMY-0301 and stand before every error")
    })
}
