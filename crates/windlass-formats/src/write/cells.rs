//! Values as text: what CSV, XML and sheets write of one cell.

use arrow::array::{Array, AsArray as _};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;
use std::sync::Arc;
use windlass_types::Result;

/// JSON as Windlass writes it everywhere: binary as base64.
#[derive(Debug)]
pub(super) struct Base64;

struct Bytes<'a>(Read<'a>);

impl Encoder for Bytes<'_> {
    fn encode(&mut self, at: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(STANDARD.encode((self.0)(at)).as_bytes());
        out.push(b'"');
    }
}

/// Reads the bytes of a row.
type Read<'a> = Box<dyn Fn(usize) -> &'a [u8] + 'a>;

fn bytes(array: &dyn Array) -> Option<Read<'_>> {
    Some(match array.data_type() {
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            Box::new(move |at| array.value(at))
        }
        DataType::LargeBinary => {
            let array = array.as_binary::<i64>();
            Box::new(move |at| array.value(at))
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            Box::new(move |at| array.value(at))
        }
        _ => return None,
    })
}

impl EncoderFactory for Base64 {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> std::result::Result<Option<NullableEncoder<'a>>, ArrowError> {
        Ok(bytes(array)
            .map(|bytes| NullableEncoder::new(Box::new(Bytes(bytes)), array.nulls().cloned())))
    }
}

/// How nested values become JSON.
pub(super) fn json_options() -> EncoderOptions {
    EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(Base64))
}

/// Whether values of this type are made of others.
pub(super) fn is_nested(kind: &DataType) -> bool {
    kind.is_nested()
}

enum How<'a> {
    Text(Box<dyn Fn(usize) -> &'a str + 'a>),
    Bytes(Read<'a>),
    Json(NullableEncoder<'a>, Vec<u8>),
    Shown(ArrayFormatter<'a>),
}

/// The cells of one column of a batch.
pub(super) struct Cells<'a> {
    array: &'a dyn Array,
    how: How<'a>,
}

impl<'a> Cells<'a> {
    /// Looks at a column.
    pub(super) fn new(
        array: &'a dyn Array,
        field: &'a FieldRef,
        options: &'a EncoderOptions,
    ) -> Result<Self> {
        let how = match array.data_type() {
            DataType::Utf8 => {
                let array = array.as_string::<i32>();
                How::Text(Box::new(move |at| array.value(at)))
            }
            DataType::LargeUtf8 => {
                let array = array.as_string::<i64>();
                How::Text(Box::new(move |at| array.value(at)))
            }
            kind if is_nested(kind) => {
                How::Json(make_encoder(field, array, options).map_err(super::of_arrow)?, Vec::new())
            }
            _ => match bytes(array) {
                Some(bytes) => How::Bytes(bytes),
                None => How::Shown(
                    ArrayFormatter::try_new(array, &FormatOptions::new())
                        .map_err(super::of_arrow)?,
                ),
            },
        };
        Ok(Self { array, how })
    }

    /// Whether a row has no value.
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row) || *self.array.data_type() == DataType::Null
    }

    /// Whether the values are text.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.how, How::Text(_))
    }

    /// Adds the value of a row, which is not null.
    pub(super) fn push(&mut self, row: usize, to: &mut String) {
        match &mut self.how {
            How::Text(text) => to.push_str(text(row)),
            How::Bytes(bytes) => STANDARD.encode_string(bytes(row), to),
            How::Json(encoder, buffer) => {
                buffer.clear();
                encoder.encode(row, buffer);
                to.push_str(&String::from_utf8_lossy(buffer));
            }
            // Only values that no calendar has fail to show; they show as the error they are.
            How::Shown(shown) => {
                let _ = write!(to, "{}", shown.value(row));
            }
        }
    }
}
