//! `timmy doctor`: everything a sprint needs, and how to mend what is missing.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Command;

use serde::Serialize;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::text;
use timmy_store::Store;

use super::Ended;
use crate::host::Host;
use crate::host::helper;
use crate::output;
use crate::output::Form;

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) what: String,
    /// Whether it is as it should be; none for what is merely told.
    pub(super) good: Option<bool>,
    /// What was found.
    pub(super) found: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl Finding {
    fn good(what: &str, found: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            good: Some(true),
            found: found.into(),
            fix: None,
        }
    }

    fn bad(what: &str, problem: &Problem) -> Self {
        let found = format!("{} {}", problem.code, problem.what);
        Self {
            what: what.to_owned(),
            good: Some(false),
            found,
            fix: problem.fix.clone(),
        }
    }

    fn of(what: &str, result: Result<String, Problem>) -> Self {
        match result {
            Ok(found) => Self::good(what, found),
            Err(problem) => Self::bad(what, &problem),
        }
    }
}

/// Programs that timmy calls: what for, and the package that brings them.
const PROGRAMS: [(&str, &str, &str); 4] = [
    ("git", "--version", "git"),
    ("bwrap", "--version", "bubblewrap"),
    ("tmux", "-V", "tmux"),
    ("ffmpeg", "-version", "ffmpeg"),
];
/// Without it no sprint can be done; whether bwrap is needed, the sandbox levels tell.
const NEEDED: &str = "git";

pub(super) async fn run(host: &Host) -> Ended {
    let bar = output::progress("looking");
    let findings = examine(host).await?;
    bar.finish_and_clear();
    let healthy = findings.iter().all(|finding| finding.good != Some(false));
    if host.form == Form::Json {
        output::json(&serde_json::json!({ "healthy": healthy, "findings": findings }))?;
    } else {
        print(&findings)?;
    }
    Ok(if healthy {
        ExitStatus::Success
    } else {
        ExitStatus::Refused
    })
}

/// Looks at everything.
pub(super) async fn examine(host: &Host) -> Result<Vec<Finding>, Problem> {
    let mut findings: Vec<Finding> = PROGRAMS
        .iter()
        .map(|(name, flag, package)| program(name, flag, package))
        .collect();
    findings.extend(sandbox(host).await?);
    findings.push(configuration(host));
    match host.store().await {
        Ok(store) => {
            findings.push(Finding::good(
                "private root",
                host.root.display().to_string(),
            ));
            if host.loaded.exists {
                findings.extend(forge(host, &store).await);
                findings.push(providers(host, &store).await);
            }
        }
        Err(problem) => findings.push(Finding::bad("private root", &problem)),
    }
    Ok(findings)
}

fn print(findings: &[Finding]) -> Result<(), Problem> {
    let rows = findings.iter().map(|finding| {
        let mark = finding.good.map_or("-".to_owned(), output::verdict);
        vec![finding.what.clone(), mark, finding.found.clone()]
    });
    output::line(&output::table(&["what", "", "found"], rows.collect()))?;
    for finding in findings {
        if let Some(fix) = finding.fix.as_ref().filter(|_| finding.good != Some(true)) {
            output::line(&format!("to mend {}: {fix}", finding.what))?;
        }
    }
    Ok(())
}

fn program(name: &str, flag: &str, package: &str) -> Finding {
    let started = Command::new(name).arg(flag).output();
    let found = started.ok().filter(|output| output.status.success());
    let needed = name == NEEDED;
    match found {
        Some(output) => {
            let first = String::from_utf8_lossy(&output.stdout);
            Finding::good(
                name,
                text::clean_line(first.lines().next().unwrap_or_default()),
            )
        }
        None => Finding {
            what: name.to_owned(),
            good: needed.then_some(false),
            found: if needed {
                "missing".to_owned()
            } else {
                "missing, but sprints can do without".to_owned()
            },
            fix: Some(format!("apt-get install {package}")),
        },
    }
}

/// Every level, found by running a canary in it. One that works is enough.
async fn sandbox(host: &Host) -> Result<Vec<Finding>, Problem> {
    let settings = host.loaded.config.sandbox.isolation();
    let reports = timmy_sandbox::survey(&settings, &helper()?).await;
    let some_level = reports.iter().any(|report| report.usable);
    let level = |report: &timmy_sandbox::LevelReport| Finding {
        what: format!("sandbox {}", report.level.word()),
        good: match (report.usable, some_level) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        },
        found: text::clean_line(&report.detail),
        // Where one level works, nobody has to mend another.
        fix: report.fix.clone().filter(|_| !some_level),
    };
    Ok(reports.iter().map(level).collect())
}

fn configuration(host: &Host) -> Finding {
    let result = host
        .config()
        .map(|_| host.loaded.path.display().to_string());
    Finding::of("configuration", result)
}

async fn forge(host: &Host, store: &Store) -> Vec<Finding> {
    let connection = match host.connect(store).await {
        Ok(connection) => connection,
        Err(problem) => return vec![Finding::bad("forge", &problem)],
    };
    let server = connection
        .forge()
        .server()
        .await
        .map_err(|error| error.problem());
    let server =
        server.map(|info| format!("{} {} at {}", info.kind, info.version, connection.base()));
    let mut findings = vec![Finding::of("forge", server)];
    for repo in &host.loaded.config.forge.repositories {
        let asked = connection
            .forge()
            .repository(repo)
            .await
            .map_err(|error| error.problem());
        let told = asked.map(|found| {
            let rights = if found.can_push {
                "may push"
            } else {
                "may NOT push"
            };
            let state = if found.archived { ", archived" } else { "" };
            format!("branch {}, {rights}{state}", found.default_branch)
        });
        findings.push(Finding::of(&format!("repository {repo}"), told));
    }
    findings
}

async fn providers(host: &Host, store: &Store) -> Finding {
    let opened = host
        .router(&crate::cli::ModelArguments::default(), store)
        .await;
    let names = host
        .loaded
        .config
        .provider
        .iter()
        .map(|p| p.name.as_str())
        .collect::<Vec<_>>();
    Finding::of(
        "model providers",
        opened.map(|_| format!("{} (nothing was asked)", names.join(", "))),
    )
}

/// The directory a path lies in, made when it is missing.
pub(super) fn make_parent(path: &Path) -> Result<(), Problem> {
    let parent = path.parent().unwrap_or(path);
    // Private, since it may become the private root.
    let mut directory = std::fs::DirBuilder::new();
    let made = directory.recursive(true).mode(0o700).create(parent);
    made.map_err(|error| {
        timmy_store::StoreError::Root {
            path: parent.to_owned(),
            reason: error.to_string(),
        }
        .problem()
    })
}
