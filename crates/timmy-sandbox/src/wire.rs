//! The bytes a plan travels in: length-prefixed, little-endian, strict on the way in.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

/// More items than this in any list is not a plan of ours.
const MOST_ITEMS: u32 = 100_000;

/// Bytes that are not a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the plan is malformed: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Something that travels.
pub(crate) trait Travels: Sized {
    fn put(&self, bytes: &mut Vec<u8>);
    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed>;
}

/// The whole of `bytes` as one value.
pub(crate) fn decode<T: Travels>(mut bytes: &[u8]) -> Result<T, Malformed> {
    let value = T::take(&mut bytes)?;
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err(Malformed("bytes are left over"))
    }
}

/// One value as bytes.
pub(crate) fn encode<T: Travels>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.put(&mut bytes);
    bytes
}

fn split<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (taken, rest) = bytes
        .split_at_checked(length)
        .ok_or(Malformed("it ends early"))?;
    *bytes = rest;
    Ok(taken)
}

macro_rules! number_travels {
    ($($number:ty),*) => {$(
        impl Travels for $number {
            fn put(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
                let taken = split(bytes, size_of::<Self>())?;
                let array = taken.try_into().map_err(|_| Malformed("it ends early"))?;
                Ok(Self::from_le_bytes(array))
            }
        }
    )*};
}

number_travels!(u8, u32, u64, i32);

/// A string of bytes, as opposed to a list of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Travels for Bytes {
    fn put(&self, bytes: &mut Vec<u8>) {
        (self.0.len() as u64).put(bytes);
        bytes.extend_from_slice(&self.0);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let length = usize::try_from(u64::take(bytes)?).map_err(|_| Malformed("a length"))?;
        split(bytes, length).map(|taken| Self(taken.to_vec()))
    }
}

impl Travels for OsString {
    fn put(&self, bytes: &mut Vec<u8>) {
        put_text(self, bytes);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let Bytes(text) = Bytes::take(bytes)?;
        if text.contains(&0) {
            return Err(Malformed("a text holds a NUL byte"));
        }
        Ok(Self::from_vec(text))
    }
}

fn put_text(text: &OsStr, bytes: &mut Vec<u8>) {
    (text.len() as u64).put(bytes);
    bytes.extend_from_slice(text.as_bytes());
}

impl Travels for PathBuf {
    fn put(&self, bytes: &mut Vec<u8>) {
        put_text(Path::as_os_str(self), bytes);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        OsString::take(bytes).map(Self::from)
    }
}

impl Travels for String {
    fn put(&self, bytes: &mut Vec<u8>) {
        put_text(OsStr::new(self), bytes);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let Bytes(text) = Bytes::take(bytes)?;
        Self::from_utf8(text).map_err(|_| Malformed("a text is not UTF-8"))
    }
}

impl<T: Travels> Travels for Vec<T> {
    fn put(&self, bytes: &mut Vec<u8>) {
        (self.len() as u32).put(bytes);
        self.iter().for_each(|item| item.put(bytes));
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let length = u32::take(bytes)?;
        if length > MOST_ITEMS {
            return Err(Malformed("a list is too long"));
        }
        (0..length).map(|_| T::take(bytes)).collect()
    }
}

impl<T: Travels> Travels for Option<T> {
    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            None => 0_u8.put(bytes),
            Some(value) => {
                1_u8.put(bytes);
                value.put(bytes);
            }
        }
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::take(bytes)? {
            0 => Ok(None),
            1 => T::take(bytes).map(Some),
            _ => Err(Malformed("an option")),
        }
    }
}

impl<A: Travels, B: Travels> Travels for (A, B) {
    fn put(&self, bytes: &mut Vec<u8>) {
        self.0.put(bytes);
        self.1.put(bytes);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        Ok((A::take(bytes)?, B::take(bytes)?))
    }
}

/// Implements [`Travels`] field by field.
macro_rules! struct_travels {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::wire::Travels for $name {
            fn put(&self, bytes: &mut Vec<u8>) {
                $($crate::wire::Travels::put(&self.$field, bytes);)*
            }

            fn take(bytes: &mut &[u8]) -> Result<Self, $crate::wire::Malformed> {
                $(let $field = $crate::wire::Travels::take(bytes)?;)*
                Ok(Self { $($field),* })
            }
        }
    };
}

/// Implements [`Travels`] for an enum without fields, by position.
macro_rules! choice_travels {
    ($name:ident { $($number:literal => $variant:ident),* $(,)? }) => {
        impl $crate::wire::Travels for $name {
            fn put(&self, bytes: &mut Vec<u8>) {
                let number: u8 = match self { $(Self::$variant => $number),* };
                $crate::wire::Travels::put(&number, bytes);
            }

            fn take(bytes: &mut &[u8]) -> Result<Self, $crate::wire::Malformed> {
                match <u8 as $crate::wire::Travels>::take(bytes)? {
                    $($number => Ok(Self::$variant),)*
                    _ => Err($crate::wire::Malformed("a choice")),
                }
            }
        }
    };
}

pub(crate) use choice_travels;
pub(crate) use struct_travels;
