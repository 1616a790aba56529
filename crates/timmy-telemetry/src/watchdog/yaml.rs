//! Changing the model in a config.yaml of Hermes, and not one byte besides.
//!
//! The place is found in the text, for the forms that people write: a plain value, an indented record,
//! a record in braces. Then both texts are read as YAML: everything but the model and the provider has
//! to be equal, or the file is left alone. So whatever the search misunderstands is refused.

use std::ops::Range;

use serde_yaml_ng::Mapping;
use serde_yaml_ng::Value;

use super::scalar;
use super::scalar::Style;

/// What a configuration is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    pub(super) model: &'a str,
    /// None leaves the provider as it is.
    pub(super) provider: Option<&'a str>,
}

/// The names of the model inside a record, as Hermes looks for them.
const NAMES: [&str; 3] = ["default", "model", "name"];

/// The text with the model and the provider that are wanted.
///
/// # Errors
/// A sentence, when that cannot be done without changing anything else.
pub(super) fn edited(text: &str, wanted: Wanted<'_>) -> Result<String, String> {
    for value in [Some(wanted.model), wanted.provider].into_iter().flatten() {
        if value.chars().any(char::is_control) || value.trim() != value || value.is_empty() {
            return Err(format!("{value:?} is no name for a model or a provider"));
        }
    }
    let before = read(text)?;
    let (target, goal) = goal(&before, wanted)?;
    let edits = edits(text, &target, wanted).ok_or_else(|| {
        "the place of the model is written in a form that is not changed by a program".to_owned()
    })?;
    let after = applied(text, edits);
    match read(&after) {
        Ok(value) if value == goal => Ok(after),
        Ok(_) | Err(_) => {
            Err("changing the model there would change something else too".to_owned())
        }
    }
}

fn read(text: &str) -> Result<Value, String> {
    let value: Value = serde_yaml_ng::from_str(text)
        .map_err(|error| format!("it is not readable as YAML: {error}"))?;
    match value {
        Value::Mapping(_) => Ok(value),
        Value::Null => Ok(Value::Mapping(Mapping::new())),
        _ => Err("it is no record".to_owned()),
    }
}

/// What of the text has to change.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// There is no `model`.
    Missing,
    /// `model` is a plain value, or empty.
    Plain,
    /// `model` is a record, and this key of it holds the model.
    Record(&'static str),
}

/// The target, and the whole as it is to be.
fn goal(before: &Value, wanted: Wanted<'_>) -> Result<(Target, Value), String> {
    let merges = |map: &Mapping| map.contains_key("<<");
    let mut goal = before.clone();
    let Value::Mapping(root) = &mut goal else {
        return Err("it is no record".to_owned());
    };
    if merges(root) {
        return Err("it takes over other records with `<<`".to_owned());
    }
    let record = |provider: &str| {
        let mut record = Mapping::new();
        record.insert("default".into(), wanted.model.into());
        record.insert("provider".into(), provider.into());
        Value::Mapping(record)
    };
    let plain = wanted.provider.map_or(Value::from(wanted.model), record);
    let target = match root.get_mut("model") {
        None => {
            root.insert("model".into(), plain);
            Target::Missing
        }
        Some(Value::Mapping(inner)) if merges(inner) => {
            return Err("its model takes over another record with `<<`".to_owned());
        }
        Some(Value::Mapping(inner)) => {
            let filled = |name: &&str| {
                let value = inner.get(*name).and_then(Value::as_str);
                value.is_some_and(|value| !value.trim().is_empty())
            };
            let name = NAMES
                .into_iter()
                .find(|name| filled(name))
                .unwrap_or(NAMES[0]);
            let changed = [
                Some((name, wanted.model)),
                wanted.provider.map(|to| ("provider", to)),
            ];
            for (name, to) in changed.into_iter().flatten() {
                let old = inner.insert(name.into(), to.into());
                refuse_variable(old.as_ref())?;
            }
            Target::Record(name)
        }
        Some(value @ (Value::String(_) | Value::Null | Value::Number(_) | Value::Bool(_))) => {
            refuse_variable(Some(value))?;
            *value = plain;
            Target::Plain
        }
        Some(Value::Sequence(_) | Value::Tagged(_)) => {
            return Err("its model is a list, or has a tag".to_owned());
        }
    };
    Ok((target, goal))
}

