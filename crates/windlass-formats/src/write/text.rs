//! Text on its way to a file: encoded, then compressed.

use super::options::Charset;
use super::squeeze::Squeeze;
use super::{FileFormat, Shared, unwritable};
use encoding_rs::{Encoder, EncoderResult};
use windlass_types::Result;

enum Encode {
    Utf8,
    Utf16 { little: bool },
    Other(Encoder, &'static str),
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
        };
        let squeeze = Squeeze::new(format.compression, out)?;
        let mut text = Self { encode, squeeze, bytes: Vec::new() };
        if format.bom && !matches!(text.encode, Encode::Other(..)) {
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
                        let code = u32::from(char);
                        return Err(unwritable(format!(
                            "the character `{}` (U+{code:04X}) is not in {name}",
                            char.escape_debug()
                        ))
                        .hint("write UTF-8, or replace the character in the query"));
                    }
                    self.squeeze.push(&self.bytes)?;
                    rest = &rest[read..];
                }
                Ok(())
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
