use proptest::prelude::*;
use timmy_core::Coded;
use timmy_forge::Issue;

use super::*;
use crate::selection::SelectionSettings;
use crate::workflow::issue::tests::issue;

fn tracked(issue: &Issue) -> TrackedIssue {
    let repo = "owner/name".parse().unwrap();
    let blockers = [self::issue(7, "First", &[]), self::issue(8, "Second", &[])];
    let selection = SelectionSettings::default();
    TrackedIssue::normalise(&repo, issue, &blockers, true, &selection).unwrap()
}

fn example() -> TrackedIssue {
    let mut issue = issue(12, "Sum is wrong", &["Bug", "P1"]);
    issue.body = "It gives 2.\nIt should give 1.".to_owned();
    tracked(&issue)
}

fn render(template: &str) -> Result<String, WorkflowError> {
    Template::parse(template)?.render(&example(), None)
}

fn class(template: &str) -> &'static str {
    render(template).unwrap_err().class()
}

#[test]
fn a_template_is_given_the_issue_and_the_attempt() {
    let template = "Work on {{ issue.identifier }}: {{ issue.title }} ({{ issue.state }})\n\
        {% if attempt %}Attempt {{ attempt }}.{% else %}First attempt.{% endif %}\n\
        {% for label in issue.labels %}[{{ label }}]{% endfor %}\n\
        {% for blocker in issue.blocked_by %}- {{ blocker.identifier }} is {{ blocker.state }}\n{% endfor -%}\n\
        {% if issue.description %}{{ issue.description }}{% else %}No description.{% endif %}\n\
        {{ issue.native_ref.repository }} {{ issue.priority }} {{ issue.branch_name }}.\n";
    let template = Template::parse(template).unwrap();
    let first = template.render(&example(), None).unwrap();
    let third = template.render(&example(), Some(3)).unwrap();
    insta::assert_snapshot!(format!("{first}\n=====\n{third}"));
}

#[test]
fn what_liquid_has_beyond_names_works_too() {
    for (template, expected) in [
        (
            "{% for l in issue.labels reversed limit:1 %}{{ l }}{{ forloop.index }}{% endfor %}",
            "bug1",
        ),
        (
            "{% for l in issue.labels offset:1 %}{{ l }}{% if forloop.last %}.{% endif %}{% endfor %}",
            "p1.",
        ),
        (
            "{% for x in issue.branch_name %}x{% else %}none{% endfor %}",
            "none",
        ),
        (
            "{% for i in (1..3) %}{{ i }}{% if i == 2 %}{% break %}{% endif %}{% endfor %}",
            "12",
        ),
        (
            "{% for i in (1..3) %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
            "13",
        ),
        (
            "{% for a in (1..2) %}{% for b in (1..2) %}{{ a }}{{ b }} {% endfor %}{% endfor %}",
            "11 12 21 22 ",
        ),
        ("{% unless attempt %}new{% endunless %}", "new"),
        (
            "{% case issue.state %}{% when 'open' %}o{% else %}c{% endcase %}",
            "o",
        ),
        (
            "{% if issue.labels contains 'bug' and issue.priority < 3 %}yes{% endif %}",
            "yes",
        ),
        (
            "{% if attempt == nil %}a{% elsif attempt > 2 %}b{% else %}c{% endif %}",
            "a",
        ),
        (
            "{% assign name = issue.title | upcase %}{{ name }}",
            "SUM IS WRONG",
        ),
        (
            "{% capture x %}{{ issue.state }}!{% endcapture %}{{ x }}{{ x }}",
            "open!open!",
        ),
        (
            "{{ issue.labels | join: ', ' }} {{ issue.labels.size }} {{ issue.labels.first }}",
            "bug, p1 2 bug",
        ),
        (
            "{{ issue.blocked_by | map: 'identifier' | last }}",
            "owner/name#8",
        ),
        ("{{ attempt | default: 1 | plus: 1 }}", "2"),
        (
            "{{ issue.title | truncate: 6 | replace: 'Sum', 'S' }}",
            "S...",
        ),
        (
            "{% comment %}{{ not.known }}{% endcomment %}{% raw %}{{ x }}{% endraw %}",
            "{{ x }}",
        ),
        (
            "{% for p in issue.native_ref %}{{ p.first }}={{ p.last }} {% endfor %}",
            "number=12 repository=owner/name ",
        ),
        ("a  {{- issue.state -}}  b", "aopenb"),
        ("no tags { at } all %}", "no tags { at } all %}"),
    ] {
        assert_eq!(expected, render(template).unwrap(), "{template}");
    }
}

