//! `timmy report`: the same bytes twice, whatever cannot be seen, and delivered in every way.

use serde_json::Value;
use serde_json::json;
use timmy_forge::Forge;
use timmy_forge::Issue;
use timmy_forge::IssueFilter;
use timmy_forge::MergeRequest;
use timmy_forge::MergeStyle;
use timmy_forge::StateFilter;

use crate::home::Home;
use crate::home::REPO;
use crate::home::Ran;
use crate::home::ran;
use crate::loop_stage::QUICK;
use crate::loop_stage::Stage;

const FORMS: [&str; 4] = ["text", "md", "html", "json"];

/// A stage after a night that left one pull request.
async fn after_a_night() -> Stage {
    let stage = Stage::new().await;
    stage.until_idle().await.well();
    stage
}

/// The report in a time zone, with these arguments.
async fn report(home: &Home, arguments: &[&str]) -> Ran {
    let mut command = home.command(&[&["report"], arguments].concat());
    command.env("TZ", "Asia/Kolkata");
    ran(command).await
}

/// The issues of the small project that are reports.
async fn posted(stage: &Stage) -> Vec<Issue> {
    let filter = IssueFilter {
        state: StateFilter::All,
        ..IssueFilter::default()
    };
    let repo = REPO.parse().unwrap();
    let mut issues = stage.forge.client.issues(&repo, &filter).await.unwrap();
    issues.retain(|issue| issue.body.contains("<!-- timmy:report/"));
    issues
}

fn needs(report: &Value) -> Vec<String> {
    let needs = report["needs_a_person"].as_array().unwrap();
    let what = needs.iter().map(|need| need["what"].as_str().unwrap());
    what.map(str::to_owned).collect()
}

#[tokio::test]
async fn two_reports_of_one_night_are_the_same_bytes() {
    let stage = after_a_night().await;
    for form in FORMS {
        let one = report(&stage.home, &["--format", form]).await.well();
        let other = report(&stage.home, &["--format", form]).await.well();
        assert_eq!(one.stdout, other.stdout, "{form}");
        assert_eq!("", one.stderr, "{form}");
    }
    let text = report(&stage.home, &[]).await.well().stdout;
    assert!(text.contains("+05:30"), "{text}");
    assert!(text.contains("1 ready for review"), "{text}");
    let told = report(&stage.home, &["--json"]).await.well().json();
    assert_eq!("night", told["window"]["of"]);
    assert_eq!(json!("open"), told["runs"][0]["pull_state"]);
    assert_eq!(
        vec!["review pull request #2, its check passed"],
        needs(&told)
    );
    assert_eq!(json!([]), told["disagreements"], "{told}");
}

#[tokio::test]
async fn the_forge_is_asked_for_lists_and_not_run_by_run() {
    let stage = Stage::new().await;
    for _ in 0..3 {
        stage.forge.issue("Another one").await;
    }
    stage.until_idle().await.well();
    let before = stage.front.seen().len();
    report(&stage.home, &[]).await.well();
    let seen = stage.front.seen().split_off(before);
    let lists = |of: &str| seen.iter().filter(|line| line.contains(of)).count();
    assert_eq!(1, lists("/pulls?"), "{seen:?}");
    assert_eq!(1, lists("/issues?"), "{seen:?}");
    // Of open pull requests reviews and statuses are read; of nothing else anything.
    let rest = seen.iter().filter(|line| {
        !["/pulls?", "/issues?", "/reviews", "/status"]
            .iter()
            .any(|part| line.contains(part))
    });
    assert_eq!(0, rest.count(), "{seen:?}");
}

