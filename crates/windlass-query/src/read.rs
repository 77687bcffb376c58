//! Reading one text file: front to back, or ranges of it side by side.
//!
//! A range is decoded as if a record began after its first line end, before it is known whether that
//! line end is inside quotes. What is before it is joined to what the range before left over; only if
//! that ends there, outside quotes, was the guess right. Else the range is decoded again from where it
//! truly begins. Rows stay in the order of the file.

use crate::ahead;
use crate::blocking;
use crate::decoder::{Decoder, Fed, count};
use crate::error::from_io;
use crate::files::SourceFile;
use crate::format::{Kind, TextOptions};
use crate::plain_json::PlainJson;
use crate::records::{Lines, last_start, line_end, record_end};
use crate::text::{
    Bytewise, Part, TextScan, endless, first_record, format, header, null_pattern, open,
    unreadable, without_mark,
};
use arrow::array::{Array as _, ArrayRef, new_null_array};
use arrow::csv::ReaderBuilder;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::{Buf as _, Bytes};
use datafusion::common::runtime::SpawnedTask;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use std::sync::Arc;
use windlass_formats::NUMBER;
use windlass_types::{Error, ErrorCode, Result};

/// Bytes that are decoded at a time: of JSON fewer, whose values take several times their text on the
/// way. Small in tests, so that their files have several.
const PIECE: usize = if cfg!(test) { 4096 } else { 1 << 20 };

/// The columns of one file and how they are decoded.
#[derive(Debug)]
pub(crate) struct Layout {
    kind: Kind,
    schema: Arc<Schema>,
    projection: Option<Vec<usize>>,
    options: TextOptions,
    strict: bool,
    /// Of JSON, only the number of rows is wanted.
    counting: bool,
    /// Reads JSON where it is plain.
    plain: Option<PlainJson>,
}

impl Layout {
    /// CSV with these columns of text.
    pub(crate) fn of_text(names: &[String], options: &TextOptions) -> Self {
        let fields: Vec<Field> =
            names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        Self {
            kind: Kind::Csv,
            schema: Arc::new(Schema::new(fields)),
            projection: None,
            options: options.clone(),
            strict: false,
            counting: false,
            plain: None,
        }
    }

    /// The layout of a file by its header, and the bytes before its first row; None: it has no rows.
    fn read(
        scan: &TextScan,
        file: &SourceFile,
        text: &[u8],
        whole: bool,
    ) -> Result<Option<(Self, usize)>> {
        let known = scan.file_schema.fields();
        let wanted: Vec<&Field> = scan
            .projection
            .iter()
            .filter_map(|index| known.get(*index))
            .map(AsRef::as_ref)
            .collect();
        // Who asks for every column must not miss one that no sampled file has.
        let every = !scan.lenient && !known.is_empty() && wanted.len() == known.len();
        let mut layout = Self {
            kind: scan.kind,
            schema: Arc::clone(&scan.file_schema),
            projection: None,
            options: scan.options.clone(),
            strict: every && scan.hidden.is_empty(),
            counting: scan.kind == Kind::JsonLines && wanted.is_empty(),
            plain: None,
        };
        if scan.kind == Kind::JsonLines {
            let mut fields: Vec<Field> = wanted.into_iter().cloned().collect();
            if fields.is_empty() {
                // Rows are counted by a column: a schema without one has no length.
                fields.extend(known.first().map(|field| field.as_ref().clone()));
            }
            layout.schema = Arc::new(Schema::new(fields));
            layout.plain = PlainJson::new(&layout.schema, layout.strict);
            return Ok(Some((layout, 0)));
        }
        let kind = scan.kind.to_string();
        let bad = |error: ArrowError| unreadable(file, &kind, error);
        let Some(mut names) = header(text, &scan.options, whole).map_err(bad)? else {
            return Ok(None);
        };
        if scan.lenient {
            names = in_any_case(names, &scan.file_schema);
        }
        if scan.options.comment.is_some()
            && line_end(text).is_some_and(|end| text[end - 1] == b'\r')
        {
            let text = "lines end with carriage returns alone, which does not go with COMMENT";
            return Err(unreadable(file, &kind, std::io::Error::other(text)));
        }
        if every {
            for name in &names {
                if scan.file_schema.field_with_name(name).is_err() && !scan.hidden.contains(name) {
                    return Err(unsampled(&format!("`{}`", file.address()), name));
                }
            }
        }
        let (start, end) = first_record(text, &scan.options, whole).unwrap_or((0, 0));
        let fields: Vec<Field> = names
            .iter()
            .map(|name| match scan.file_schema.field_with_name(name) {
                Ok(field) => field.clone(),
                Err(_) => Field::new(name, DataType::Utf8, true),
            })
            .collect();
        layout.schema = Arc::new(Schema::new(fields));
        let is_wanted = |name: &String| wanted.iter().any(|field| field.name() == name);
        layout.projection = Some((0..names.len()).filter(|at| is_wanted(&names[*at])).collect());
        Ok(Some((layout, if scan.options.header { end } else { start })))
    }