#[test]
fn unknown_names_fail_the_rendering_wherever_they_stand() {
    for template in [
        "{{ isue.title }}",
        "{{ issue.titel }}",
        "{{ issue.native_ref.repo }}",
        "{% if issue.titel %}x{% endif %}",
        "{% if retry %}x{% else %}y{% endif %}",
        "{% unless retry %}x{% endunless %}",
        "{% if attempt %}{% elsif retry %}{% endif %}",
        "{% if issue.title == retry %}x{% endif %}",
        "{% case retry %}{% when 1 %}x{% endcase %}",
        "{% for l in issue.label %}x{% endfor %}",
        "{% for b in issue.blocked_by %}{{ b.titel }}{% endfor %}",
        "{% for b in issue.blocked_by %}{% if b.titel %}x{% endif %}{% endfor %}",
        "{% for l in issue.labels %}{% if forloop.indx %}x{% endif %}{% endfor %}",
        "{{ l }}{% for l in issue.labels %}{% endfor %}",
        "{{ retry | default: 1 }}",
        "{{ issue.title | append: retry }}",
        "{{ issue[retry] }}",
    ] {
        assert_eq!("template_render_error", class(template), "{template}");
    }
}

#[test]
fn unknown_filters_and_tags_fail_the_reading() {
    for template in [
        "{{ issue.title | shout }}",
        "{{ issue.created_at | date: '%Y' }}",
        "{% include 'x' %}",
        "{% render 'x' %}",
        "{% if attempt %}",
        "{% endif %}",
        "{{ issue.title",
        "{% for x issue.labels %}{% endfor %}",
        "{% for x in issue.labels by 2 %}{% endfor %}",
        "{{ }}",
    ] {
        assert_eq!("template_parse_error", class(template), "{template}");
    }
}

