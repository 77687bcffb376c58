//! Rows as CSV (RFC 4180, lines end in LF) for other programs: null is nothing, empty text is `""`.

use crate::value;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

/// The line of names.
pub fn header(schema: &SchemaRef) -> String {
    let mut out = String::new();
    for (at, column) in schema.fields().iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        field(Some(column.name()), &mut out);
    }
    out.push('\n');
    out
}

/// The rows of a batch. A null that is alone in its row is `""`: an empty line ends a result.
pub fn lines(batch: &RecordBatch) -> String {
    let mut out = String::new();
    for row in 0..batch.num_rows() {
        for (at, column) in batch.columns().iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            let text = value::text(column.as_ref(), row);
            match (&text, batch.num_columns()) {
                (None, 1) => out.push_str("\"\""),
                _ => field(text.as_deref(), &mut out),
            }
        }
        out.push('\n');
    }
    out
}

fn field(text: Option<&str>, out: &mut String) {
    let Some(text) = text else { return };
    if text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};
    use std::sync::Arc;

    #[test]
    fn null_is_told_from_empty_and_a_lone_null_does_not_end_the_result() {
        let column = |cells: Vec<Option<&str>>| Arc::new(StringArray::from(cells)) as ArrayRef;
        let two = RecordBatch::try_from_iter_with_nullable([
            ("a", column(vec![Some("x\"y"), Some(""), None]), true),
            ("b,c", column(vec![Some("l\nm"), Some("1"), Some("2")]), true),
        ])
        .unwrap();
        assert_eq!(header(&two.schema()), "a,\"b,c\"\n");
        assert_eq!(lines(&two), "\"x\"\"y\",\"l\nm\"\n\"\",1\n,2\n");
        let one =
            RecordBatch::try_from_iter_with_nullable([("a", column(vec![None]), true)]).unwrap();
        assert_eq!(lines(&one), "\"\"\n");
    }
}
