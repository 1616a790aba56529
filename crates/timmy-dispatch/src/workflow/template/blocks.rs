//! The two blocks that could use up a machine, with a limit.

use std::collections::HashMap;
use std::io::Write;

use liquid_core::BlockReflection;
use liquid_core::Error;
use liquid_core::Expression;
use liquid_core::Language;
use liquid_core::ParseBlock;
use liquid_core::Renderable;
use liquid_core::Result;
use liquid_core::Runtime;
use liquid_core::TagBlock;
use liquid_core::TagTokenIter;
use liquid_core::Template;
use liquid_core::Value;
use liquid_core::ValueView;
use liquid_core::model::KString;
use liquid_core::model::KStringRef;
use liquid_core::parser::BlockElement;
use liquid_core::parser::TryMatchToken;
use liquid_core::runtime::Interrupt;
use liquid_core::runtime::InterruptRegister;
use liquid_core::runtime::StackFrame;
use liquid_lib::stdlib::ForloopObject;

use super::bounds::BoundedOutput;
use super::bounds::charge;
use super::strict::Strict;

/// The most turns of one loop over numbers.
const RANGE: i64 = 1_000;

/// `{% for item in list reversed limit:2 offset:1 %} … {% else %} … {% endfor %}`.
#[derive(Debug, Clone, Copy)]
pub(super) struct For;

impl BlockReflection for For {
    fn start_tag(&self) -> &str {
        "for"
    }

    fn end_tag(&self) -> &str {
        "endfor"
    }

    fn description(&self) -> &str {
        "repeats its content for each element"
    }
}

impl ParseBlock for For {
    fn parse(
        &self,
        mut arguments: TagTokenIter<'_>,
        mut tokens: TagBlock<'_, '_>,
        options: &Language,
    ) -> Result<Box<dyn Renderable>> {
        let variable = identifier(&mut arguments)?;
        arguments
            .expect_next("\"in\" expected.")?
            .expect_str("in")
            .into_result_custom_msg("\"in\" expected.")?;
        let over = arguments.expect_next("A list or range expected.")?;
        let over = match over.expect_value() {
            TryMatchToken::Matches(list) => Over::List(list),
            TryMatchToken::Fails(other) => {
                let (from, to) = other.expect_range().into_result()?;
                Over::Range(from, to)
            }
        };
        let mut parsed = Loop {
            variable,
            over,
            limit: None,
            offset: None,
            reversed: false,
            body: Template::new(Vec::new()),
            otherwise: None,
        };
        parsed.take_attributes(&mut arguments)?;
        let mut body = Vec::new();
        while let Some(element) = tokens.next()? {
            match element {
                BlockElement::Tag(mut tag) if tag.name() == "else" => {
                    tag.tokens().expect_nothing()?;
                    parsed.otherwise = Some(Template::new(tokens.parse_all(options)?));
                    break;
                }
                element => body.push(element.parse(&mut tokens, options)?),
            }
        }
        parsed.body = Template::new(body);
        tokens.assert_empty();
        Ok(Box::new(parsed))
    }

    fn reflection(&self) -> &dyn BlockReflection {
        self
    }
}

#[derive(Debug)]
enum Over {
    List(Expression),
    Range(Expression, Expression),
}

#[derive(Debug)]
struct Loop {
    variable: KString,
    over: Over,
    limit: Option<Expression>,
    offset: Option<Expression>,
    reversed: bool,
    body: Template,
    otherwise: Option<Template>,
}

impl Loop {
    /// Reads what may follow the list.
    fn take_attributes(&mut self, arguments: &mut TagTokenIter<'_>) -> Result<()> {
        while let Some(token) = arguments.next() {
            match token.as_str() {
                "limit" => self.limit = Some(attribute(arguments)?),
                "offset" => self.offset = Some(attribute(arguments)?),
                "reversed" => self.reversed = true,
                _ => {
                    let expected = "\"limit\", \"offset\" or \"reversed\" expected.";
                    return Err(token.raise_custom_error(expected));
                }
            }
        }
        Ok(())
    }

    fn elements(&self, runtime: &dyn Runtime) -> Result<Vec<Value>> {
        let all = match &self.over {
            Over::List(list) => list_of(list.evaluate(runtime)?.as_view())?,
            Over::Range(from, to) => {
                let (from, to) = (integer(from, runtime)?, integer(to, runtime)?);
                if to.saturating_sub(from) >= RANGE {
                    return Err(Error::with_msg(format!(
                        "a range has more than {RANGE} numbers"
                    )));
                }
                (from..=to).map(Value::scalar).collect()
            }
        };
        let number = |attribute: &Option<Expression>| {
            let number = attribute
                .as_ref()
                .map(|attribute| integer(attribute, runtime));
            number
                .transpose()
                .map(|number| number.map(|n| usize::try_from(n).unwrap_or(0)))
        };
        let offset = number(&self.offset)?.unwrap_or(0);
        let limit = number(&self.limit)?.unwrap_or(usize::MAX);
        let mut elements: Vec<_> = all.into_iter().skip(offset).take(limit).collect();
        if self.reversed {
            elements.reverse();
        }
        Ok(elements)
    }
}

