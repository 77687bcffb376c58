//! Scanning CSV and JSON lines: each file by its own header, columns by name.
//!
//! DataFusion's CSV scan goes by position with one header for all files; here a file may lack columns,
//! have more, or have them in another order.

use crate::files::SourceFile;
use crate::format::{Compression, Kind, TextOptions, compression_in, compression_of};
use arrow::array::{ArrayRef, new_null_array};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder};
use bytes::{Buf as _, Bytes};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    SendableRecordBatchStream,
};
use datafusion::scalar::ScalarValue;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use std::fmt;
use std::io::Cursor;
use std::sync::Arc;
use tokio_util::io::{ReaderStream, StreamReader};
use windlass_types::{Error, ErrorCode};

type Bytewise = BoxStream<'static, std::io::Result<Bytes>>;

/// Opens a text file and decompresses it as its name, else its first bytes, say.
pub(crate) async fn open(
    file: Arc<SourceFile>,
    compression: Option<Compression>,
) -> windlass_types::Result<Bytewise> {
    let mut body = file.open(None).await?;
    let mut first = Vec::new();
    let compression = match compression.unwrap_or_else(|| compression_of(file.name())) {
        Compression::None if compression.is_none() => {
            while first.len() < 6 {
                match body.try_next().await? {
                    Some(chunk) => first.extend_from_slice(&chunk),
                    None => break,
                }
            }
            compression_in(&first)
        }
        known => known,
    };
    let body =
        futures::stream::iter([Ok(Bytes::from(first))]).chain(body.map_err(std::io::Error::other));
    // The decoders go on after the end of one member or frame: concatenated files are legal.
    macro_rules! decode {
        ($decoder:ident) => {{
            let mut decoder = $decoder::new(StreamReader::new(body));
            decoder.multiple_members(true);
            ReaderStream::with_capacity(decoder, 64 << 10).boxed()
        }};
    }
    Ok(match compression {
        Compression::None => body.boxed(),
        Compression::Gzip => decode!(GzipDecoder),
        Compression::Zstd => decode!(ZstdDecoder),
        Compression::Bzip2 => decode!(BzDecoder),
        Compression::Xz => decode!(XzDecoder),
    })
}

/// The error of a file that is not what it should be.
pub(crate) fn unreadable(
    file: &SourceFile,
    kind: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(ErrorCode::FormatInvalid, format!("`{}` cannot be read as {kind}", file.address()))
        .source(source)
}

/// Text without a byte order mark.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Bytes in which a first record must end: longer, and a quote is not closed.
pub(crate) const LONGEST: usize = 16 << 20;

/// Where the first record ends: after a line end, outside quotes if `quoting` is given. A quote
/// opens only at the start of a field, as in arrow's reader.
pub(crate) fn record_end(bytes: &[u8], quoting: Option<&TextOptions>) -> Option<usize> {
    let Some(options) = quoting else {
        return bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    };
    let (mut quoted, mut start, mut at) = (false, true, 0);
    while let Some(byte) = bytes.get(at) {
        if quoted {
            if options.escape == Some(*byte) && options.escape != Some(options.quote) {
                at += 1;
            } else if *byte == options.quote {
                if bytes.get(at + 1) == Some(&options.quote) {
                    at += 1;
                } else {
                    quoted = false;
                }
            }
        } else if *byte == b'\n' {
            return Some(at + 1);
        } else {
            quoted = start && *byte == options.quote;
            start = *byte == options.delimiter;
        }
        at += 1;
    }
    None
}

/// The error of a first record that does not end.
pub(crate) fn endless(file: &SourceFile, kind: &str) -> Error {
    unreadable(file, kind, std::io::Error::other("the first record does not end within 16 MiB"))
        .hint("check QUOTE and DELIMITER, or what the file is")
}

/// How arrow reads this CSV, without the header.
pub(crate) fn format(options: &TextOptions) -> Result<Format, ArrowError> {
    let mut format = Format::default()
        .with_header(false)
        .with_delimiter(options.delimiter)
        .with_quote(options.quote);
    if let Some(escape) = options.escape {
        format = format.with_escape(escape);
    }
    if let Some(comment) = options.comment {
        format = format.with_comment(comment);
    }
    if let Some(null) = null_pattern(options)? {
        format = format.with_null_regex(null);
    }
    Ok(format)
}

fn null_pattern(options: &TextOptions) -> Result<Option<regex::Regex>, ArrowError> {
    options
        .null
        .as_ref()
        .map(|text| {
            regex::Regex::new(&format!("^{}$", regex::escape(text)))
                .map_err(|error| ArrowError::CsvError(error.to_string()))
        })
        .transpose()
}