#[tokio::test]
async fn what_was_merged_is_read_from_the_forge() {
    let stage = after_a_night().await;
    let (repo, client) = (REPO.parse().unwrap(), &stage.forge.client);
    let pull = client.checked_pull(&repo, 2).await.unwrap();
    let request = MergeRequest {
        style: MergeStyle::Squash,
        head: pull.head,
    };
    client.merge_pull(&repo, 2, &request).await.unwrap();
    let told = report(&stage.home, &["--json"]).await.well().json();
    assert_eq!(json!({"merged": 1}), told["standings"]);
    assert_eq!(
        (json!(1), json!(54)),
        (
            told["price"]["merged"].clone(),
            told["price"]["tokens_each"].clone()
        )
    );
    assert_eq!(json!("merged"), told["runs"][0]["pull_state"]);
}

#[tokio::test]
async fn a_forge_that_is_away_is_part_of_the_report() {
    let stage = after_a_night().await;
    stage
        .forge
        .configure_at(&stage.home, "http://127.0.0.1:9", "true", "");
    let told = report(&stage.home, &["--json"]).await.well().json();
    assert_eq!(json!({"unknown": 1}), told["standings"]);
    assert_eq!(json!(null), told["price"]["tokens_each"]);
    let code = told["unseen"][0]["code"].as_str().unwrap().to_owned();
    stage.home.assert_explained(&code).await;
    let text = report(&stage.home, &[]).await.well().stdout;
    assert!(text.contains("What could not be seen"), "{text}");
    assert!(text.contains("not known"), "{text}");
}

#[tokio::test]
async fn an_empty_log_has_a_report_in_every_form() {
    let home = Home::new();
    home.configure_small("");
    for form in FORMS {
        let told = report(&home, &["--format", form]).await.well().stdout;
        assert!(!told.is_empty(), "{form}");
    }
    let text = report(&home, &["--since", "night"]).await.well().stdout;
    assert!(text.contains("there were no runs"), "{text}");
}

#[tokio::test]
async fn a_window_that_cannot_be_is_refused() {
    let home = Home::new();
    home.configure_small("");
    for (arguments, code) in [
        (["--since", "soon", "--until", "8"], "TIMMY-1060"),
        (["--since", "8", "--until", "\u{1b}[31mred"], "TIMMY-1060"),
        (
            ["--since", "2026-02-01", "--until", "2026-01-01"],
            "TIMMY-1061",
        ),
    ] {
        let ran = report(&home, &[&arguments, &["--json"][..]].concat()).await;
        assert_eq!((2, code.to_owned()), ran.refusal(), "{arguments:?}");
        home.assert_explained(code).await;
    }
}

#[tokio::test]
async fn a_report_is_posted_once_and_brought_up_to_date() {
    let stage = after_a_night().await;
    let first = report(&stage.home, &["--post", "--json"])
        .await
        .well()
        .json();
    let number = first["number"].as_u64().unwrap();
    assert_eq!(
        json!({"repo": REPO, "number": number, "how": "opened"}),
        first
    );
    let again = report(&stage.home, &["--post", REPO, "--json"])
        .await
        .well()
        .json();
    assert_eq!(
        json!({"repo": REPO, "number": number, "how": "unchanged"}),
        again
    );
    // What becomes of its pull request changes what the report says.
    stage.home.run(&["pr", "merge", "#2"]).await.well();
    let third = report(&stage.home, &["--post", "--json"])
        .await
        .well()
        .json();
    assert_eq!(
        json!({"repo": REPO, "number": number, "how": "updated"}),
        third
    );
    let issues = posted(&stage).await;
    let [issue] = issues.as_slice() else {
        panic!("{issues:?}");
    };
    assert!(
        issue.title.starts_with("[timmy report] "),
        "{}",
        issue.title
    );
    assert!(issue.body.contains("1 merged"), "{}", issue.body);
    assert!(!issue.body.contains("![") && issue.labels.is_empty());
    // Nobody works on it.
    let name = format!("{REPO}#{number}");
    let explained = stage.home.json(&["explain", &name]).await.well().json();
    assert_eq!(json!(false), explained["workable"], "{explained}");
    let night = report(&stage.home, &["--until", "2100-01-01", "--post"])
        .await
        .well();
    assert!(night.stdout.starts_with("posted as"), "{night:?}");
    assert_eq!(2, posted(&stage).await.len());
}