impl Renderable for Loop {
    fn render_to(&self, writer: &mut dyn Write, runtime: &dyn Runtime) -> Result<()> {
        charge(runtime, 1)?;
        let elements = self.elements(runtime)?;
        if elements.is_empty() {
            return match &self.otherwise {
                Some(otherwise) => otherwise.render_to(writer, runtime),
                None => Ok(()),
            };
        }
        for (index, element) in elements.iter().enumerate() {
            charge(runtime, 1)?;
            let about = ForloopObject::new(index, elements.len());
            let mut names = HashMap::<KStringRef<'_>, &dyn ValueView>::new();
            names.insert("forloop".into(), &about);
            names.insert(self.variable.as_ref(), element);
            let frame = StackFrame::new(runtime, &names);
            self.body.render_to(writer, &Strict::new(&frame))?;
            let interrupt = runtime.registers().get_mut::<InterruptRegister>().reset();
            if let Some(Interrupt::Break) = interrupt {
                break;
            }
        }
        Ok(())
    }
}

/// `{% capture name %} … {% endcapture %}`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capture;

impl BlockReflection for Capture {
    fn start_tag(&self) -> &str {
        "capture"
    }

    fn end_tag(&self) -> &str {
        "endcapture"
    }

    fn description(&self) -> &str {
        "keeps what its content prints under a name"
    }
}

impl ParseBlock for Capture {
    fn parse(
        &self,
        mut arguments: TagTokenIter<'_>,
        mut tokens: TagBlock<'_, '_>,
        options: &Language,
    ) -> Result<Box<dyn Renderable>> {
        let variable = identifier(&mut arguments)?;
        arguments.expect_nothing()?;
        let body = Template::new(tokens.parse_all(options)?);
        tokens.assert_empty();
        Ok(Box::new(Captured { variable, body }))
    }

    fn reflection(&self) -> &dyn BlockReflection {
        self
    }
}

#[derive(Debug)]
struct Captured {
    variable: KString,
    body: Template,
}

impl Renderable for Captured {
    fn render_to(&self, _writer: &mut dyn Write, runtime: &dyn Runtime) -> Result<()> {
        let mut output = BoundedOutput::default();
        let rendered = self.body.render_to(&mut output, runtime);
        if let Some(fault) = output.fault() {
            return Err(Error::with_msg(fault));
        }
        rendered?;
        let text = output.into_text();
        super::bounds::charge_for(runtime, text.len())?;
        runtime.set_global(self.variable.clone(), Value::scalar(text));
        Ok(())
    }
}

fn identifier(arguments: &mut TagTokenIter<'_>) -> Result<KString> {
    let token = arguments.expect_next("A name expected.")?;
    Ok(KString::from_ref(token.expect_identifier().into_result()?))
}

fn attribute(arguments: &mut TagTokenIter<'_>) -> Result<Expression> {
    arguments
        .expect_next("\":\" expected.")?
        .expect_str(":")
        .into_result_custom_msg("\":\" expected.")?;
    arguments
        .expect_next("A number expected.")?
        .expect_value()
        .into_result()
}

fn integer(expression: &Expression, runtime: &dyn Runtime) -> Result<i64> {
    let value = expression.evaluate(runtime)?;
    let number = value.as_scalar().and_then(|scalar| scalar.to_integer());
    number.ok_or_else(|| Error::with_msg("a whole number was expected"))
}

/// The elements of a list; pairs of key and value of an object; none of nothing.
fn list_of(value: &dyn ValueView) -> Result<Vec<Value>> {
    if let Some(array) = value.as_array() {
        return Ok(array.values().map(ValueView::to_value).collect());
    }
    if let Some(object) = value.as_object() {
        let pair = |(key, value): (liquid_core::model::KStringCow<'_>, &dyn ValueView)| {
            Value::Array(vec![Value::scalar(key.into_owned()), value.to_value()])
        };
        // In the same order every time: a prompt has a hash that counts.
        let mut entries: Vec<_> = object.iter().collect();
        entries.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        return Ok(entries.into_iter().map(pair).collect());
    }
    if value.is_nil() {
        return Ok(Vec::new());
    }
    Err(Error::with_msg("a list was expected"))
}
