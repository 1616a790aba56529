//! What a pull request and a comment say. Written from the log and the receipt; the agent's own
//! words are quoted as such and defused.

use timmy_core::IssueNumber;
use timmy_core::Receipt;
use timmy_core::RunId;
use timmy_core::money::Usage;
use timmy_core::receipt::Provenance;
use timmy_core::text;

/// The most bytes of the check's output that a pull request shows.
const OUTPUT_BYTES: usize = 4 << 10;
/// The longest title, in characters.
const TITLE_LENGTH: usize = 120;
/// The longest command that is shown in a line, in characters.
const CODE_LENGTH: usize = 300;

/// Everything a pull request is written from.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The issue.
    pub issue: IssueNumber,
    /// Its title.
    pub issue_title: &'a str,
    /// The receipt of the check on the published commit.
    pub receipt: &'a Receipt,
    /// Whether a model answered or a recording was played back.
    pub provenance: Provenance,
    /// The provider that was asked first.
    pub provider: &'a str,
    /// Steps taken.
    pub steps: u32,
    /// What the model calls used.
    pub usage: Usage,
    /// The agent's own account.
    pub summary: &'a str,
    /// The title the agent proposed.
    pub title: Option<&'a str>,
    /// The description the agent proposed.
    pub description: Option<&'a str>,
}

/// The hidden line by which timmy finds its own text again.
#[must_use]
pub fn marker(run: &RunId) -> String {
    format!("timmy:run={run}")
}

impl Evidence<'_> {
    /// The title of the pull request.
    #[must_use]
    pub fn pull_title(&self) -> String {
        let proposed = self
            .title
            .map(text::defuse_line)
            .filter(|title| !title.is_empty());
        let title = proposed.unwrap_or_else(|| text::defuse_line(self.issue_title));
        let title = title.trim_start_matches(['[', '-']).to_owned();
        let short: String = title.chars().take(TITLE_LENGTH).collect();
        format!("{short} (#{})", self.issue)
    }

    /// The body of the pull request.
    #[must_use]
    pub fn pull_body(&self) -> String {
        let verb = if self.receipt.passed() {
            "Closes"
        } else {
            "Refers to"
        };
        let mut body = format!("{verb} #{}.\n\n{}\n", self.issue, self.verdict());
        body.push_str(&self.table());
        let tail = text::tail(&self.receipt.output_tail, OUTPUT_BYTES);
        body.push_str("\n<details><summary>Output of the check</summary>\n\n");
        body.push_str(&text::fence(&tail, "text"));
        body.push_str("\n\n</details>\n");
        body.push_str(&self.account());
        body.push_str(&format!("\n<!-- {} -->\n", marker(self.run)));
        body
    }

    /// The comment on the issue.
    #[must_use]
    pub fn comment(&self, pull: IssueNumber, proposed: Option<&str>) -> String {
        let mut body = format!("Pull request #{pull} answers this. {}\n", self.verdict());
        if let Some(proposed) = proposed {
            body.push_str("\nThe agent asks or adds:\n\n");
            body.push_str(&quote(proposed));
        }
        body.push_str(&format!("\n<!-- {} -->\n", marker(self.run)));
        body
    }

    /// The comment on the pull request whose feedback was answered.
    #[must_use]
    pub fn reply(&self, proposed: Option<&str>) -> String {
        let commit = self.receipt.commit.short();
        let mut body = format!(
            "The remarks were answered with commit `{commit}`. {}\n",
            self.verdict()
        );
        if let Some(proposed) = proposed {
            body.push_str("\nThe agent asks or adds:\n\n");
            body.push_str(&quote(proposed));
        }
        body.push_str(&format!("\n<!-- {} -->\n", marker(self.run)));
        body
    }

    /// One sentence that can be checked.
    fn verdict(&self) -> String {
        let command = code(&self.receipt.command);
        let tree = self.receipt.tree.short();
        let replayed = self.replayed();
        match self.receipt.exit_code {
            Some(0) => format!("**The check passed** on tree `{tree}`: {command}.{replayed}"),
            Some(other) => {
                format!(
                    "**The check failed** with exit code {other} on tree `{tree}`: {command}.{replayed}"
                )
            }
            None => format!(
                "**The check did not end by itself** on tree `{tree}`: {command}.{replayed}"
            ),
        }
    }

    fn replayed(&self) -> &'static str {
        match self.provenance {
            Provenance::Live => "",
            Provenance::Replayed => {
                " The model's part was **replayed** from a recording; no model was asked."
            }
        }
    }

    fn table(&self) -> String {
        let exit_code = self
            .receipt
            .exit_code
            .map_or("none".to_owned(), |code| code.to_string());
        let seconds = format!(
            "{}.{:03}",
            self.receipt.duration_ms / 1_000,
            self.receipt.duration_ms % 1_000
        );
        let rows = [
            ("Check", cell(&self.receipt.command)),
            ("Exit code", exit_code),
            ("Commit", format!("`{}`", self.receipt.commit)),
            ("Tree", format!("`{}`", self.receipt.tree)),
            ("Seconds", seconds),
            ("Sandbox", self.receipt.sandbox.word().to_owned()),
            (
                "Output SHA-256",
                format!("`{}`", self.receipt.output_sha256),
            ),
            (
                "Model",
                format!("{} ({})", cell(self.provider), self.provenance.word()),
            ),
            ("Steps", self.steps.to_string()),
            (
                "Tokens",
                format!(
                    "{} in, {} out",
                    self.usage.input_tokens, self.usage.output_tokens
                ),
            ),
            ("Cost", self.usage.cost.to_string()),
            ("Run", format!("`{}`", self.run)),
        ];
        let rows: String = rows
            .iter()
            .map(|(name, value)| format!("| {name} | {value} |\n"))
            .collect();
        format!("\n| Evidence | |\n|---|---|\n{rows}")
    }

    fn account(&self) -> String {
        let words = self.description.unwrap_or(self.summary);
        if words.trim().is_empty() {
            return String::new();
        }
        format!(
            "\nThe agent's own account, which is not evidence:\n\n{}",
            quote(words)
        )
    }
}

