//! Charts as SVG: made here, without a script, a font or anything else from elsewhere.
//!
//! - [`Drawing`] is a drawing of shapes and texts, every text escaped;
//! - [`timeline`], [`columns`], [`shares`] and [`steps`] are the charts of a report.
//!
//! Colours are classes. Inside a page they follow the page's variables; a drawing in a file of its own
//! carries them itself, light and dark. Whatever a colour says, a pattern, a shape or a label says too.

pub mod columns;
mod drawing;
mod scale;
pub mod shares;
pub mod steps;
pub mod timeline;

pub use drawing::Anchor;
pub use drawing::Drawing;
pub use drawing::Rect;
pub use drawing::STYLE;
pub use drawing::Tone;
pub use drawing::escaped;