/// Where the first record begins and ends, past comments and blank lines.
fn first_record(bytes: &[u8], options: &TextOptions, whole: bool) -> Option<(usize, usize)> {
    let mut start = 0;
    loop {
        let rest = &bytes[start..];
        let skipped = rest.first() == options.comment.as_ref() && options.comment.is_some();
        let blank = matches!(rest, [b'\n', ..] | [b'\r', b'\n', ..]);
        let quoting = (!skipped && !blank).then_some(options);
        match record_end(rest, quoting) {
            Some(end) if skipped || blank => start += end,
            Some(end) => return Some((start, start + end)),
            None => return (whole && !rest.is_empty() && !skipped).then_some((start, bytes.len())),
        }
    }
}

/// The names of the columns, by the first record; None where there is none. Empty names are
/// `column_N`, repeated ones get a number.
pub(crate) fn header(
    bytes: &[u8],
    options: &TextOptions,
    whole: bool,
) -> Result<Option<Vec<String>>, ArrowError> {
    let Some((start, end)) = first_record(bytes, options, whole) else { return Ok(None) };
    let format = format(options)?.with_header(options.header);
    let (schema, _) = format.infer_schema(Cursor::new(&bytes[start..end]), Some(1))?;
    let mut names: Vec<String> = Vec::new();
    for (at, field) in schema.fields().iter().enumerate() {
        let name = match field.name().trim() {
            "" => format!("column_{}", at + 1),
            name => name.to_owned(),
        };
        let mut unique = name.clone();
        let mut number = 2;
        while names.contains(&unique) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        names.push(unique);
    }
    Ok(Some(names))
}

/// One file and the values of its partition columns.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) file: Arc<SourceFile>,
    pub(crate) values: Vec<ScalarValue>,
}

/// What every file of a scan is read by.
#[derive(Debug)]
pub(crate) struct TextScan {
    pub(crate) kind: Kind,
    pub(crate) options: TextOptions,
    /// Columns of the files, without partitions.
    pub(crate) file_schema: SchemaRef,
    /// Wanted columns of file columns followed by partition columns.
    pub(crate) projection: Vec<usize>,
    /// Schema of the wanted columns.
    pub(crate) schema: SchemaRef,
}

/// The scan of text files as a plan.
#[derive(Debug)]
pub(crate) struct TextExec {
    scan: Arc<TextScan>,
    groups: Vec<Vec<Part>>,
    properties: Arc<PlanProperties>,
}

impl TextExec {
    /// Reads each group one file after the other, the groups side by side.
    pub(crate) fn new(scan: TextScan, groups: Vec<Vec<Part>>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&scan.schema)),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { scan: Arc::new(scan), groups, properties: Arc::new(properties) }
    }
}

impl DisplayAs for TextExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let columns: Vec<&str> =
            self.scan.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let files: usize = self.groups.iter().map(Vec::len).sum();
        write!(
            f,
            "TextExec: format={}, files={files}, groups={}, columns=[{}]",
            self.scan.kind,
            self.groups.len(),
            columns.join(", ")
        )
    }
}

