//! Adds up what a household spends, in whole cents.

/// Reads an amount such as `12`, `12.5` or `12.50` and gives it in cents.
pub fn parse_amount(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let whole: u64 = whole.parse().ok()?;
    let cents: u64 = fraction.parse().ok()?;
    whole.checked_mul(100)?.checked_add(cents)
}

/// The total of a book in cents. Empty lines and lines that start with `#` do not count; any other
/// line must start with an amount.
pub fn total(book: &str) -> Option<u64> {
    book.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| parse_amount(line.split_whitespace().next().unwrap_or(line)))
        .sum()
}

/// An amount in cents as people write it: `1250` is `12.50`.
pub fn format_amount(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
