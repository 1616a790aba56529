use jiff::Timestamp;
use proptest::prelude::*;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::event::Outcome;
use timmy_forge::PullState;
use url::Url;

use super::document::Block;
use super::document::Document;
use super::document::Links;
use super::markdown::Images;
use super::sample;
use super::sample::Attempt;
use super::sample::Night;
use super::sample::seen;
use super::sample::view;
use super::sample::zone;
use super::*;

fn links() -> Links {
    Links {
        base: Some(Url::parse("https://forge.example.org/").unwrap()),
    }
}

async fn told() -> Document {
    let report = sample::varied().await.report(&sample::morning()).await;
    telling::tell(&report, &zone(), &links())
}

#[tokio::test]
async fn a_night_reads_like_this_as_text() {
    let document = told().await;
    let text = text::write(&document, &links());
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn a_night_reads_like_this_as_markdown() {
    let images = Images::Beside("report".to_owned());
    insta::assert_snapshot!(markdown::write(&told().await, &links(), &images));
}

#[tokio::test]
async fn a_night_reads_like_this_as_a_page() {
    insta::assert_snapshot!(html::write(&told().await, &links()));
}

#[tokio::test]
async fn a_night_reads_like_this_for_programs() {
    let report = sample::varied().await.report(&sample::morning()).await;
    insta::assert_json_snapshot!(report);
}

#[tokio::test]
async fn the_same_log_and_forge_give_the_same_bytes() {
    let (one, other) = (told().await, told().await);
    assert_eq!(html::write(&one, &links()), html::write(&other, &links()));
    assert_eq!(text::write(&one, &links()), text::write(&other, &links()));
}

/// A run on an issue, begun in some minute, that ended like this.
pub(super) fn ended(run: u64, issue: u64, begin: u64, outcome: Outcome) -> Attempt {
    let number = match &outcome {
        Outcome::PullRequest { number } => Some((*number, false)),
        _ => None,
    };
    Attempt {
        run,
        issue,
        title: "A title",
        begin,
        minutes: 5,
        model: 0,
        tokens: 1,
        check: None,
        pull: number,
        outcome: Some(outcome),
    }
}

#[tokio::test]
async fn nothing_is_not_divided_and_an_empty_log_needs_nobody() {
    let report = Night::new()
        .write()
        .await
        .report(&ForgeView::default())
        .await;
    assert_eq!((0, None), (report.price.merged, report.price.cost_each));
    assert_eq!((0, 0), (report.needs_a_person.len(), report.unseen.len()));
    let document = telling::tell(&report, &zone(), &Links::default());
    let text = text::write(&document, &Links::default());
    assert!(text.contains("there were no runs"), "{text}");
}

#[tokio::test]
async fn a_forge_that_cannot_be_asked_is_said_and_nothing_is_made_up() {
    let mut night = Night::new();
    night.attempt(&ended(1, 7, 0, Outcome::PullRequest { number: 8 }));
    let problem = Problem::new(Code::new(502), ExitStatus::Unavailable, "nobody answers");
    let report = night
        .write()
        .await
        .report(&ForgeView::of_nothing(&problem))
        .await;
    assert_eq!(1, report.standing(Standing::Unknown));
    assert_eq!((0, None), (report.price.merged, report.runs[0].pull_state));
    assert_eq!(Some(problem.code), report.unseen[0].code);
    assert!(
        report.needs_a_person[0]
            .what
            .contains("review pull request #8")
    );
}

#[tokio::test]
async fn a_window_counts_what_began_in_it() {
    let mut night = Night::new();
    for (run, begin) in [(1, 0), (2, 60), (3, 120)] {
        night.attempt(&ended(run, run, begin, Outcome::NoChange));
    }
    let written = night.write().await;
    let begin = written
        .log
        .events(&timmy_store::Query::default())
        .await
        .unwrap()[0]
        .at;
    let minute = |minutes: i64| begin + jiff::SignedDuration::from_mins(minutes);
    for (since, until, runs, calls) in [
        (0, 500, 3, 3),
        (60, 120, 1, 1),
        (61, 120, 0, 0),
        (30, 63, 1, 1),
    ] {
        let moments = [since, until].map(|minutes| Some(Moment::At(minute(minutes))));
        let window = Window::between(moments[0], moments[1], None).unwrap();
        let report = written.report_of(window, &ForgeView::default()).await;
        let settled: u64 = report.models.iter().map(|row| row.calls).sum();
        assert_eq!(
            (runs, calls),
            (report.runs.len(), settled),
            "{since} to {until}"
        );
    }
}

#[tokio::test]
async fn a_platform_that_fails_is_one_thing_to_do() {
    let mut night = Night::new();
    for run in 1..=4_u64 {
        let what = format!("connection {run} to 127.0.0.1:{run}{run}3 was refused");
        let problem = Problem::new(Code::new(602), ExitStatus::Unavailable, what).fix("start it");
        night.attempt(&ended(run, run, run * 10, Outcome::Failed { problem }));
    }
    let report = night.write().await.report(&ForgeView::default()).await;
    let [cause] = report.failures.as_slice() else {
        panic!("{:?}", report.failures);
    };
    assert_eq!((4, 4), (cause.count, cause.issues.len()));
    assert_eq!("platform: models", cause.whose.word());
    assert_eq!(sample::run_id(4), cause.newest);
    let [need] = report.needs_a_person.as_slice() else {
        panic!("{:?}", report.needs_a_person);
    };
    assert_eq!(
        ("models", "start it"),
        (need.about.as_str(), need.todo.as_str())
    );
}

#[tokio::test]
async fn what_lasts_from_before_the_window_is_part_of_it() {
    let mut night = Night::new();
    let reason = "the house is moving".to_owned();
    night.at(
        0,
        None,
        timmy_core::EventKind::PauseAsked {
            reason,
            by: "ada@box".to_owned(),
        },
    );
    night.attempt(&ended(1, 1, 900, Outcome::NoChange));
    let written = night.write().await;
    let last = written
        .log
        .newest_up_to(&["run_started"], timmy_store::EventLog::END, 1)
        .await
        .unwrap()[0]
        .at;
    let window = Window::between(Some(Moment::At(last)), None, None).unwrap();
    let report = written.report_of(window, &ForgeView::default()).await;
    assert_eq!(Pressure::Standstill, report.needs_a_person[0].pressure);
    assert_eq!("timmy resume", report.needs_a_person[0].todo);
    let what = "the fleet is PAUSED by ada@box: the house is moving";
    assert_eq!(what, report.needs_a_person[0].what);
}

#[tokio::test]
async fn an_open_pull_request_of_a_closed_issue_is_abandoned() {
    let mut night = Night::new();
    night.attempt(&ended(1, 7, 0, Outcome::PullRequest { number: 8 }));
    let forge = view(vec![seen(8, 7, 1, PullState::Open)], &[1, 2]);
    let report = night.write().await.report(&forge).await;
    assert_eq!(1, report.standing(Standing::Abandoned));
    assert!(report.needs_a_person[0].what.contains("merge or close it"));
}

/// What in texts from elsewhere means something to a forge, a browser or a terminal.
fn hostile() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "<script>alert(1)</script>",
        "</title>",
        "-->",
        "<!--",
        "]]>",
        "\" onload=\"x",
        "'",
        "&amp;",
        "@everyone",
        "#12",
        "!3",
        "ada/tally#4",
        "GH-12",
        "https://evil.example/x",
        "www.evil.example",
        "[a](http://b)",
        "![a](http://b)",
        "|",
        "`",
        "``",
        "\n",
        "\n\n# heading",
        "\n- [ ] list",
        "\\",
        "*bold*",
        "_it_",
        "~~s~~",
        "$x$",
        "\u{1b}[31m",
        "\u{1b}]0;t\u{7}",
        "\r",
        "\u{202e}",
        "\u{200b}",
        "\0",
        "\u{fffe}",
        "\u{7f}",
        "\u{9b}2J",
        "closes #3",
        "\t",
        " ",
        "words",
        "\u{1f980}",
        "ｗｉｄｅ",
        ":tada:",
        "<img src=x>",
        "javascript:alert(1)",
        "&lt;",
        "%0a",
        "{{x}}",
        "a".repeat(200).leak(),
    ]);
    prop::collection::vec(parts, 0..12).prop_map(|parts| parts.concat())
}

