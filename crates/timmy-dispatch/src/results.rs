//! results.csv: one row a run, for people who have scripts around it.

use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use timmy_store::runs::RunSummary;

/// The file inside the private root.
pub const FILE_NAME: &str = "results.csv";

const HEADER: &str = "started,run,repository,issue,outcome,branch,pull_request,check,exit_code,\
steps,model_calls,input_tokens,output_tokens,cost_usd,seconds,provider,provenance,sandbox\n";

/// Appends the row of a run, and the header before the first one, unless it is there. The row is one
/// write, so that rows of concurrent runs do not mix.
///
/// # Errors
/// When the file cannot be written.
pub fn append(root: &Path, run: &RunSummary) -> io::Result<()> {
    let path = root.join(FILE_NAME);
    let mut file = OpenOptions::new()
        .read(true)
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let mut text = String::new();
    let mut written = String::new();
    file.read_to_string(&mut written)?;
    if written.contains(run.run.as_str()) {
        return Ok(());
    }
    if written.is_empty() {
        text.push_str(HEADER);
    }
    text.push_str(&row(run));
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

fn row(run: &RunSummary) -> String {
    let receipt = run.receipt.as_ref();
    let exit_code = receipt.and_then(|receipt| receipt.exit_code);
    let micros = run.usage.cost.0;
    let fields = [
        run.started.to_string(),
        run.run.to_string(),
        run.repo.to_string(),
        run.issue.to_string(),
        run.outcome
            .as_ref()
            .map_or("running", |outcome| outcome.word())
            .to_owned(),
        run.branch.clone().unwrap_or_default(),
        run.pull_request
            .as_ref()
            .map(|pull| pull.number.to_string())
            .unwrap_or_default(),
        receipt
            .map(|receipt| receipt.command.clone())
            .unwrap_or_default(),
        exit_code.map(|code| code.to_string()).unwrap_or_default(),
        run.steps.to_string(),
        run.model_calls.to_string(),
        run.usage.input_tokens.to_string(),
        run.usage.output_tokens.to_string(),
        format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000),
        format!("{}.{:03}", run.duration_ms / 1_000, run.duration_ms % 1_000),
        run.provider.clone(),
        run.provenance.word().to_owned(),
        run.sandbox.word().to_owned(),
    ];
    fields.map(|field| quote(&field)).join(",") + "\n"
}

/// A field as RFC 4180 has it. A leading character that makes spreadsheets run a formula gets an
/// apostrophe before it.
fn quote(field: &str) -> String {
    let armed = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if armed {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if field.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_and_disarmed() {
        for (field, quoted) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=cmd()", "'=cmd()"),
            ("-1\n", "\"'-1\n\""),
        ] {
            assert_eq!(quoted, quote(field));
        }
    }
}