impl ExecutionPlan for TextExec {
    fn name(&self) -> &'static str {
        "TextExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let parts = self.groups.get(partition).cloned().unwrap_or_default();
        let scan = Arc::clone(&self.scan);
        let rows = context.session_config().batch_size();
        let schema = Arc::clone(&scan.schema);
        let stream = futures::stream::iter(parts).flat_map(move |part| {
            read(Arc::clone(&scan), part, rows)
                .map_err(|error| DataFusionError::External(Box::new(error)))
                .boxed()
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

enum Decoder {
    Csv(Box<arrow::csv::reader::Decoder>),
    Json(arrow::json::reader::Decoder),
}

impl Decoder {
    /// Takes bytes; says how many and whether a batch is full.
    fn decode(&mut self, bytes: &[u8]) -> Result<(usize, bool), ArrowError> {
        match self {
            Self::Csv(decoder) => {
                let used = decoder.decode(bytes)?;
                Ok((used, used == 0 || decoder.capacity() == 0))
            }
            Self::Json(decoder) => {
                let used = decoder.decode(bytes)?;
                Ok((used, used < bytes.len()))
            }
        }
    }

    fn flush(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        match self {
            Self::Csv(decoder) => decoder.flush(),
            Self::Json(decoder) => decoder.flush(),
        }
    }
}

fn read(
    scan: Arc<TextScan>,
    part: Part,
    rows: usize,
) -> impl futures::Stream<Item = windlass_types::Result<RecordBatch>> + Send {
    async_stream::try_stream! {
        let file = &part.file;
        let name = scan.kind.to_string();
        let bad = |error: ArrowError| describe(file, &name, error);
        let mut stream = open(Arc::clone(file), scan.options.compression).await?;
        let mut buffer: Vec<u8> = Vec::new();
        let mut whole = false;
        // Until the header is whole; of JSON, until a byte order mark would be.
        loop {
            let ready = match scan.kind {
                Kind::Csv | Kind::Tsv => {
                    first_record(without_mark(&buffer), &scan.options, false).is_some()
                }
                _ => buffer.len() >= 3,
            };
            if ready || whole {
                break;
            }
            if buffer.len() > LONGEST {
                Err(endless(file, &name))?;
            }
            match stream.try_next().await.map_err(|error| crate::error::from_io(error, file))? {
                Some(chunk) => buffer.extend_from_slice(&chunk),
                None => whole = true,
            }
        }
        let text = without_mark(&buffer);
        let (decoder, skip) = decoder(&scan, text, whole, rows).map_err(bad)?;
        if let Some(mut decoder) = decoder {
            let mark = buffer.len() - text.len();
            let mut chunk = Bytes::from(buffer);
            chunk.advance(mark + skip);
            let mut ended = false;
            loop {
                let mut full = false;
                while !chunk.is_empty() && !full {
                    let (used, done) = decoder.decode(&chunk).map_err(bad)?;
                    chunk.advance(used);
                    full = done;
                }
                if !full && !ended {
                    if let Some(next) = stream.try_next().await.map_err(|error| crate::error::from_io(error, file))? {
                        chunk = next;
                        continue;
                    }
                    ended = true;
                    decoder.decode(&[]).map_err(bad)?; // ends a last line without a line end
                }
                match decoder.flush().map_err(bad)? {
                    Some(batch) => yield arrange(&scan, &part, &batch).map_err(bad)?,
                    None if ended => break,
                    None => {}
                }
            }
        }
    }
}

/// Arrow's message without its boilerplate, and what to do about a type that was guessed wrong.
fn describe(file: &SourceFile, kind: &str, error: ArrowError) -> Error {
    let text = match error {
        ArrowError::CsvError(text) | ArrowError::JsonError(text) | ArrowError::ParseError(text) => {
            text
        }
        other => other.to_string(),
    };
    let text = text.split(". Row data").next().unwrap_or(&text).to_owned();
    let guessed = text.contains("while parsing value") || text.contains("expected");
    let error = unreadable(file, kind, std::io::Error::other(text));
    if guessed {
        return error.hint(
            "column types are taken from the first 1,000 rows of up to 8 files; correct the value, or leave the file out with a glob",
        );
    }
    error
}

/// The decoder of one file and the bytes before its first row; None: there are no rows.
fn decoder(
    scan: &TextScan,
    text: &[u8],
    whole: bool,
    rows: usize,
) -> Result<(Option<Decoder>, usize), ArrowError> {
    let wanted: Vec<&Field> = scan
        .projection
        .iter()
        .filter_map(|index| scan.file_schema.fields().get(*index))
        .map(AsRef::as_ref)
        .collect();
    if !matches!(scan.kind, Kind::Csv | Kind::Tsv) {
        let mut fields: Vec<Field> = wanted.into_iter().cloned().collect();
        if fields.is_empty() {
            // Rows are counted by a column: a schema without one has no length.
            fields.extend(scan.file_schema.fields().first().map(|field| field.as_ref().clone()));
        }
        let decoder = arrow::json::ReaderBuilder::new(Arc::new(Schema::new(fields)))
            .with_coerce_primitive(true)
            .with_batch_size(rows)
            .build_decoder()?;
        return Ok((Some(Decoder::Json(decoder)), 0));
    }
    let Some(names) = header(text, &scan.options, whole)? else { return Ok((None, 0)) };
    let (start, end) = first_record(text, &scan.options, whole).unwrap_or((0, 0));
    let skip = if scan.options.header { end } else { start };
    let fields: Vec<Field> = names
        .iter()
        .map(|name| match scan.file_schema.field_with_name(name) {
            Ok(field) => field.clone(),
            Err(_) => Field::new(name, DataType::Utf8, true),
        })
        .collect();
    let projection: Vec<usize> = (0..names.len())
        .filter(|at| wanted.iter().any(|field| *field.name() == names[*at]))
        .collect();
    let mut builder = ReaderBuilder::new(Arc::new(Schema::new(fields)))
        .with_format(format(&scan.options)?)
        .with_projection(projection)
        .with_batch_size(rows);
    if let Some(null) = null_pattern(&scan.options)? {
        builder = builder.with_null_regex(null);
    }
    Ok((Some(Decoder::Csv(Box::new(builder.build_decoder()))), skip))
}

/// The wanted columns in order: read, missing (NULL) or of the folder.
fn arrange(scan: &TextScan, part: &Part, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let columns: Vec<ArrayRef> = scan
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
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(&scan.schema), columns, &options)
}