#[test]
fn what_is_wrong_with_a_template_is_told_in_a_line() {
    let told: Vec<_> = [
        "{{ issue.titel }}",
        "{% if retry %}x{% endif %}",
        "{{ issue.title | shout }}",
        "{% if attempt %}",
        "{{ issue.title | plus: 1 }}",
    ]
    .into_iter()
    .map(|template| render(template).unwrap_err().problem().what)
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_an_issue_says_is_never_a_template() {
    let hostile = "{{ attempt }}{% for i in (1..9) %}x{% endfor %}{{ 7 | plus: 1 }}";
    let mut issue = issue(1, hostile, &[hostile]);
    issue.body = hostile.to_owned();
    let template = "{{ issue.title }}\n{{ issue.labels | first }}\n{{ issue.description }}\n\
                    {% capture all %}{{ issue.title }}{% endcapture %}{{ all | append: '!' }}";
    let rendered = Template::parse(template)
        .unwrap()
        .render(&tracked(&issue), None)
        .unwrap();
    let expected = format!("{hostile}\n{hostile}\n> {hostile}\n{hostile}!");
    assert_eq!(expected.to_lowercase(), rendered.to_lowercase());
}

#[test]
fn templates_that_would_use_up_a_machine_are_ended() {
    let doubling = "{% assign x = 'aaaaaaaa' %}{% for i in (1..1000) %}{% assign x = x | append: x %}{% endfor %}".to_owned();
    let nested = "{% for a in (1..1000) %}{% for b in (1..1000) %}{% for c in (1..1000) %}\
                  {% endfor %}{% endfor %}{% endfor %}";
    let captures = "{% capture x %}aaaa{% endcapture %}{% for i in (1..1000) %}\
                    {% capture x %}{{ x }}{{ x }}{{ x }}{% endcapture %}{% endfor %}";
    let replaced = format!(
        "{{{{ '{}' {} }}}}",
        "a".repeat(100),
        "| replace: 'a', 'aaaaaaaaaaaaaaaaaaaaaaa' ".repeat(9)
    );
    let joined = format!(
        "{{{{ '{}' | split: '' | join: '{}' }}}}",
        "x".repeat(400),
        "y".repeat(400)
    );
    let blocks = "{% if attempt %}".repeat(120) + &"{% endif %}".repeat(120);
    let elses =
        "{% if attempt %}".to_owned() + &"{% elsif attempt %}".repeat(100_000) + "{% endif %}";
    let cases = [
        "{% for i in (1..9000000000000) %}{% endfor %}".to_owned(),
        "{% for i in (-9223372036854775808..9223372036854775807) %}{% endfor %}".to_owned(),
        nested.to_owned(),
        doubling,
        captures.to_owned(),
        replaced,
        joined,
        blocks,
        elses,
        "{{ issue.labels".to_owned() + &"[0".repeat(3_000),
        format!("{{{{ a{} }}}}", "[a".repeat(400)),
        " ".repeat(60_000),
        "{{".repeat(30_000),
        "{%".repeat(30_000),
        "{{ 'a' }}".repeat(7_000) + "{{",
        "{% for i in (1..1000) %}{% for j in (1..1000) %}aaaaaaaaa{% endfor %}{% endfor %}"
            .to_owned(),
        "{{ 1000000000 | times: 1000000000 | times: 1000000000 }}".to_owned(),
        "{{ 9223372036854775807 | plus: 1 }}".to_owned(),
        "{{ 1 | divided_by: 0 }}".to_owned(),
        "{{ 1 | modulo: 0 }}".to_owned(),
    ];
    for template in cases {
        let start: String = template.chars().take(60).collect();
        assert!(render(&template).is_err(), "{start}");
    }
}

/// A piece of a template: well-formed ones often, others sometimes.
fn piece() -> impl Strategy<Value = String> {
    let filter = proptest::sample::select(
        filters::all()
            .iter()
            .map(|filter| filter.reflection().name().to_owned())
            .collect::<Vec<_>>(),
    );
    let value = proptest::sample::select(vec![
        "issue",
        "issue.labels",
        "issue.title",
        "issue.description",
        "attempt",
        "issue.blocked_by",
        "'text'",
        "7",
        "-3",
        "2.5",
        "9223372036854775807",
        "nil",
        "empty",
        "true",
        "x",
        "(1..4)",
        "''",
    ]);
    let filters = (value.clone(), filter, value.clone(), value.clone(), 0..3_u8);
    prop_oneof![
        4 => filters.prop_map(|(value, filter, one, two, arguments)| match arguments {
            0 => format!("{{{{ {value} | {filter} }}}}"),
            1 => format!("{{{{ {value} | {filter}: {one} }}}}"),
            _ => format!("{{% assign x = {value} | {filter}: {one}, {two} %}}{{{{ x }}}}"),
        }),
        2 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{{% if {a} == {b} %}}a{{% endif %}}")),
        1 => value.clone().prop_map(|v| format!("{{% for x in {v} %}}{{{{ x }}}}{{% endfor %}}")),
        1 => value.prop_map(|v| format!("{{% for x in (1..{v}) limit:{v} offset:{v} %}}y{{% endfor %}}")),
        1 => "(?s)[{}%|:. a-c'\\[\\]()-]{0,12}",
        1 => "(?s).{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn any_template_is_rendered_or_refused_without_panic(pieces in prop::collection::vec(piece(), 0..6)) {
        let _ = render(&pieces.concat());
    }

    #[test]
    fn nothing_of_an_issue_can_pass_for_a_line_of_the_template(
        title in "(?s).{1,80}", body in "(?s).{0,200}", label in "(?s).{0,40}",
    ) {
        let mut issue = issue(1, &format!("t{title}"), &[&label]);
        issue.body = format!("{body}\n# Rules\n{{{{ attempt }}}}\n```");
        let template = "# Task\n{{ issue.title }}\n{% for l in issue.labels %}{{ l }}\n{% endfor %}{{ issue.description }}\nEnd.";
        let rendered = Template::parse(template).unwrap().render(&tracked(&issue), None).unwrap();
        let lines: Vec<&str> = rendered.lines().collect();
        let labels = tracked(&issue).labels.len();
        prop_assert_eq!(("# Task", "End."), (lines[0], lines[lines.len() - 1]));
        let foreign = &lines[2 + labels..lines.len() - 1];
        prop_assert!(foreign.iter().all(|line| line.starts_with("> ")), "{}", rendered);
        prop_assert!(lines[1..2 + labels].iter().all(|line| !line.starts_with(['#', '>', '`', '<'])));
    }
}

#[test]
fn what_comes_of_an_issue_is_bounded() {
    let mut issue = issue(1, &"t".repeat(100_000), &[&"l".repeat(100_000)]);
    issue.body = "d\n".repeat(100_000);
    let template = "{{ issue.title }}{{ issue.labels.first }}{{ issue.description }}";
    let template = Template::parse(template).unwrap();
    let rendered = template.render(&tracked(&issue), None).unwrap();
    assert!(rendered.len() < 20_000, "{}", rendered.len());
}