    pub(crate) fn decoder(&self, rows: usize) -> Result<Decoder, ArrowError> {
        if self.kind == Kind::JsonLines {
            return arrow::json::ReaderBuilder::new(Arc::clone(&self.schema))
                .with_coerce_primitive(true)
                .with_strict_mode(self.strict)
                .with_batch_size(rows)
                .build_decoder()
                .map(Decoder::Json);
        }
        let mut builder = ReaderBuilder::new(Arc::clone(&self.schema))
            .with_format(format(&self.options)?)
            .with_batch_size(rows);
        if let Some(projection) = &self.projection {
            builder = builder.with_projection(projection.clone());
        }
        if let Some(null) = null_pattern(&self.options)? {
            builder = builder.with_null_regex(null);
        }
        Ok(Decoder::Csv(Box::new(builder.build_decoder())))
    }

    /// The rows of `bytes`, which begin and end with a record.
    fn all(&self, bytes: &[u8], rows: usize) -> Result<Vec<RecordBatch>, ArrowError> {
        if self.counting {
            return count(bytes).map(|batch| vec![batch]);
        }
        if let Some(batches) = self.plain.as_ref().and_then(|plain| plain.rows(bytes, rows)) {
            return Ok(batches);
        }
        self.decoder(rows)?.all(bytes)
    }

    /// Bytes that are decoded at a time.
    fn piece(&self) -> usize {
        if self.kind == Kind::JsonLines { PIECE / 2 } else { PIECE }
    }

    fn quoting(&self) -> Option<&TextOptions> {
        (self.kind != Kind::JsonLines).then_some(&self.options)
    }
}

/// The names of a file, each as it is known where one that is known differs from it in case alone.
fn in_any_case(names: Vec<String>, known: &Schema) -> Vec<String> {
    let all: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let known_as = |(at, name): (usize, String)| {
        let mut fits = known.fields().iter().filter(|field| field.name().to_lowercase() == all[at]);
        let alone = all.iter().filter(|other| **other == all[at]).count() == 1;
        match (fits.next(), fits.next()) {
            (Some(only), None) if alone => only.name().clone(),
            _ => name,
        }
    };
    names.into_iter().enumerate().map(known_as).collect()
}

/// The error of a column that only a file outside the sample has.
pub(crate) fn unsampled(file: &str, name: &str) -> Error {
    Error::new(
        ErrorCode::FormatInvalid,
        format!("{file} has a column `{name}` that the files read for the schema do not have"),
    )
    .hint("name the columns you want, or read more files for the schema: CREATE FILE TABLE ... CONTENT_TYPE = (SAMPLE_FILES = 1000), or INFER = FULL")
}

/// The start of a file: its layout and the bytes read so far, without header and byte order mark.
struct Start {
    layout: Layout,
    /// Of the rows, in the decompressed file.
    offset: u64,
    rest: Bytes,
    stream: Bytewise,
    /// Its bytes are handed out as they are stored.
    plain: bool,
}