/// Turns the direction of what follows.
const OVERRIDE: char = '\u{202e}';

/// A report in which every text from elsewhere is this one.
fn with(hostile: &str) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut report = runtime.block_on(async {
        let mut night = Night::new();
        let problem = Problem::new(Code::new(605), ExitStatus::Data, hostile).fix(hostile);
        night.attempt(&ended(
            1,
            7,
            0,
            Outcome::Failed {
                problem: problem.clone(),
            },
        ));
        let cancelled = Outcome::Cancelled {
            reason: hostile.to_owned(),
        };
        night.attempt(&ended(2, 8, 20, cancelled));
        let mut checked = ended(3, 9, 40, Outcome::CheckFailed);
        let printed: &'static str = hostile.to_owned().leak();
        checked.check = Some((printed, 1));
        checked.title = printed;
        night.attempt(&checked);
        let scope = hostile.to_owned();
        night.at(
            50,
            None,
            timmy_core::EventKind::DispatchPaused { scope, problem },
        );
        let mut asked = seen(5, 4, 9, PullState::Open);
        asked.pull.title = hostile.to_owned();
        asked.changes_asked = vec![hostile.to_owned()];
        night.write().await.report(&view(vec![asked], &[4])).await
    });
    for row in &mut report.models {
        row.provider = hostile.to_owned();
        row.model = Some(hostile.to_owned());
    }
    report
}

