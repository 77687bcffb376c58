//! Scanning CSV and JSON lines: each file by its own header, columns by name.
//!
//! DataFusion's CSV scan goes by position with one header for all files; here a file may lack columns,
//! have more, or have them in another order.

use crate::error::from_io;
use crate::files::SourceFile;
use crate::format::{Kind, TextOptions};
use crate::packed::{Compression, Packed, compression};
use crate::read::read;
use crate::records::{line_end, record_end};
use crate::store::Told;
use crate::{archive, blocking};
use arrow::array::{AsArray as _, Int64Array, RecordBatch};
use arrow::csv::reader::Format as CsvFormat;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;
use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder};
use bytes::Bytes;
use datafusion::common::instant::Instant;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{
    Count, ExecutionPlanMetricsSet, MetricBuilder, MetricCategory, MetricType, MetricsSet, Time,
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
use std::task::Poll;
use tokio_util::io::{ReaderStream, StreamReader};
use windlass_formats::encoding::Charset;
use windlass_formats::{OnError, Rows as FormatRows};
use windlass_types::{Error, ErrorCode};

/// Decompressed bytes.
pub(crate) type Bytewise = BoxStream<'static, std::io::Result<Bytes>>;

/// Opens a file, decompresses it as its first bytes, else its name, say, and decodes text; `gently`
/// where perhaps only its beginning is wanted. The flag says whether its bytes are handed out as they
/// are stored.
pub(crate) async fn open(
    file: Arc<SourceFile>,
    options: &TextOptions,
    gently: bool,
) -> windlass_types::Result<(Bytewise, bool)> {
    let mut body = match file.member.clone() {
        Some(member) => archive::open(Arc::clone(&file), member),
        None if gently => file.open_gently().await?.map_err(std::io::Error::other).boxed(),
        None => file.open(None).await?.map_err(std::io::Error::other).boxed(),
    };
    let mut first = Vec::new();
    while first.len() < MARK {
        match body.try_next().await.map_err(|error| from_io(error, &file))? {
            Some(chunk) => first.extend_from_slice(&chunk),
            None => break,
        }
    }
    let compression = compression(&first[..first.len().min(MARK)], options, &file)?;
    let body = futures::stream::iter([Ok(Bytes::from(first))]).chain(body);
    // The decoders go on after the end of one member or frame: concatenated files are legal.
    macro_rules! decode {
        ($decoder:ident) => {{
            let mut decoder = $decoder::new(StreamReader::new(body));
            decoder.multiple_members(true);
            ReaderStream::with_capacity(decoder, 64 << 10).boxed()
        }};
    }
    let stream = match compression {
        Compression::None | Compression::Snappy => body.boxed(),
        Compression::Gzip => decode!(GzipDecoder),
        Compression::Zstd => decode!(ZstdDecoder),
        Compression::Bzip2 => decode!(BzDecoder),
        Compression::Xz => decode!(XzDecoder),
        Compression::Blocking(codec) => blocking::decompress(codec, body.boxed()),
    };
    let plain = compression == Compression::None && file.member.is_none();
    if options.binary || options.encoding.is_some_and(Charset::is_utf8) {
        file.noted.packed.get_or_init(|| Packed { compression, encoding: None });
        return Ok((stream, plain));
    }
    let (stream, encoding) = in_utf8(stream, options.encoding, &file).await?;
    file.noted.packed.get_or_init(|| Packed { compression, encoding });
    Ok((stream, plain && encoding.is_none()))
}

/// First bytes that tell a compression.
const MARK: usize = 10;

/// The text in UTF-8, by the encoding given or its byte order mark, and that encoding; None: it is
/// UTF-8 already.
async fn in_utf8(
    mut stream: Bytewise,
    encoding: Option<Charset>,
    file: &SourceFile,
) -> windlass_types::Result<(Bytewise, Option<Charset>)> {
    let mut first = Vec::new();
    while first.len() < 4 && encoding.is_none() {
        match stream.try_next().await.map_err(|error| from_io(error, file))? {
            Some(chunk) => first.extend_from_slice(&chunk),
            None => break,
        }
    }
    let encoding = encoding.or_else(|| Charset::by_mark(&first));
    let mut stream = futures::stream::iter([Ok(Bytes::from(first))]).chain(stream).boxed();
    let Some(encoding) = encoding else { return Ok((stream, None)) };
    let text = async_stream::try_stream! {
        let mut decoder = encoding.decoder();
        let wrong = || std::io::Error::other(format!("it is not text in {}", encoding.name()));
        while let Some(chunk) = stream.try_next().await? {
            let text = decoder.push(&chunk, false).ok_or_else(wrong)?;
            if !text.is_empty() {
                yield Bytes::from(text);
            }
        }
        let text = decoder.push(&[], true).ok_or_else(wrong)?;
        if !text.is_empty() {
            yield Bytes::from(text);
        }
    };
    Ok((text.boxed(), Some(encoding)))
}

/// The error of a file that is not what it should be; with what helps where that is known.
pub(crate) fn unreadable(
    file: &SourceFile,
    kind: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let source: Box<dyn std::error::Error + Send + Sync> = source.into();
    let said = source.to_string();
    let text = format!("`{}` cannot be read as {kind}", file.address());
    let error = Error::new(ErrorCode::FormatInvalid, text).source(source);
    if !matches!(kind, "CSV" | "TSV" | "JSON lines") {
        error
    } else if said.contains("UTF-8") {
        error.hint(
            "say how its text is encoded: CREATE FILE TABLE ... CONTENT_TYPE = (ENCODING = 'windows-1252'), or as an option of read_csv",
        )
    } else if said.contains("incorrect number of fields") {
        error.hint(
            "see that DELIMITER and QUOTE fit it, and SKIP_ROWS what is before the header; or leave such rows out: CREATE FILE TABLE ... CONTENT_TYPE = (ON_ERROR = SKIP)",
        )
    } else {
        error
    }
}

/// Text without a byte order mark.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The error of a record that begins at a byte and does not end.
pub(crate) fn endless(file: &SourceFile, kind: Kind, options: &TextOptions, at: u64) -> Error {
    let (what, advice) = match kind {
        Kind::JsonLines => ("a line", "write one object a line"),
        _ => ("a record", "check QUOTE and DELIMITER, or what the file is"),
    };
    let limit = options.longest >> 20;
    let text = format!("{what} that begins at byte {at} does not end within {limit} MiB");
    unreadable(file, &kind.to_string(), std::io::Error::other(text)).hint(format!(
        "{advice}; CREATE FILE TABLE ... CONTENT_TYPE = (MAX_LINE = {}) reads longer ones",
        limit * 4
    ))
}

/// How arrow reads this CSV, without the header.
pub(crate) fn format(options: &TextOptions) -> Result<CsvFormat, ArrowError> {
    let mut format = CsvFormat::default()
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

pub(crate) fn null_pattern(options: &TextOptions) -> Result<Option<regex::Regex>, ArrowError> {
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
pub(crate) fn first_record(
    bytes: &[u8],
    options: &TextOptions,
    whole: bool,
) -> Option<(usize, usize)> {
    let mut start = 0;
    for _ in 0..options.skip_rows {
        start += line_end(&bytes[start..])?;
    }
    loop {
        let rest = &bytes[start..];
        let skipped = rest.first() == options.comment.as_ref() && options.comment.is_some();
        let blank = matches!(rest, [b'\n' | b'\r', ..]);
        let quoting = (!skipped && !blank).then_some(options);
        match record_end(rest, quoting) {
            Some(end) if skipped || blank => start += end,
            Some(end) => return Some((start, start + end)),
            None => {
                return (whole && !rest.is_empty() && !skipped && !blank)
                    .then_some((start, bytes.len()));
            }
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
    /// Ranges of it read side by side; 1: it is read from front to back.
    pub(crate) tasks: usize,
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
    /// Columns of files that folders hide.
    pub(crate) hidden: Vec<String>,
    /// What reads the files one by one; None: they are read here.
    pub(crate) format: Option<Arc<dyn FormatRows>>,
    pub(crate) on_error: OnError,
    /// Who is told of bad rows and files.
    pub(crate) told: Told,
    /// Files may have columns that nobody knows of.
    pub(crate) lenient: bool,
    /// Rows that are wanted at most.
    pub(crate) limit: Option<usize>,
    /// Which wanted column is the number of the row in its file.
    pub(crate) number: Option<usize>,
}

/// The scan of text files as a plan.
#[derive(Debug)]
pub(crate) struct TextExec {
    scan: Arc<TextScan>,
    groups: Vec<Vec<Part>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
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
        let metrics = ExecutionPlanMetricsSet::new();
        Self { scan: Arc::new(scan), groups, properties: Arc::new(properties), metrics }
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

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let parts = self.groups.get(partition).cloned().unwrap_or_default();
        let scan = Arc::clone(&self.scan);
        let rows = context.session_config().batch_size().min(ROWS);
        let rows = scan.limit.map_or(rows, |limit| limit.clamp(1, rows));
        let schema = Arc::clone(&scan.schema);
        let counts = Counts::new(&self.metrics, partition);
        let (files, bytes) = (counts.files.clone(), counts.bytes.clone());
        // Of small files the first rows of several are read while those before them are worked on.
        let ahead = if scan.limit.is_some() { 1 } else { AHEAD };
        let stream = futures::stream::iter(parts)
            .map(move |part| {
                files.add(1);
                let part = Part { file: Arc::new(part.file.counted(bytes.clone())), ..part };
                let small = part.file.size <= SMALL && part.tasks == 1;
                let number = scan.number;
                let rows = numbered(read(Arc::clone(&scan), part, rows), number)
                    .map_err(|error| DataFusionError::External(Box::new(error)))
                    .boxed();
                begun(rows, small)
            })
            .buffered(ahead)
            .flatten();
        let stream = counts.over(stream.boxed());
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// What EXPLAIN ANALYZE tells of a group of files, under the names that it has for Parquet.
struct Counts {
    rows: Count,
    bytes: Count,
    files: Count,
    /// Between asking for rows and getting them.
    waited: Time,
}

impl Counts {
    fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let told = || MetricBuilder::new(metrics).with_type(MetricType::Summary);
        let bytes = told().with_category(MetricCategory::Bytes);
        Self {
            rows: told().output_rows(partition),
            bytes: bytes.counter("bytes_scanned", partition),
            files: told().counter("files_opened", partition),
            waited: told().subset_time("time_elapsed_scanning_total", partition),
        }
    }

    /// The same stream, counted.
    fn over(
        self,
        mut stream: BoxStream<'static, EngineResult<RecordBatch>>,
    ) -> BoxStream<'static, EngineResult<RecordBatch>> {
        let mut asked: Option<Instant> = None;
        futures::stream::poll_fn(move |context| {
            let since = *asked.get_or_insert_with(Instant::now);
            let next = stream.poll_next_unpin(context);
            if let Poll::Ready(next) = &next {
                self.waited.add_elapsed(since);
                asked = None;
                if let Some(Ok(batch)) = next {
                    self.rows.add(batch.num_rows());
                }
            }
            next
        })
        .boxed()
    }
}

/// Rows decoded at once; text may have long ones.
const ROWS: usize = 8 << 10;
/// Files of which the first rows are read ahead.
const AHEAD: usize = 16;
/// Bytes of such files at most.
const SMALL: u64 = 256 << 10;

/// The stream, begun if it is `small`.
async fn begun<T: Send + 'static>(
    mut rows: BoxStream<'static, T>,
    small: bool,
) -> BoxStream<'static, T> {
    if !small {
        return rows;
    }
    let first = rows.next().await;
    futures::stream::iter(first).chain(rows).boxed()
}

/// Fills the column of row numbers where what reads the file has not: the rows of a file come in their
/// order, and each is there.
fn numbered(
    rows: BoxStream<'static, windlass_types::Result<RecordBatch>>,
    number: Option<usize>,
) -> BoxStream<'static, windlass_types::Result<RecordBatch>> {
    let Some(at) = number else { return rows };
    let mut before = 0;
    rows.map(move |batch| {
        let batch = batch?;
        let told = batch.column(at).as_primitive::<Int64Type>().values().first();
        if told.is_some_and(|number| *number > 0) {
            return Ok(batch);
        }
        let count = i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        let mut columns = batch.columns().to_vec();
        columns[at] = Arc::new(Int64Array::from_iter_values(before + 1..=before + count));
        before += count;
        RecordBatch::try_new(batch.schema(), columns).map_err(|error| {
            Error::new(ErrorCode::Internal, "rows cannot be numbered").source(error)
        })
    })
    .boxed()
}