/// Reads until the header is whole; of JSON, until a byte order mark would be.
async fn start(scan: &TextScan, file: &Arc<SourceFile>) -> Result<Option<Start>> {
    let (mut stream, plain) = open(Arc::clone(file), &scan.options, scan.limit.is_some()).await?;
    let mut buffer: Vec<u8> = Vec::new();
    let whole = loop {
        let ready = match scan.kind {
            Kind::JsonLines => buffer.len() >= 3,
            _ => first_record(without_mark(&buffer), &scan.options, false).is_some(),
        };
        if ready {
            break false;
        }
        if buffer.len() > scan.options.longest {
            return Err(endless(file, scan.kind, &scan.options, 0));
        }
        match stream.try_next().await.map_err(|error| from_io(error, file))? {
            Some(chunk) => buffer.extend_from_slice(&chunk),
            None => break true,
        }
    };
    let text = without_mark(&buffer);
    let Some((layout, skip)) = Layout::read(scan, file, text, whole)? else { return Ok(None) };
    let before = buffer.len() - text.len() + skip;
    let mut rest = Bytes::from(buffer);
    rest.advance(before);
    Ok(Some(Start { layout, offset: before as u64, rest, stream, plain }))
}

/// The wanted columns of a file.
pub(crate) fn read(
    scan: Arc<TextScan>,
    part: Part,
    rows: usize,
) -> BoxStream<'static, Result<RecordBatch>> {
    if scan.format.is_some() {
        return blocking::rows(scan, part, rows).boxed();
    }
    if part.tasks > 1 { ranges(scan, part, rows).boxed() } else { whole(scan, part, rows).boxed() }
}

fn whole(
    scan: Arc<TextScan>,
    part: Part,
    rows: usize,
) -> impl futures::Stream<Item = Result<RecordBatch>> + Send {
    async_stream::try_stream! {
        let file = &part.file;
        let Some(start) = start(&scan, file).await? else { return };
        let Start { layout, mut offset, rest: mut chunk, mut stream, .. } = start;
        let name = scan.kind.to_string();
        let mut decoder = layout.decoder(rows).map_err(|error| unreadable(file, &name, error))?;
        let mut fed = Fed::default();
        let mut ended = false;
        let failed = loop {
            let full = match fed.feed(&mut decoder, &mut chunk) {
                Ok(full) => full,
                Err(error) => break Some(error),
            };
            if fed.open > scan.options.longest {
                // Rare, so that it may be read again: lines that are no records are not too long.
                if let Some((line, error)) = search(&scan, &layout, file, offset).await? {
                    Err(describe(file, &layout, Some(line), error))?;
                }
                fed.open = 0;
            }
            if !full && !ended {
                if let Some(next) = stream.try_next().await.map_err(|error| from_io(error, file))? {
                    chunk = next;
                    continue;
                }
                ended = true;
                if let Err(error) = decoder.decode(&[]) {
                    break Some(error); // a last line without a line end ended
                }
            }
            match decoder.flush().and_then(|batch| batch.map(|batch| arrange(&scan, &part, &batch)).transpose()) {
                Ok(Some(batch)) => {
                    offset += std::mem::take(&mut fed.used);
                    yield batch;
                }
                Ok(None) if ended => break None,
                Ok(None) => {}
                Err(error) => break Some(error),
            }
        };
        if let Some(error) = failed {
            Err(locate(&scan, &layout, file, offset, error).await)?;
        }
    }
}

/// A range, decoded from after its first line end.
struct Range {
    offset: u64,
    bytes: Vec<u8>,
    /// Bytes before the first row decoded.
    head: usize,
    /// Where the record begins that the range does not hold whole.
    tail: usize,
    batches: Result<Vec<RecordBatch>, ArrowError>,
}

fn range(layout: &Layout, offset: u64, bytes: Vec<u8>, first: bool, rows: usize) -> Range {
    let head = if first { 0 } else { line_end(&bytes).unwrap_or(bytes.len()) };
    let tail = head + last_start(&bytes[head..], layout.quoting());
    let batches = layout.all(&bytes[head..tail], rows);
    Range { offset, bytes, head, tail, batches }
}