/// Text of an agent as a Markdown quotation that acts on nothing.
fn quote(words: &str) -> String {
    const MOST_BYTES: usize = 4 << 10;
    let bounded = text::bound(words.trim(), MOST_BYTES);
    text::defuse_markdown(&bounded)
        .lines()
        .map(|line| format!("> {line}\n"))
        .collect()
}

/// [`code`] in a table.
fn cell(value: &str) -> String {
    code(value).replace('|', "\\|")
}

/// The start of a text as inline code on one line, which it cannot end.
fn code(value: &str) -> String {
    let line = text::clean_line(value);
    let mut shown: String = line.chars().take(CODE_LENGTH).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    if longest == 0 {
        return format!("`{shown}`");
    }
    let fence = "`".repeat(longest + 1);
    format!("{fence} {shown} {fence}")
}

#[cfg(test)]
mod tests {
    use timmy_core::money::MicroUsd;
    use timmy_core::receipt::SandboxLevel;

    use super::*;

    fn receipt(exit_code: Option<i32>) -> Receipt {
        Receipt {
            command: "cargo test --offline".to_owned(),
            exit_code,
            tree: "a".repeat(40).parse().unwrap(),
            commit: "b".repeat(40).parse().unwrap(),
            duration_ms: 1_250,
            output_tail: "test result: ok\n```\n@root #1\n".to_owned(),
            sandbox: SandboxLevel::L3,
            output_sha256: "c".repeat(64),
        }
    }

    fn evidence<'a>(run: &'a RunId, receipt: &'a Receipt) -> Evidence<'a> {
        Evidence {
            run,
            issue: 4,
            issue_title: "Sum is wrong",
            receipt,
            provenance: Provenance::Replayed,
            provider: "demo",
            steps: 6,
            usage: Usage {
                input_tokens: 900,
                output_tokens: 80,
                cost: MicroUsd(0),
            },
            summary: "Fixed it. Closes #99, ask @admin <script>",
            title: None,
            description: None,
        }
    }

    #[test]
    fn a_pull_request_reads_like_this() {
        let run: RunId = "0192f0c4-0000-7000-8000-000000000001".parse().unwrap();
        let receipt = receipt(Some(0));
        let evidence = evidence(&run, &receipt);
        insta::assert_snapshot!(format!(
            "{}\n\n{}",
            evidence.pull_title(),
            evidence.pull_body()
        ));
    }

    #[test]
    fn nobody_else_is_closed_told_or_linked() {
        let run: RunId = "0192f0c4-0000-7000-8000-000000000001".parse().unwrap();
        let mut receipt = receipt(Some(0));
        receipt.command = "true `` Closes #98 <img src=x> @root ``` |".to_owned();
        let mut evidence = evidence(&run, &receipt);
        evidence.issue_title = "Fixes #97 for @root";
        assert_eq!("Fixes # 97 for @ root (#4)", evidence.pull_title());
        evidence.title = Some("closes a/b#96");
        assert_eq!("closes a/b# 96 (#4)", evidence.pull_title());
        let command = "```` true `` Closes #98 <img src=x> @root ``` | ````";
        assert!(evidence.comment(7, None).contains(command));
    }

    #[test]
    fn a_failed_check_closes_nothing_and_says_so() {
        let run: RunId = "0192f0c4-0000-7000-8000-000000000001".parse().unwrap();
        for exit_code in [Some(101), None] {
            let receipt = receipt(exit_code);
            let body = evidence(&run, &receipt).pull_body();
            assert!(
                !body.contains("Closes #") && !body.contains("passed"),
                "{body}"
            );
        }
        let receipt = receipt(Some(101));
        insta::assert_snapshot!(evidence(&run, &receipt).comment(7, Some("Is #3 the same?")));
    }
}
