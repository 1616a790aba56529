//! A report as one page: no script, nothing from elsewhere, everything escaped.

use std::fmt::Write;

use super::document::Block;
use super::document::Chart;
use super::document::ColumnKind;
use super::document::Document;
use super::document::Figure;
use super::document::Inline;
use super::document::Item;
use super::document::Links;
use super::document::Section;
use super::document::Table;
use super::document::Words;
use super::markdown::marker;
use crate::chart::STYLE;
use crate::chart::escaped;

/// How the page looks.
const PAGE: &str = include_str!("html.css");
/// What the page may load: nothing. Its own styles are inside it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
     form-action 'none'";

/// Writes a report.
#[must_use]
pub fn write(document: &Document, links: &Links) -> String {
    let mut page = format!(
        "<!doctype html>\n{}\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}: {stretch}</title>\n<style>\n{PAGE}{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<p class=\"name\">timmy</p>\n<h1>{title}</h1>\n<p class=\"stretch\">{stretch}</p>\n",
        marker(&document.key),
        title = escaped(&document.title),
        stretch = escaped(&document.stretch),
    );
    page.push_str("<dl class=\"figures\">\n");
    for figure in &document.figures {
        page.push_str(&of_figure(figure));
    }
    page.push_str("</dl>\n</header>\n<main>\n");
    for section in &document.sections {
        page.push_str(&of_section(section, links));
    }
    page.push_str(
        "</main>\n<footer>Written from the event log and the forge&#39;s own state by \
         <code>timmy report</code>. No model took part.</footer>\n</body>\n</html>\n",
    );
    page
}

fn of_figure(figure: &Figure) -> String {
    format!(
        "<div class=\"figure {}\"><dt>{}</dt><dd>{}</dd></div>\n",
        figure.tone.class(),
        escaped(&figure.label),
        escaped(&figure.value)
    )
}

fn of_section(section: &Section, links: &Links) -> String {
    let id = section.id;
    let heading = format!("<h2 id=\"{id}-heading\">{}</h2>", escaped(&section.heading));
    let blocks: String = section
        .blocks
        .iter()
        .map(|block| of_block(block, links))
        .collect();
    let inside = match section.folded {
        true => format!("<details><summary>{heading}</summary>\n{blocks}</details>"),
        false => format!("{heading}\n{blocks}"),
    };
    format!("<section id=\"{id}\" aria-labelledby=\"{id}-heading\">\n{inside}\n</section>\n")
}

fn of_block(block: &Block, links: &Links) -> String {
    match block {
        Block::Words(words) => format!("<p>{}</p>\n", of_words(words, links)),
        Block::List(items) => {
            let items: String = items.iter().map(|item| of_item(item, links)).collect();
            format!("<ol class=\"items\">\n{items}</ol>\n")
        }
        Block::Table(table) => of_table(table, links),
        Block::Chart(chart) => of_chart(chart),
    }
}

fn of_item(item: &Item, links: &Links) -> String {
    let mut entry = match &item.tag {
        Some((_, tone)) => format!("<li class=\"tagged {}\">", tone.class()),
        None => "<li>".to_owned(),
    };
    if let Some((tag, _)) = &item.tag {
        let _ = write!(entry, "<span class=\"tag\">{}</span> ", escaped(tag));
    }
    entry.push_str("<span class=\"what\">");
    if !item.about.is_empty() {
        let about = of_words(&item.about, links);
        let _ = write!(entry, "<b class=\"about\">{about}</b> ");
    }
    let _ = write!(entry, "{}</span>", of_words(&item.what, links));
    if let Some(todo) = &item.todo {
        let _ = write!(
            entry,
            " <span class=\"todo\">{}</span>",
            of_inline(todo, links)
        );
    }
    entry.push_str("</li>\n");
    entry
}

fn of_chart(chart: &Chart) -> String {
    let drawing = &chart.drawing;
    format!(
        "<figure class=\"chart-frame\"><figcaption>{}</figcaption>\
         <div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{}\">{}</div></figure>\n",
        escaped(drawing.title()),
        escaped(drawing.title()),
        drawing.inside()
    )
}

fn of_table(table: &Table, links: &Links) -> String {
    let class = |kind: ColumnKind| match kind {
        ColumnKind::Words => "",
        ColumnKind::Long => " class=\"long\"",
        ColumnKind::Figures => " class=\"number\"",
    };
    let mut page = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{caption}\"><table>\n\
         <caption>{caption}</caption>\n<thead><tr>",
        caption = escaped(&table.caption)
    );
    for column in &table.columns {
        let _ = write!(
            page,
            "<th scope=\"col\"{}>{}</th>",
            class(column.kind),
            escaped(column.name)
        );
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        page.push_str("<tr>");
        for (place, (column, cell)) in table.columns.iter().zip(row).enumerate() {
            let words = of_words(cell, links);
            let class = class(column.kind);
            let _ = match place {
                0 => write!(page, "<th scope=\"row\"{class}>{words}</th>"),
                _ => write!(page, "<td{class}>{words}</td>"),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
    page
}

fn of_words(words: &Words, links: &Links) -> String {
    words
        .iter()
        .map(|inline| of_inline(inline, links))
        .collect()
}

fn of_inline(inline: &Inline, links: &Links) -> String {
    let link = |address: Option<String>, text: &str| match address {
        Some(address) => format!(
            "<a href=\"{}\" rel=\"noreferrer\">{}</a>",
            escaped(&address),
            escaped(text)
        ),
        None => escaped(text),
    };
    match inline {
        Inline::Text(text) => escaped(text),
        Inline::Code(text) => format!("<code>{}</code>", escaped(text)),
        Inline::Issue(name) => link(links.issue(name), &name.to_string()),
        Inline::Number(name) => link(links.issue(name), &format!("#{}", name.number)),
        Inline::Pull(name) => link(links.pull(name), &name.to_string()),
        Inline::OpenPull(name) => link(links.pull(name), &format!("open #{}", name.number)),
    }
}
