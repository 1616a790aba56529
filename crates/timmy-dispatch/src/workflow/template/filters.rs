//! The filters of Liquid that a prompt can use, each with a limit on what goes in and comes out.
//!
//! Left out are `date` (of 24 characters of format it made 500 MB) and `uniq` (it compares
//! everything with everything).

use std::fmt;

use liquid_core::Error;
use liquid_core::Expression;
use liquid_core::Filter;
use liquid_core::FilterReflection;
use liquid_core::ParseFilter;
use liquid_core::Result;
use liquid_core::Runtime;
use liquid_core::Value;
use liquid_core::ValueView;
use liquid_core::parser::FilterArguments;
use liquid_lib::stdlib;

use super::bounds::charge_for;
use super::bounds::check_value;
use super::bounds::weight;

/// The longest argument of a filter that may repeat it, in bytes.
const ARGUMENT_BYTES: usize = 1 << 10;
/// The largest whole number that a filter works on: the product of two fits 64 bits.
const LARGEST_NUMBER: i64 = 1_000_000_000;
/// Filters that use an argument once, so that a long one does no harm.
const USE_ONCE: [&str; 4] = ["append", "prepend", "default", "concat"];

/// Every filter.
pub(super) fn all() -> Vec<Box<dyn ParseFilter>> {
    let inner: [Box<dyn ParseFilter>; 37] = [
        stdlib::Abs.into(),
        stdlib::Append.into(),
        stdlib::AtLeast.into(),
        stdlib::AtMost.into(),
        stdlib::Capitalize.into(),
        stdlib::Ceil.into(),
        stdlib::Compact.into(),
        stdlib::Concat.into(),
        stdlib::Default.into(),
        stdlib::DividedBy.into(),
        stdlib::Downcase.into(),
        stdlib::Escape.into(),
        stdlib::First.into(),
        stdlib::Floor.into(),
        stdlib::Join.into(),
        stdlib::Last.into(),
        stdlib::Lstrip.into(),
        stdlib::Map.into(),
        stdlib::Minus.into(),
        stdlib::Modulo.into(),
        stdlib::Plus.into(),
        stdlib::Prepend.into(),
        stdlib::Remove.into(),
        stdlib::RemoveFirst.into(),
        stdlib::Replace.into(),
        stdlib::ReplaceFirst.into(),
        stdlib::Reverse.into(),
        stdlib::Rstrip.into(),
        stdlib::Size.into(),
        stdlib::Slice.into(),
        stdlib::Sort.into(),
        stdlib::Split.into(),
        stdlib::Strip.into(),
        stdlib::StripNewlines.into(),
        stdlib::Times.into(),
        stdlib::Truncate.into(),
        stdlib::TruncateWords.into(),
    ];
    let upcase: Box<dyn ParseFilter> = stdlib::Upcase.into();
    let where_: Box<dyn ParseFilter> = stdlib::Where.into();
    let bounded = |inner| -> Box<dyn ParseFilter> { Box::new(Bounded { inner }) };
    inner
        .into_iter()
        .chain([upcase, where_])
        .map(bounded)
        .collect()
}

/// A filter with a limit.
#[derive(Clone)]
struct Bounded {
    inner: Box<dyn ParseFilter>,
}

impl ParseFilter for Bounded {
    fn parse(&self, arguments: FilterArguments<'_>) -> Result<Box<dyn Filter>> {
        let positional: Vec<Expression> = arguments.positional.collect();
        let keyword: Vec<(&str, Expression)> = arguments.keyword.collect();
        let named = keyword.iter().map(|(_, argument)| argument);
        let copies: Vec<_> = positional.iter().chain(named).cloned().collect();
        let inner = self.inner.parse(FilterArguments {
            positional: Box::new(positional.into_iter()),
            keyword: Box::new(keyword.into_iter()),
        })?;
        let uses_once = USE_ONCE.contains(&self.inner.reflection().name());
        Ok(Box::new(BoundedFilter {
            inner,
            arguments: copies,
            uses_once,
        }))
    }

    fn reflection(&self) -> &dyn FilterReflection {
        self.inner.reflection()
    }
}

#[derive(Debug)]
struct BoundedFilter {
    inner: Box<dyn Filter>,
    arguments: Vec<Expression>,
    uses_once: bool,
}

impl fmt::Display for BoundedFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Filter for BoundedFilter {
    fn evaluate(&self, input: &dyn ValueView, runtime: &dyn Runtime) -> Result<Value> {
        let mut bytes = weight(input);
        check_number(input)?;
        for argument in &self.arguments {
            let argument = argument.evaluate(runtime)?;
            let length = weight(argument.as_view());
            if length > ARGUMENT_BYTES && !self.uses_once {
                return Err(Error::with_msg("the argument of a filter is too long"));
            }
            check_number(argument.as_view())?;
            bytes += length;
        }
        charge_for(runtime, bytes)?;
        let output = self.inner.evaluate(input, runtime)?;
        check_value(&output)?;
        Ok(output)
    }
}

fn check_number(value: &dyn ValueView) -> Result<()> {
    let number = value.as_scalar().and_then(|scalar| scalar.to_integer());
    match number {
        Some(number) if !(-LARGEST_NUMBER..=LARGEST_NUMBER).contains(&number) => {
            Err(Error::with_msg("a number is too large for a filter"))
        }
        Some(_) | None => Ok(()),
    }
}