fn hostile_document(text: &str) -> Document {
    telling::tell(&with(text), &zone(), &links())
}

/// Whether tags are closed in the order in which they were opened, and none is foreign.
fn assert_well_formed(page: &str) {
    const VOID: [&str; 1] = ["meta"];
    const KNOWN: [&str; 44] = [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "footer",
        "section",
        "h1",
        "h2",
        "p",
        "dl",
        "dt",
        "dd",
        "div",
        "ol",
        "li",
        "span",
        "b",
        "a",
        "code",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "figure",
        "figcaption",
        "svg",
        "desc",
        "defs",
        "pattern",
        "path",
        "rect",
        "text",
        "g",
        "details",
        "summary",
        "h3",
        "ul",
    ];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if rest.starts_with('!') {
            continue;
        }
        let end = rest.find('>').unwrap();
        let tag = &rest[..end];
        assert!(!tag.contains('<'), "{tag}");
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .unwrap();
        assert!(KNOWN.contains(&name), "<{tag}>");
        for attribute in tag.split("=\"").skip(1) {
            assert!(attribute.contains('"'), "<{tag}>");
        }
        assert!(
            !tag.contains(" on") && !tag.contains("javascript:"),
            "<{tag}>"
        );
        if tag.starts_with('/') {
            assert_eq!(Some(name), open.pop(), "{tag}");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_text_becomes_markup_of_a_page(text in hostile()) {
        let page = html::write(&hostile_document(&text), &links());
        assert_well_formed(&page);
        prop_assert_eq!(1, page.matches("<!--").count());
        prop_assert!(!page.contains(OVERRIDE));
        for address in page.split("href=\"").skip(1) {
            prop_assert!(address.starts_with("https://forge.example.org/"));
        }
        prop_assert!(!page.contains("src=\""));
    }

    #[test]
    fn no_text_acts_on_a_forge(text in hostile()) {
        let markdown = markdown::write(&hostile_document(&text), &links(), &Images::None);
        prop_assert_eq!(1, markdown.matches("<!--").count());
        let plain = outside_of_code(&markdown);
        for acting in ["@everyone", "#12", "#3", "GH-12", "://", "www.e", "](", "![", "<script", "<img", "\\"] {
            prop_assert!(!plain.contains(acting), "{} in {}", acting, markdown);
        }
        let mut cells = None;
        for line in markdown.lines() {
            let bars = line.matches('|').count();
            if line.starts_with('|') {
                prop_assert_eq!(*cells.get_or_insert(bars), bars, "{}", line);
            } else {
                prop_assert_eq!(0, bars, "{}", line);
                cells = None;
            }
            prop_assert!(!line.starts_with("# heading"));
        }
    }

    #[test]
    fn no_text_steers_a_terminal(text in hostile()) {
        let written = text::write(&hostile_document(&text), &links());
        let odd = written.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        prop_assert_eq!(None, odd);
        for line in written.lines() {
            prop_assert!(line.chars().count() <= 80, "{}", line);
        }
    }

    #[test]
    fn no_text_breaks_a_drawing(text in hostile()) {
        for section in hostile_document(&text).sections {
            for block in section.blocks {
                if let Block::Chart(chart) = block {
                    assert_well_formed(&chart.drawing.alone());
                }
            }
        }
    }
}

/// Markdown without its code spans and its first line, which is the mark.
fn outside_of_code(markdown: &str) -> String {
    let lines = markdown.lines().skip(1);
    let outside = lines.flat_map(|line| line.split('`').step_by(2).chain(["\n"]));
    without_references(&outside.collect::<String>())
}

/// A text without `&#35;` and the like, which stand for a character and do nothing.
fn without_references(text: &str) -> String {
    let mut parts = text.split("&#");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| {
        let (number, rest) = part.split_once(';').unwrap();
        assert!(number.bytes().all(|byte| byte.is_ascii_digit()), "{part}");
        kept + "?" + rest
    })
}

#[tokio::test]
async fn a_report_that_is_too_long_for_a_forge_says_what_is_left_out() {
    let document = told().await.shortened(2);
    let markdown = markdown::write(&document, &Links::default(), &Images::None);
    assert!(markdown.contains("more are left out here."));
    let rows = markdown
        .lines()
        .filter(|line| line.starts_with("| `ada/tally#"));
    assert!(rows.count() <= 2, "{markdown}");
}

#[test]
fn a_moment_that_is_no_moment_is_refused() {
    let error = Moment::read("soon", Timestamp::UNIX_EPOCH, &zone().0).unwrap_err();
    assert_eq!(ExitStatus::Usage, error.problem().exit);
}