/// What a variable says is changed where the variable is set.
fn refuse_variable(value: Option<&Value>) -> Result<(), String> {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    match text.contains("${") {
        true => Err(format!(
            "it says {text}; change the variable, in .env or the environment"
        )),
        false => Ok(()),
    }
}

type Edit = (Range<usize>, String);

fn applied(text: &str, mut edits: Vec<Edit>) -> String {
    let mut changed = text.to_owned();
    edits.sort_by_key(|(range, _)| range.start);
    for (range, with) in edits.into_iter().rev() {
        changed.replace_range(range, &with);
    }
    changed
}

/// A line: where it begins, and where its text and the line itself end.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: usize,
    end: usize,
    whole: usize,
}

fn lines(text: &str) -> Vec<Line> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        let content = line.strip_suffix('\n').unwrap_or(line);
        let content = content.strip_suffix('\r').unwrap_or(content);
        let found = Line {
            start,
            end: start + content.len(),
            whole: start + line.len(),
        };
        start += line.len();
        found
    });
    lines.collect()
}

impl Line {
    fn text<'a>(&self, text: &'a str) -> &'a str {
        text[self.start..self.end].trim_start_matches('\u{feff}')
    }

    /// Its spaces in front; none for what is empty or a comment.
    fn indent(&self, text: &str) -> Option<usize> {
        let line = self.text(text);
        let content = line.trim_start_matches(' ');
        let empty = content.trim().is_empty() || content.starts_with('#');
        (!empty).then(|| line.len() - content.len())
    }

    /// What ends it, or what would.
    fn ending<'a>(&self, text: &'a str) -> &'a str {
        match &text[self.end..self.whole] {
            "" if text.contains("\r\n") => "\r\n",
            "" => "\n",
            ending => ending,
        }
    }

    /// Where the value of a key begins in it, right behind the colon.
    fn value_of(&self, text: &str, key: &str) -> Option<usize> {
        let line = self.text(text);
        let content = line.trim_start_matches(' ');
        for quote in ["", "\"", "'"] {
            let name = format!("{quote}{key}{quote}:");
            let Some(rest) = content.strip_prefix(&name) else {
                continue;
            };
            if rest.is_empty() || rest.starts_with(' ') {
                return Some(self.end - rest.len());
            }
        }
        None
    }
}

/// What to change in the text; none when its form is not known.
fn edits(text: &str, target: &Target, wanted: Wanted<'_>) -> Option<Vec<Edit>> {
    let lines = lines(text);
    let at_margin = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.indent(text) == Some(0) && line.value_of(text, "model").is_some());
    let mut at_margin = at_margin.map(|(at, line)| (at, *line));
    let (found, second) = (at_margin.next(), at_margin.next());
    if second.is_some() {
        return None;
    }
    let Some((at, line)) = found else {
        let appended = appended(text, lines.last(), wanted);
        return (*target == Target::Missing).then(|| vec![appended]);
    };
    let value = line.value_of(text, "model")?;
    let span = scalar::block(text, value, line.end)?;
    match (target, span.style) {
        (Target::Missing, _) => None,
        (Target::Plain, Style::Braces) => None,
        (Target::Plain, style) => Some(vec![(
            span.range.clone(),
            plain(text, &span.range, style, wanted),
        )]),
        (Target::Record(name), Style::Braces) => in_braces(text, span.range.start, name, wanted),
        (Target::Record(name), Style::Empty) => in_block(text, &lines[at..], name, wanted),
        (Target::Record(_), Style::Plain | Style::Single | Style::Double) => None,
    }
}

