//! Rows as CSV (RFC 4180, lines end in LF): null is nothing, empty text is `""`.

use crate::render::text::safe;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use windlass_core::value::text;

/// Writes the rows of one result.
pub struct Csv {
    terminal: bool,
}

impl Csv {
    /// Begins with the line of names. On a terminal, control characters are escaped.
    pub fn new(schema: &SchemaRef, terminal: bool, out: &mut String) -> Self {
        let csv = Self { terminal };
        for (at, field) in schema.fields().iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            csv.field(Some(field.name()), false, out);
        }
        out.push('\n');
        csv
    }

    /// Appends rows.
    pub fn batch(&self, batch: &RecordBatch, out: &mut String) {
        let alone = batch.num_columns() == 1;
        for row in 0..batch.num_rows() {
            for (at, column) in batch.columns().iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                self.field(text(column.as_ref(), row).as_deref(), alone, out);
            }
            out.push('\n');
        }
    }

    /// `alone`: the only field of its line, which must not be empty, because an empty line ends
    /// the result.
    fn field(&self, text: Option<&str>, alone: bool, out: &mut String) {
        let Some(text) = text else {
            if alone {
                out.push_str("\"\"");
            }
            return;
        };
        let text = if self.terminal { safe(text) } else { text.into() };
        let quoted = text.is_empty() || text.contains(['"', ',', '\n', '\r']);
        if quoted {
            out.push('"');
            out.push_str(&text.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};
    use std::sync::Arc;

    fn csv(columns: &[&[Option<&str>]], terminal: bool) -> String {
        let columns = columns.iter().enumerate().map(|(at, cells)| {
            (format!("c{at}"), Arc::new(StringArray::from(cells.to_vec())) as ArrayRef)
        });
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, array)| (name, array, true)),
        )
        .unwrap();
        let mut out = String::new();
        Csv::new(&batch.schema(), terminal, &mut out).batch(&batch, &mut out);
        out
    }

    #[test]
    fn quotes_commas_and_line_ends_are_quoted_and_null_is_told_from_empty() {
        let a = [Some("x\"y"), Some("a,b"), Some("l\nm"), Some(""), None];
        let b = [Some("1"); 5];
        assert_eq!(
            csv(&[&a, &b], false),
            "c0,c1\n\"x\"\"y\",1\n\"a,b\",1\n\"l\nm\",1\n\"\",1\n,1\n"
        );
    }

    #[test]
    fn a_lone_null_does_not_end_the_result() {
        assert_eq!(csv(&[&[None]], false), "c0\n\"\"\n");
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(csv(&[&[Some("\u{1b}[31m")]], true), "c0\n\\u{1b}[31m\n");
    }
}