fn ranges(
    scan: Arc<TextScan>,
    part: Part,
    rows: usize,
) -> impl futures::Stream<Item = Result<RecordBatch>> + Send {
    async_stream::try_stream! {
        let file = Arc::clone(&part.file);
        let Some(start) = start(&scan, &file).await? else { return };
        let Start { layout, offset, rest, stream, plain } = start;
        let layout = Arc::new(layout);
        let pieces = if plain {
            drop(stream);
            ahead::pieces(Arc::clone(&file), offset, layout.piece())
        } else {
            let stream = futures::stream::iter([Ok(rest)]).chain(stream).boxed();
            ahead::unpacked(Arc::clone(&file), offset, stream, layout.piece())
        };
        let mut tasks = pieces
            .map_ok({
                let layout = Arc::clone(&layout);
                move |(from, bytes)| {
                    let layout = Arc::clone(&layout);
                    ahead::done(SpawnedTask::spawn(async move {
                        Ok(range(&layout, from, bytes, from == offset, rows))
                    }))
                }
            })
            // More than there are threads: one that is done waits for those before it.
            .try_buffered(2 * part.tasks);
        // What the ranges so far hold of a record that has not ended.
        let mut carry: Vec<u8> = Vec::new();
        let mut size = offset;
        while let Some(next) = tasks.next().await {
            let range: Range = next?;
            size = range.offset + range.bytes.len() as u64;
            let begin = range.offset - carry.len() as u64;
            let from = range.offset + range.head as u64;
            carry.extend_from_slice(&range.bytes[..range.head]);
            let right = range.head < range.bytes.len()
                && last_start(&carry, layout.quoting()) == carry.len();
            let mut pieces = vec![];
            if right {
                pieces.push((begin, layout.all(&carry, rows)));
                pieces.push((from, range.batches));
                carry = range.bytes[range.tail..].to_vec();
            } else {
                carry.extend_from_slice(&range.bytes[range.head..]);
                let end = last_start(&carry, layout.quoting());
                pieces.push((begin, layout.all(&carry[..end], rows)));
                carry.drain(..end);
                if carry.len() > scan.options.longest {
                    Err(endless(&file, scan.kind, &scan.options, begin + end as u64))?;
                }
            }
            for (begin, batches) in pieces {
                match batches {
                    Ok(batches) => for batch in batches {
                        let name = scan.kind.to_string();
                        yield arrange(&scan, &part, &batch)
                            .map_err(|error| unreadable(&file, &name, error))?;
                    },
                    Err(error) => Err(locate(&scan, &layout, &file, begin, error).await)?,
                }
            }
        }
        let begin = size - carry.len() as u64;
        match layout.all(&carry, rows) {
            Ok(batches) => for batch in batches {
                let name = scan.kind.to_string();
                yield arrange(&scan, &part, &batch)
                    .map_err(|error| unreadable(&file, &name, error))?;
            },
            Err(error) => Err(locate(&scan, &layout, &file, begin, error).await)?,
        }
    }
}

/// The error of rows from `offset` on, with the line it is in: the file is read again, record by record.
async fn locate(
    scan: &TextScan,
    layout: &Layout,
    file: &Arc<SourceFile>,
    offset: u64,
    error: ArrowError,
) -> Error {
    match search(scan, layout, file, offset).await {
        Ok(Some((line, found))) => describe(file, layout, Some(line), found),
        Ok(None) => describe(file, layout, None, error),
        Err(failed) => failed,
    }
}

