//! JSON lines of plain objects, straight into columns.
//!
//! Arrow's reader takes every value of a line apart before it looks which are wanted, and that is most of
//! what a query over such files costs (`docs/benchmarks.md`). Here what is wanted is read as it stands,
//! and what is not is passed over. That goes for objects of strings, numbers, booleans and nulls that
//! are already what their columns are. Whatever else is in a piece (lists, values to be converted, keys
//! given twice, anything wrong) is not judged here: then arrow's reader has the whole piece.

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder,
};
use arrow::datatypes::{DataType, Schema};
use memchr::{memchr_iter, memchr2};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Columns at most: each has a bit.
const MOST: usize = 64;

/// Pieces that may be something else before no more is tried.
const PATIENCE: usize = 4;

/// What reads the pieces of a file.
#[derive(Debug)]
pub(crate) struct PlainJson {
    schema: Arc<Schema>,
    /// Keys without a column are not passed over.
    strict: bool,
    /// Pieces that were something else.
    odd: AtomicUsize,
}

impl PlainJson {
    /// A reader into these columns; None: some need another one.
    pub(crate) fn new(schema: &Arc<Schema>, strict: bool) -> Option<Self> {
        let fields = schema.fields();
        let fits = !fields.is_empty() && fields.len() <= MOST;
        let alike = |kind: &DataType| Column::of(kind, 0).is_some();
        let names = || fields.iter().map(|field| field.name());
        let alone = names().all(|name| names().filter(|other| *other == name).count() == 1);
        (fits
            && alone
            && fields.iter().all(|field| field.is_nullable() && alike(field.data_type())))
        .then(|| Self { schema: Arc::clone(schema), strict, odd: AtomicUsize::new(0) })
    }

    /// The rows of `bytes`, in batches of `rows`; None: it takes the other reader.
    pub(crate) fn rows(&self, bytes: &[u8], rows: usize) -> Option<Vec<RecordBatch>> {
        if self.odd.load(Ordering::Relaxed) >= PATIENCE {
            return None;
        }
        let batches = self.read(bytes, rows.max(1));
        if batches.is_none() {
            self.odd.fetch_add(1, Ordering::Relaxed);
        }
        batches
    }

    fn read(&self, bytes: &[u8], rows: usize) -> Option<Vec<RecordBatch>> {
        if bytes.len() > i32::MAX as usize {
            return None;
        }
        let mut text = Cursor { text: std::str::from_utf8(bytes).ok()?, at: 0 };
        let mut reading = Reading {
            schema: &self.schema,
            strict: self.strict,
            columns: Vec::new(),
            seen: 0,
            keys: Vec::new(),
            scratch: String::new(),
        };
        let (mut batches, mut count) = (Vec::new(), 0);
        let most = memchr_iter(b'\n', bytes).count() + 1;
        while text.blank().is_some() {
            if count == 0 {
                let fields = self.schema.fields().iter();
                reading.columns = fields
                    .map(|field| Column::of(field.data_type(), rows.min(most)))
                    .collect::<Option<_>>()?;
            }
            reading.object(&mut text)?;
            count += 1;
            if count == rows {
                batches.push(reading.batch()?);
                count = 0;
            }
        }
        if count > 0 {
            batches.push(reading.batch()?);
        }
        Some(batches)
    }
}

/// A column that grows.
enum Column {
    Text(StringBuilder),
    Integer(Int64Builder),
    Double(Float64Builder),
    Boolean(BooleanBuilder),
}

impl Column {
    fn of(kind: &DataType, rows: usize) -> Option<Self> {
        Some(match kind {
            DataType::Utf8 => Self::Text(StringBuilder::with_capacity(rows, rows * 8)),
            DataType::Int64 => Self::Integer(Int64Builder::with_capacity(rows)),
            DataType::Float64 => Self::Double(Float64Builder::with_capacity(rows)),
            DataType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            _ => return None,
        })
    }

