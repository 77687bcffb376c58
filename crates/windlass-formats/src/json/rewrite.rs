//! Rows of JSON changed before they are decoded: whole rows and nested values kept as their text.

use super::VALUE;
use arrow::datatypes::{DataType, Fields, SchemaRef};

/// What is to change. Rows are valid JSON.
pub(super) struct Rewrite<'a> {
    /// A column for the text of each row.
    pub(super) text_column: Option<&'a str>,
    /// Whether objects and lists become text in columns of text.
    pub(super) texts: bool,
}

impl Rewrite<'_> {
    pub(super) fn is_needed(&self) -> bool {
        self.text_column.is_some() || self.texts
    }

    /// Appends the row as an object.
    pub(super) fn row(&self, row: &[u8], schema: &SchemaRef, out: &mut Vec<u8>) {
        let row = row.trim_ascii();
        let mut parts = Vec::new();
        if row.starts_with(b"{") {
            self.object(row, schema.fields(), &mut parts);
        } else {
            parts.push(b'{');
            name(VALUE, &mut parts);
            match schema.field_with_name(VALUE) {
                Ok(field) => self.value(row, field.data_type(), &mut parts),
                Err(_) => parts.extend_from_slice(row),
            }
            parts.push(b'}');
        }
        let Some(column) = self.text_column else {
            out.extend_from_slice(&parts);
            return;
        };
        // Of two fields of one name the last counts, so ours goes to the end.
        parts.pop();
        if !parts.trim_ascii_end().ends_with(b"{") {
            parts.push(b',');
        }
        name(column, &mut parts);
        quote(row, &mut parts);
        parts.push(b'}');
        out.extend_from_slice(&parts);
    }

    fn value(&self, value: &[u8], kind: &DataType, out: &mut Vec<u8>) {
        match (kind, value.first()) {
            (DataType::Utf8, Some(b'{' | b'[')) if self.texts => quote(value, out),
            (DataType::Struct(fields), Some(b'{')) if self.texts => self.object(value, fields, out),
            (DataType::List(item), Some(b'[')) if self.texts => {
                out.push(b'[');
                let mut at = skip_blanks(value, 1);
                while at < value.len() && value[at] != b']' {
                    let end = end_of(value, at);
                    self.value(&value[at..end], item.data_type(), out);
                    at = skip_blanks(value, end);
                    if value.get(at) == Some(&b',') {
                        out.push(b',');
                        at = skip_blanks(value, at + 1);
                    }
                }
                out.push(b']');
            }
            _ => out.extend_from_slice(value),
        }
    }

    fn object(&self, value: &[u8], fields: &Fields, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut at = skip_blanks(value, 1);
        while at < value.len() && value[at] != b'}' {
            let end = end_of(value, at);
            let key = &value[at..end];
            out.extend_from_slice(key);
            out.push(b':');
            // Past the colon.
            at = skip_blanks(value, skip_blanks(value, end) + 1);
            let end = end_of(value, at);
            let plain = std::str::from_utf8(&key[1..key.len().saturating_sub(1).max(1)]);
            let field = plain.ok().and_then(|key| fields.iter().find(|field| field.name() == key));
            match field {
                Some(field) => self.value(&value[at..end], field.data_type(), out),
                None => out.extend_from_slice(&value[at..end]),
            }
            at = skip_blanks(value, end);
            if value.get(at) == Some(&b',') {
                out.push(b',');
                at = skip_blanks(value, at + 1);
            }
        }
        out.push(b'}');
    }
}

fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// Where the value ends that begins at `at`; always beyond it.
fn end_of(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut quoted, mut end) = (0u32, false, at);
    while end < bytes.len() {
        let byte = bytes[end];
        if quoted {
            match byte {
                b'\\' => end += 1,
                b'"' => quoted = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => quoted = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' | b':' if depth == 0 => break,
                b'}' | b']' => depth -= 1,
                _ if depth == 0 && byte.is_ascii_whitespace() => break,
                _ => {}
            }
        }
        end += 1;
        if depth == 0 && !quoted && matches!(byte, b'"' | b'}' | b']') {
            break;
        }
    }
    end.clamp((at + 1).min(bytes.len()), bytes.len())
}

fn name(name: &str, out: &mut Vec<u8>) {
    quote(name.as_bytes(), out);
    out.push(b':');
}

/// Appends the bytes as a text of JSON.
fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            other => out.push(*other),
        }
    }
    out.push(b'"');
}