async fn search(
    scan: &TextScan,
    layout: &Layout,
    file: &Arc<SourceFile>,
    offset: u64,
) -> Result<Option<(u64, ArrowError)>> {
    let (mut stream, _) = open(Arc::clone(file), &scan.options, false).await?;
    let Ok(mut decoder) = layout.decoder(1 << 13) else { return Ok(None) };
    let mut lines = Lines::default();
    let mut skip = offset;
    let mut buffer: Vec<u8> = Vec::new();
    // Bytes of records from `offset` on that are right.
    let mut done = 0;
    loop {
        let next = stream.try_next().await.map_err(|error| from_io(error, file))?;
        let ended = next.is_none();
        if let Some(mut chunk) = next {
            let past = usize::try_from(skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
            lines.pass(&chunk[..past]);
            skip -= past as u64;
            chunk.advance(past);
            buffer.extend_from_slice(&chunk);
        }
        let mut start = 0;
        loop {
            let end = record_end(&buffer[start..], layout.quoting());
            let record = match end {
                Some(end) => &buffer[start..start + end],
                None if ended => &buffer[start..],
                // What is wrong with the part that is there is said before that it is too long.
                None if buffer.len() - start > scan.options.longest => {
                    return match decoder.decode(&buffer[start..]) {
                        Err(error) => Ok(Some((lines.ended + 1, error))),
                        Ok(_) => Err(endless(file, scan.kind, &scan.options, offset + done)),
                    };
                }
                None => break,
            };
            if let Err(error) = decoder.all(record) {
                // Blank lines are read as part of the record after them.
                let blank = record.iter().take_while(|byte| byte.is_ascii_whitespace());
                blank.for_each(|byte| lines.pass(&[*byte]));
                return Ok(Some((lines.ended + 1, error)));
            }
            lines.pass(record);
            start += record.len();
            done += record.len() as u64;
            if end.is_none() {
                return Ok(None);
            }
        }
        buffer.drain(..start);
    }
}

/// Arrow's message without its boilerplate, and what to do about a type that was guessed wrong.
fn describe(file: &SourceFile, layout: &Layout, line: Option<u64>, error: ArrowError) -> Error {
    let text = match error {
        ArrowError::CsvError(text) | ArrowError::JsonError(text) | ArrowError::ParseError(text) => {
            text
        }
        other => other.to_string(),
    };
    let text = text.split(". Row data").next().unwrap_or(&text);
    let mut words: Vec<String> = Vec::new();
    let mut rest = text.split(' ').peekable();
    while let Some(word) = rest.next() {
        let number =
            rest.peek().and_then(|next| next.trim_end_matches([',', ':']).parse::<usize>().ok());
        match (word, number) {
            // Arrow counts records, and from where it began.
            ("line", Some(_)) => {
                let after = rest.next().unwrap_or_default();
                words.pop();
                if let (Some(last), Some(sign)) =
                    (words.last_mut(), after.chars().last().filter(|c| ",:".contains(*c)))
                {
                    last.push(sign);
                }
            }
            ("column", Some(number)) if layout.kind != Kind::JsonLines => {
                let after = rest.next().unwrap_or_default();
                let name = layout.schema.fields().get(number).map_or(after, |field| field.name());
                words.push(format!("column `{name}`"));
            }
            _ => words.push(word.to_owned()),
        }
    }
    let text = words.join(" ");
    let text = line.map_or_else(|| text.clone(), |line| format!("line {line}: {text}"));
    let guessed = text.contains("while parsing value")
        || text.contains("Error parsing column")
        || text.contains("failed to parse")
        || text.contains("whilst decoding")
        || text.contains("expected ") && layout.kind == Kind::JsonLines;
    let missing = text.contains("missing from schema");
    let error = unreadable(file, &layout.kind.to_string(), std::io::Error::other(text));
    if missing {
        return error.hint(
            "name the columns you want, or learn them from every row: CREATE FILE TABLE ... CONTENT_TYPE = (INFER = FULL)",
        );
    }
    if guessed {
        return error.hint(
            "types are taken from the first 1,000 rows of some files; say it with CREATE FILE TABLE ... CONTENT_TYPE = (TYPES = ('name TEXT')), or read every row (INFER = FULL) or all as text (INFER = NONE)",
        );
    }
    error
}

/// The wanted columns in order: read, missing (NULL) or of the folder.
pub(crate) fn arrange(
    scan: &TextScan,
    part: &Part,
    batch: &RecordBatch,
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let mut columns: Vec<ArrayRef> = scan
        .projection
        .iter()
        .map(|index| match scan.file_schema.fields().get(*index) {
            Some(field) => Ok(batch
                .column_by_name(field.name())
                .cloned()
                .unwrap_or_else(|| new_null_array(field.data_type(), rows))),
            None => part.values[index - scan.file_schema.fields().len()]
                .to_array_of_size(rows)
                .map_err(|error| ArrowError::ComputeError(error.to_string())),
        })
        .collect::<Result<_, _>>()?;
    if let (Some(at), Some(numbers)) = (scan.number, batch.column_by_name(NUMBER))
        && numbers.null_count() == 0
    {
        columns[at] = Arc::clone(numbers);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(&scan.schema), columns, &options)
}
