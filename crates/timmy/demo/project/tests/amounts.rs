use tally::format_amount;
use tally::parse_amount;
use tally::total;

#[test]
fn whole_amounts_and_cents_are_read() {
    assert_eq!(Some(700), parse_amount("7"));
    assert_eq!(Some(1250), parse_amount("12.50"));
    assert_eq!(Some(1205), parse_amount("12.05"));
}

#[test]
fn one_digit_after_the_point_means_tenths() {
    assert_eq!(Some(1250), parse_amount("12.5"));
}

#[test]
fn what_is_no_amount_is_refused() {
    assert_eq!(None, parse_amount("bread"));
    assert_eq!(None, parse_amount("-3"));
}

#[test]
fn a_book_is_added_up() {
    let book = "# May\n12.50 bread and cheese\n\n7 bus\n";
    assert_eq!(Some(1950), total(book));
    assert_eq!("19.50", format_amount(1950));
}