    fn null(&mut self) {
        match self {
            Self::Text(values) => values.append_null(),
            Self::Integer(values) => values.append_null(),
            Self::Double(values) => values.append_null(),
            Self::Boolean(values) => values.append_null(),
        }
    }

    /// The values in as much memory as they take: what is left over would be kept as long as they are.
    fn exact(&self) -> ArrayRef {
        match self {
            Self::Text(values) => Arc::new(values.finish_cloned()),
            Self::Integer(values) => Arc::new(values.finish_cloned()),
            Self::Double(values) => Arc::new(values.finish_cloned()),
            Self::Boolean(values) => Arc::new(values.finish_cloned()),
        }
    }
}

/// It is not ours to say.
struct Odd;

/// A piece while it is read.
struct Reading<'a> {
    schema: &'a Schema,
    strict: bool,
    columns: Vec<Column>,
    /// A bit for each column that the object has.
    seen: u64,
    /// The keys of the object before, and their columns: mostly the next has the same in the same order.
    keys: Vec<(&'a str, Option<usize>)>,
    /// A text without its escapes.
    scratch: String,
}

impl<'a> Reading<'a> {
    fn object(&mut self, text: &mut Cursor<'a>) -> Option<()> {
        text.expect(b'{')?;
        self.seen = 0;
        if text.blank()? == b'}' {
            text.at += 1;
            self.end();
            return Some(());
        }
        for number in 0.. {
            let Quoted::Plain(key) = text.quoted()? else { return None };
            let column = self.column(number, key).ok()?;
            text.blank()?;
            text.expect(b':')?;
            text.blank()?;
            match column {
                Some(column) => self.value(text, column)?,
                None => text.pass_over()?,
            }
            match text.blank()? {
                b',' => text.at += 1,
                b'}' => {
                    text.at += 1;
                    break;
                }
                _ => return None,
            }
            text.blank()?;
        }
        self.end();
        Some(())
    }

    /// Which column a key is of, if any.
    fn column(&mut self, number: usize, key: &'a str) -> Result<Option<usize>, Odd> {
        let column = match self.keys.get(number) {
            Some((known, column)) if *known == key => *column,
            _ => {
                let column = self.schema.fields().iter().position(|field| field.name() == key);
                self.keys.truncate(number);
                self.keys.push((key, column));
                column
            }
        };
        let Some(at) = column else { return if self.strict { Err(Odd) } else { Ok(None) } };
        let bit = 1 << at;
        let again = self.seen & bit != 0;
        self.seen |= bit;
        if again { Err(Odd) } else { Ok(Some(at)) }
    }

    fn value(&mut self, text: &mut Cursor<'a>, column: usize) -> Option<()> {
        let column = &mut self.columns[column];
        let first = text.peek()?;
        if first == b'n' {
            text.word("null")?;
            column.null();
            return Some(());
        }
        match column {
            Column::Text(values) => match text.quoted()? {
                Quoted::Plain(value) => values.append_value(value),
                Quoted::Escaped(value) => {
                    self.scratch.clear();
                    unescape(value, &mut self.scratch)?;
                    values.append_value(&self.scratch);
                }
            },
            Column::Integer(values) => {
                let (number, whole) = text.number()?;
                // With so many digits none is too large.
                (whole && number.len() <= 18).then_some(())?;
                values.append_value(number.parse().ok()?);
            }
            Column::Double(values) => values.append_value(text.number()?.0.parse().ok()?),
            Column::Boolean(values) => {
                let value = first == b't';
                text.word(if value { "true" } else { "false" })?;
                values.append_value(value);
            }
        }
        Some(())
    }

    /// Fills what the object does not have.
    fn end(&mut self) {
        for (at, column) in self.columns.iter_mut().enumerate() {
            if self.seen & (1 << at) == 0 {
                column.null();
            }
        }
    }

    fn batch(&self) -> Option<RecordBatch> {
        let columns = self.columns.iter().map(Column::exact).collect();
        RecordBatch::try_new(Arc::new(self.schema.clone()), columns).ok()
    }
}