#[tokio::test]
async fn a_report_is_mailed_and_not_lost() {
    let stage = after_a_night().await;
    let took = stage.home.beside("mail");
    let mail = |script: &str| {
        format!(
            "{QUICK}[report]\nmail = [\"sh\", \"-c\", \"{script}\"]\nto = [\"ada@example.org\"]\n\
             from = \"timmy@example.org\"\n"
        )
    };
    stage.configure(&mail(&format!("cat > {}", took.display())));
    let sent = report(&stage.home, &["--mail"]).await.well();
    assert_eq!(
        ("", "mailed to ada@example.org\n"),
        (&*sent.stdout, &*sent.stderr)
    );
    let message = std::fs::read_to_string(&took).unwrap();
    for part in [
        "From: timmy@example.org\r\n",
        "To: ada@example.org\r\n",
        "Subject: Morning report: the night since ",
        "multipart/alternative",
        "text/plain; charset=utf-8",
        "text/html; charset=utf-8",
    ] {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    stage.configure(&mail("echo no route >&2; exit 75"));
    let file = stage.home.beside("report.html");
    let arguments = [
        "--mail",
        "--json",
        "--output",
        file.to_str().unwrap(),
        "--format",
        "json",
    ];
    let (exit, code) = report(&stage.home, &arguments).await.refusal();
    assert_eq!((69, "TIMMY-1066"), (exit, code.as_str()));
    assert!(file.exists(), "the report itself is kept");
    let kept = crate::home::files(&stage.home.root().join("report"));
    let [kept] = kept.as_slice() else {
        panic!("{kept:?}");
    };
    assert!(
        std::fs::read_to_string(kept)
            .unwrap()
            .contains("multipart/alternative")
    );
    stage.configure("");
    let (exit, code) = report(&stage.home, &["--mail", "--json"]).await.refusal();
    assert_eq!((78, "TIMMY-1065"), (exit, code.as_str()));
}

#[tokio::test]
async fn a_report_in_a_file_takes_its_charts_along() {
    let stage = after_a_night().await;
    let file = stage.home.beside("morning.md");
    let named = file.to_str().unwrap();
    for _ in 0..2 {
        let wrote = report(&stage.home, &["--output", named]).await.well();
        assert_eq!("", wrote.stdout);
    }
    let markdown = std::fs::read_to_string(&file).unwrap();
    let images: Vec<&str> = markdown
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
        .collect();
    assert!(images.contains(&"morning-timeline.svg"), "{markdown}");
    for image in images {
        let drawing = std::fs::read_to_string(stage.home.beside(image)).unwrap();
        assert!(drawing.starts_with("<svg xmlns="), "{image}: {drawing}");
    }
    std::fs::write(&file, "my own notes").unwrap();
    let (exit, code) = report(&stage.home, &["--output", named, "--json"])
        .await
        .refusal();
    assert_eq!((78, "TIMMY-1062"), (exit, code.as_str()));
    assert_eq!("my own notes", std::fs::read_to_string(&file).unwrap());
    report(&stage.home, &["--output", named, "--force"])
        .await
        .well();
    assert_eq!(markdown, std::fs::read_to_string(&file).unwrap());
}

#[tokio::test]
async fn a_report_needs_one_place_to_be_posted_to() {
    let home = Home::new();
    home.configure("[forge]\nkind = \"embedded\"\nrepositories = [\"a/b\", \"a/c\"]\n");
    let (exit, code) = report(&home, &["--post", "--json"]).await.refusal();
    assert_eq!((2, "TIMMY-1064"), (exit, code.as_str()));
    home.assert_explained(&code).await;
    let (exit, code) = report(&home, &["--format", "html", "--json"])
        .await
        .refusal();
    assert_eq!((2, "TIMMY-0111"), (exit, code.as_str()));
}