fn appended(text: &str, last: Option<&Line>, wanted: Wanted<'_>) -> Edit {
    let ending = last.map_or("\n", |line| line.ending(text));
    let broken = last.is_some_and(|line| line.end == line.whole && line.end > line.start);
    let mut with = if broken {
        ending.to_owned()
    } else {
        String::new()
    };
    let model = scalar::written(wanted.model, Style::Plain);
    match wanted.provider {
        None => with.push_str(&format!("model: {model}{ending}")),
        Some(provider) => {
            let provider = scalar::written(provider, Style::Plain);
            with.push_str(&format!(
                "model:{ending}  default: {model}{ending}  provider: {provider}{ending}"
            ));
        }
    }
    (text.len()..text.len(), with)
}

/// The value that stands in the place of a plain one. With a provider it becomes a record.
fn plain(text: &str, range: &Range<usize>, style: Style, wanted: Wanted<'_>) -> String {
    let value = match wanted.provider {
        None => scalar::written(wanted.model, style),
        Some(provider) => format!(
            "{{default: {}, provider: {}}}",
            scalar::in_braces(wanted.model, style),
            scalar::in_braces(provider, Style::Plain)
        ),
    };
    spaced(text, range, value)
}

/// Below a line `model:`, more to the right.
fn in_block(text: &str, lines: &[Line], name: &str, wanted: Wanted<'_>) -> Option<Vec<Edit>> {
    let (head, rest) = lines.split_first()?;
    let of_record = rest.iter().take_while(|line| line.indent(text) != Some(0));
    let of_record: Vec<&Line> = of_record.collect();
    let indent = of_record.iter().find_map(|line| line.indent(text))?;
    let find = |key: &str| {
        let mut fields = of_record
            .iter()
            .filter(|line| line.indent(text) == Some(indent));
        fields.find_map(|line| Some((**line, line.value_of(text, key)?)))
    };
    let mut edits = Vec::new();
    let mut below = *head;
    let wanted = [
        Some((name, wanted.model)),
        wanted.provider.map(|to| ("provider", to)),
    ];
    for (key, to) in wanted.into_iter().flatten() {
        let Some((line, value)) = find(key) else {
            edits.push(new_line(text, below, indent, key, to));
            continue;
        };
        let span = scalar::block(text, value, line.end)?;
        if span.style == Style::Braces {
            return None;
        }
        let with = spaced(text, &span.range, scalar::written(to, span.style));
        edits.push((span.range, with));
        below = line;
    }
    Some(edits)
}

/// A line of a record, below another one.
fn new_line(text: &str, above: Line, indent: usize, key: &str, to: &str) -> Edit {
    let ending = above.ending(text);
    let value = scalar::written(to, Style::Plain);
    let line = format!("{:indent$}{key}: {value}", "");
    let with = match above.end == above.whole {
        true => format!("{ending}{line}"),
        false => format!("{line}{ending}"),
    };
    (above.whole..above.whole, with)
}

/// In a record in braces, on one line or several.
fn in_braces(text: &str, open: usize, name: &str, wanted: Wanted<'_>) -> Option<Vec<Edit>> {
    let fields = scalar::fields(text, open)?;
    let find = |key: &str| fields.iter().find(|field| field.key == key);
    let mut edits = Vec::new();
    let mut behind = None;
    let mut first = Vec::new();
    let wanted = [
        Some((name, wanted.model)),
        wanted.provider.map(|to| ("provider", to)),
    ];
    for (key, to) in wanted.into_iter().flatten() {
        match (find(key), behind) {
            (Some(field), _) => {
                let range = field.value.range.clone();
                let with = scalar::in_braces(to, field.value.style);
                behind = Some(range.end);
                edits.push((range.clone(), spaced(text, &range, with)));
            }
            (None, Some(end)) => {
                let with = scalar::in_braces(to, Style::Plain);
                edits.push((end..end, format!(", {key}: {with}")));
            }
            (None, None) => first.push(format!("{key}: {}", scalar::in_braces(to, Style::Plain))),
        }
    }
    if !first.is_empty() {
        let comma = if fields.is_empty() { "" } else { ", " };
        let with = format!("{}{comma}", first.join(", "));
        edits.push((open + 1..open + 1, with));
    }
    Some(edits)
}

/// A value with the space that has to stand between it and its colon.
fn spaced(text: &str, place: &Range<usize>, value: String) -> String {
    match text[..place.start].ends_with(':') {
        true => format!(" {value}"),
        false => value,
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