/// A string between its quotes.
enum Quoted<'a> {
    Plain(&'a str),
    /// With escapes, of which all are known.
    Escaped(&'a str),
}

/// Where the reading is.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes past blanks; answers the byte there, None at the end.
    fn blank(&mut self) -> Option<u8> {
        loop {
            let byte = self.peek()?;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes()[self.at..].starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// A string.
    fn quoted(&mut self) -> Option<Quoted<'a>> {
        self.expect(b'"')?;
        let (begin, bytes) = (self.at, self.text.as_bytes());
        let mut escaped = false;
        loop {
            self.at += memchr2(b'"', b'\\', &bytes[self.at..])?;
            if bytes[self.at] == b'"' {
                let inner = self.text.get(begin..self.at)?;
                self.at += 1;
                return Some(if escaped { Quoted::Escaped(inner) } else { Quoted::Plain(inner) });
            }
            // Those of four digits come in pairs, and not all pairs are right.
            meant(*bytes.get(self.at + 1)?)?;
            escaped = true;
            self.at += 2;
        }
    }

    /// A number as JSON has them, and whether it is written as a whole one.
    fn number(&mut self) -> Option<(&'a str, bool)> {
        let (begin, bytes) = (self.at, self.text.as_bytes());
        let digits = |from: usize| {
            let rest = bytes.get(from..).unwrap_or_default();
            from + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let first = begin + usize::from(self.peek()? == b'-');
        let mut end = digits(first);
        if end == first || (end - first > 1 && bytes[first] == b'0') {
            return None;
        }
        let mut whole = true;
        if bytes.get(end) == Some(&b'.') {
            let after = digits(end + 1);
            if after == end + 1 {
                return None;
            }
            (whole, end) = (false, after);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let after = digits(end + 1 + sign);
            if after == end + 1 + sign {
                return None;
            }
            (whole, end) = (false, after);
        }
        self.at = end;
        Some((self.text.get(begin..end)?, whole))
    }

    /// Goes past a value that nobody wants.
    fn pass_over(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.quoted().map(drop),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number().map(drop),
        }
    }
}

/// What an escape of one letter stands for.
fn meant(letter: u8) -> Option<char> {
    Some(match letter {
        b'"' | b'\\' | b'/' => char::from(letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}

fn unescape(text: &str, into: &mut String) -> Option<()> {
    let mut pieces = text.split('\\');
    into.push_str(pieces.next()?);
    while let Some(piece) = pieces.next() {
        // Nothing before the next backslash: it is the one that this one escapes.
        let Some(letter) = piece.bytes().next() else {
            into.push('\\');
            into.push_str(pieces.next()?);
            continue;
        };
        into.push(meant(letter)?);
        into.push_str(&piece[1..]);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use proptest::prelude::*;

    fn schema() -> Arc<Schema> {
        let field = |name: &str, kind| Field::new(name, kind, true);
        Arc::new(Schema::new(vec![
            field("text", DataType::Utf8),
            field("whole", DataType::Int64),
            field("double", DataType::Float64),
            field("yes", DataType::Boolean),
        ]))
    }

    /// The reader that has the last word.
    fn theirs(text: &str, strict: bool, rows: usize) -> Option<Vec<RecordBatch>> {
        let mut decoder = arrow::json::ReaderBuilder::new(schema())
            .with_coerce_primitive(true)
            .with_strict_mode(strict)
            .with_batch_size(rows)
            .build_decoder()
            .unwrap();
        let (mut rest, mut batches) = (text.as_bytes(), Vec::new());
        loop {
            let used = decoder.decode(rest).ok()?;
            rest = &rest[used..];
            if rest.is_empty() {
                decoder.decode(&[]).ok()?;
            }
            match decoder.flush().ok()? {
                Some(batch) => batches.push(batch),
                None if rest.is_empty() => return Some(batches),
                None => {}
            }
        }
    }

    fn ours(text: &str, strict: bool, rows: usize) -> Option<Vec<RecordBatch>> {
        PlainJson::new(&schema(), strict).unwrap().rows(text.as_bytes(), rows)
    }

    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            3 => r"[a-cé \n]{0,6}".prop_map(|text| format!("\"{text}\"")),
            2 => r#"([a-cé]|\\["\\/bfnrt]|\\){0,5}"#.prop_map(|text| format!("\"{text}\"")),
            1 => r"\\u[0-9a-d]{4}".prop_map(|text| format!("\"{text}\"")),
            4 => any::<i64>().prop_map(|number| number.to_string()),
            4 => any::<f64>().prop_map(|number| format!("{number:?}")),
            3 => r"-?[0-9]{1,3}(\.[0-9]{0,3})?([eE][+-]?[0-9]{0,3})?",
            4 => prop::sample::select(vec!["true", "false", "null", "[1]", "{\"a\":1}", "nul", ""])
                .prop_map(str::to_owned),
        ]
    }

    fn object() -> impl Strategy<Value = String> {
        let keys =
            prop::sample::select(vec!["text", "whole", "double", "yes", "other", "te\\u0078t"]);
        let blank = prop::sample::select(vec!["", "", " ", "\t", "\r"]);
        let field = (keys, blank.clone(), value(), blank)
            .prop_map(|(key, a, value, b)| format!("{a}\"{key}\"{b}:{a}{value}{b}"));
        prop::collection::vec(field, 0..5).prop_map(|fields| format!("{{{}}}", fields.join(",")))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_is_read_is_what_arrow_reads(
            objects in prop::collection::vec(object(), 0..4),
            end in prop::sample::select(vec!["\n", "\r\n", "\n\n", " ", "", ",", "\n}"]),
            strict: bool,
            cut in prop::option::weighted(0.1, 0_usize..80),
        ) {
            let text: String = objects.iter().flat_map(|object| [object.as_str(), end]).collect();
            let cut = cut.filter(|at| *at <= text.len() && text.is_char_boundary(*at));
            let text = &text[..cut.unwrap_or(text.len())];
            if let Some(rows) = ours(text, strict, 2) {
                prop_assert_eq!(Some(rows), theirs(text, strict, 2), "{}", text);
            }
        }
    }

    /// What it is for is not left to the other reader.
    #[test]
    fn plain_objects_are_read() {
        let text = "{\"id\":1,\"text\":\"a \\\"b\\\" \\\\ c\",\"whole\":-7,\"double\":1.5e3,\"yes\":true}\r\n\
            {\"text\": null, \"double\": 0, \"note\": \"x\\ty\", \"more\": null}\n{ }\n\
            {\"double\":16.25,\"whole\":123456789012345678}";
        let rows = ours(text, false, 3).unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(Some(rows), theirs(text, false, 3));
        assert_eq!(ours("", false, 3), Some(Vec::new()));
    }

    #[test]
    fn what_is_not_plain_is_left_to_arrow() {
        for text in [
            r#"{"whole": 1.0}"#,
            r#"{"whole": 12345678901234567890}"#,
            r#"{"whole": "1"}"#,
            r#"{"text": 1}"#,
            r#"{"text": "\u00e4"}"#,
            r#"{"double": 01}"#,
            r#"{"double": 1.}"#,
            r#"{"other": [1]}"#,
            r#"{"yes": 1}"#,
            r#"{"yes": true, "yes": false}"#,
            r#"{"yes": true"#,
            r#"{"yes" true}"#,
            r#"{"yes": true,}"#,
            "[]",
            "null",
        ] {
            assert_eq!(ours(text, false, 3), None, "{text}");
        }
        assert_eq!(ours(r#"{"other": 1}"#, true, 3), None);
        // What goes on being something else is not tried for ever.
        let reader = PlainJson::new(&schema(), false).unwrap();
        for _ in 0..PATIENCE {
            assert!(reader.rows(b"[]", 1).is_none());
        }
        assert!(reader.rows(b"{}", 1).is_none());
        let nested = Field::new("n", DataType::new_list(DataType::Int64, true), true);
        assert!(PlainJson::new(&Arc::new(Schema::new(vec![nested])), false).is_none());
    }
}
