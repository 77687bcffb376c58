//! Files that break off.

use crate::format::{Failure, Format, Limits, OnError, Reading};
use crate::{FixedColumn, FixedWidth, Json, Lines, NUMBER, Regex, Source, Xml};
use arrow::array::AsArray as _;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

/// Names and rows of batches, a line each, values parted by `|`.
pub(crate) fn shown(batches: &[RecordBatch]) -> String {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let lines = text.lines().filter(|line| line.starts_with('|'));
    let values =
        |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|");
    lines.map(values).collect::<Vec<_>>().join("\n")
}

/// A text, and then an error, as of a compressed file that is cut.
struct Broken(&'static str);

struct Fails;

impl Read for Fails {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("it breaks off"))
    }
}

impl Source for Broken {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn stream(&self) -> io::Result<Box<dyn BufRead + Send>> {
        Ok(Box::new(BufReader::new(self.0.as_bytes().chain(Fails))))
    }

    fn ranges(&self) -> io::Result<Box<dyn crate::source::Seekable>> {
        Ok(Box::new(io::Cursor::new(self.0.as_bytes())))
    }
}

/// The rows that are handed out, and how the reading ends.
fn rows(
    format: &dyn Format,
    source: &dyn Source,
    on_error: OnError,
) -> (String, Result<(), Failure>) {
    let schema = match format.infer_broken(source, &Limits::default()) {
        Ok(schema) => Arc::new(schema),
        Err(failure) => return (String::new(), Err(failure)),
    };
    let mut batches = Vec::new();
    let ended = format.read(
        source,
        &mut Reading {
            strict: Some(Arc::clone(&schema)),
            schema,
            rows: 1024,
            longest: 1 << 20,
            on_error,
            bad: &mut |line, why| panic!("{line:?}: {why}"),
            out: &mut |batch| {
                batches.push(batch);
                true
            },
        },
    );
    (shown(&batches), ended)
}

fn fixed(line_delimited: bool) -> FixedWidth {
    let column = |name: &str, offset, length| FixedColumn {
        name: name.to_owned(),
        kind: None,
        offset,
        length,
    };
    FixedWidth {
        columns: vec![column("a", 0, 1), column("b", 1, 2)],
        skip_rows: 0,
        skip_bytes: 0,
        line_delimited,
        strip: true,
        point: '.',
    }
}

#[test]
fn the_rows_before_a_break_are_read_unless_it_fails() {
    let array = "[{\"a\":1,\"b\":\"xx\"},\n{\"a\":2,\"b\":\"yy\"},{\"a\":3";
    let lines = "{\"a\":1,\"b\":\"xx\"}\n{\"a\":2,\"b\":\"yy\"}\n{\"a\":3";
    let xml = "<o><r><a>1</a><b>xx</b></r>\n<r><a>2</a><b>yy</b></r><r><a>3";
    let regex = Regex::new("^(?P<a>[0-9])(?P<b>[a-z]+)$").unwrap();
    let cases: [(&dyn Format, &'static str, &str); 7] = [
        (&Json::default(), array, "a|b\n1|xx\n2|yy"),
        (&Json { lines: true, ..Json::default() }, lines, "a|b\n1|xx\n2|yy"),
        (&Xml::default(), xml, "a|b\n1|xx\n2|yy"),
        (&fixed(true), "1xx\n2yy\n3z", "a|b\n1|xx\n2|yy"),
        (&fixed(false), "1xx2yy3z", "a|b\n1|xx\n2|yy"),
        (&regex, "1xx\n2yy\n3z", "a|b\n1|xx\n2|yy"),
        (&Lines, "1xx\n2yy\n3z", "line\n1xx\n2yy"),
    ];
    for (format, text, expected) in cases {
        for rule in [OnError::Skip, OnError::Null] {
            let (found, ended) = rows(format, &Broken(text), rule);
            assert_eq!(found, expected, "{text}");
            assert!(ended.unwrap_err().reason.contains("it breaks off"), "{text}");
        }
        let (found, ended) = rows(format, &Broken(text), OnError::Fail);
        assert_eq!(found, "", "{text}");
        assert!(ended.is_err(), "{text}");
        // Without a row before it there are no columns but those that are declared.
        let (found, ended) = rows(format, &Broken(""), OnError::Skip);
        assert_eq!(found, "", "{text}");
        assert!(ended.is_err(), "{text}");
    }
    let nested: [(&dyn Format, &'static str); 2] =
        [(&Json::default(), array), (&Xml::default(), xml)];
    for (format, text) in nested {
        assert!(format.infer(&Broken(text), &Limits::default()).is_err(), "{text}");
        let whole = text.as_bytes().to_vec();
        assert!(format.infer(&whole, &Limits::default()).is_err(), "{text}");
        let (found, ended) = rows(format, &whole, OnError::Skip);
        assert_eq!(found, "a|b\n1|xx\n2|yy", "{text}");
        assert!(ended.unwrap_err().reason.contains("the file ends inside of"), "{text}");
    }
}

#[test]
fn a_number_that_breaks_off_is_no_row() {
    let (found, ended) = rows(&Json::default(), &b"[1, 23, 4".to_vec(), OnError::Skip);
    assert_eq!(found, "value\n1\n23");
    assert_eq!(ended.unwrap_err().reason, "line 1: the file ends inside of its array");
}

#[test]
fn rows_are_numbered_by_their_place_whatever_is_left_out() {
    let regex = Regex::new("^(?P<a>[0-9]+|x)$").unwrap();
    let narrow = FixedWidth { columns: fixed(true).columns[..1].to_vec(), ..fixed(true) };
    let number = DataType::Int64;
    let cases: [(&dyn Format, &[u8], &str, DataType); 6] = [
        (
            &Json { lines: true, ..Json::default() },
            b"{\"a\":1}\n{\"a\":\n{\"a\":\"x\"}\n{\"a\":4}\n",
            "a",
            number.clone(),
        ),
        (&Json::default(), b"[{\"a\":1},{\"a\":\"x\"},{\"a\":{}},{\"a\":4}]", "a", number.clone()),
        (
            &Xml::default(),
            b"<o><r><a>1</a></r><r><a>x</a></r><r><a>y</a></r><r><a>4</a></r></o>",
            "a",
            number.clone(),
        ),
        (&regex, b"1\nx\n?\n4\n", "a", number.clone()),
        (&narrow, b"1\nx\n\xff\n4\n", "a", number),
        (&Lines, b"1\n\xff\n\xfe\n4\n", "line", DataType::Utf8),
    ];
    for (format, bytes, name, kind) in cases {
        let fields = vec![Field::new(name, kind, true), Field::new(NUMBER, DataType::Int64, true)];
        let mut numbers = Vec::new();
        let read = format.read(
            &bytes.to_vec(),
            &mut Reading {
                strict: None,
                schema: Arc::new(Schema::new(fields)),
                rows: 1024,
                longest: 1 << 20,
                on_error: OnError::Skip,
                bad: &mut |_, _| {},
                out: &mut |batch| {
                    let column = batch.column_by_name(NUMBER).unwrap();
                    numbers.extend_from_slice(column.as_primitive::<Int64Type>().values());
                    true
                },
            },
        );
        assert!(read.is_ok(), "{format:?}: {read:?}");
        assert_eq!(numbers, [1, 4], "{format:?}");
    }
}
