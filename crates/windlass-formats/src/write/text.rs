//! Text on its way to a file: encoded, then compressed.

use super::options::Charset;
use super::squeeze::Squeeze;
use super::{FileFormat, Shared, unwritable};
use crate::encoding::page;
use encoding_rs::{Encoder, EncoderResult};
use oem_cp::{OEMCPHashMap, encode_char_checked};
use windlass_types::{Error, Result};

enum Encode {
    Utf8,
    Utf16 {
        little: bool,
    },
    Other(Encoder, &'static str),
    /// A code page and its number.
    Page(&'static OEMCPHashMap<char, u8>, u16),
}

/// The error for a character that an encoding lacks.
fn lacking(char: char, encoding: &str) -> Error {
    let (shown, code) = (char.escape_debug(), u32::from(char));
    unwritable(format!("the character `{shown}` (U+{code:04X}) is not in {encoding}"))
        .hint("write UTF-8, or replace the character in the query")
}

/// Takes UTF-8 and writes it as the options say.
pub(super) struct Text {
    encode: Encode,
    squeeze: Squeeze,
    bytes: Vec<u8>,
}

impl Text {
    /// Begins, with the byte order mark where one is asked for.
    pub(super) fn new(format: &FileFormat, out: Shared) -> Result<Self> {
        let encode = match format.charset {
            Charset::Utf8 => Encode::Utf8,
            Charset::Utf16Le => Encode::Utf16 { little: true },
            Charset::Utf16Be => Encode::Utf16 { little: false },
            Charset::Other(encoding) => Encode::Other(encoding.new_encoder(), encoding.name()),
            Charset::Page(number) => match page(number) {
                Some(table) => Encode::Page(table, number),
                None => return Err(unwritable(format!("CP{number} is not written"))),
            },
        };
        let squeeze = Squeeze::new(format.compression, out)?;
        let mut text = Self { encode, squeeze, bytes: Vec::new() };
        if format.bom && matches!(text.encode, Encode::Utf8 | Encode::Utf16 { .. }) {
            text.push("\u{feff}")?;
        }
        Ok(text)
    }

    /// Writes text.
    pub(super) fn push(&mut self, text: &str) -> Result<()> {
        match &mut self.encode {
            Encode::Utf8 => self.squeeze.push(text.as_bytes()),
            Encode::Utf16 { little } => {
                self.bytes.clear();
                for unit in text.encode_utf16() {
                    let pair = if *little { unit.to_le_bytes() } else { unit.to_be_bytes() };
                    self.bytes.extend_from_slice(&pair);
                }
                self.squeeze.push(&self.bytes)
            }
            Encode::Other(encoder, name) => {
                let mut rest = text;
                while !rest.is_empty() {
                    self.bytes.clear();
                    self.bytes.reserve(rest.len().clamp(64, 64 << 10));
                    let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(
                        rest,
                        &mut self.bytes,
                        false,
                    );
                    if let EncoderResult::Unmappable(char) = result {
                        return Err(lacking(char, name));
                    }
                    self.squeeze.push(&self.bytes)?;
                    rest = &rest[read..];
                }
                Ok(())
            }
            Encode::Page(table, number) => {
                self.bytes.clear();
                for char in text.chars() {
                    let byte = encode_char_checked(char, table);
                    self.bytes.push(byte.ok_or_else(|| lacking(char, &format!("CP{number}")))?);
                }
                self.squeeze.push(&self.bytes)
            }
        }
    }

    /// Ends.
    pub(super) fn finish(mut self) -> Result<()> {
        if let Encode::Other(encoder, _) = &mut self.encode {
            self.bytes.clear();
            self.bytes.reserve(64);
            let _ = encoder.encode_from_utf8_to_vec_without_replacement("", &mut self.bytes, true);
            self.squeeze.push(&self.bytes)?;
        }
        self.squeeze.finish()
    }
}
