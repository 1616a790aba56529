use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: tally BOOK");
        return ExitCode::from(2);
    };
    let book = match std::fs::read_to_string(&path) {
        Ok(book) => book,
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    match tally::total(&book) {
        Some(cents) => {
            println!("{}", tally::format_amount(cents));
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("{path}: a line does not start with an amount");
            ExitCode::FAILURE
        }
    }
}
