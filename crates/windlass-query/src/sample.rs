//! Reading the heads of a few files to learn what all of them hold.

use crate::files::SourceFile;
use crate::format::{Declared, Kind, TextOptions, by_names, kind_in};
use crate::schema::{Column, merge};
use crate::store::QueryStore;
use crate::text::{self, header};
use arrow::csv::reader::Format;
use arrow::datatypes::Schema;
use datafusion::catalog::Session;
use datafusion::datasource::file_format::FileFormat as _;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use std::io::Cursor;
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, Result};

/// Files whose heads are read.
const FILES: usize = 8;
/// Records of each that decide the types.
const RECORDS: usize = 1000;
/// Decompressed bytes of each that are read, unless one record is longer.
const BYTES: usize = 256 << 10;

/// What was learnt.
#[derive(Debug)]
pub(crate) struct Learnt {
    pub(crate) kind: Kind,
    pub(crate) why: &'static str,
    pub(crate) text: TextOptions,
    pub(crate) columns: Vec<Column>,
    pub(crate) sampled: usize,
}

/// Reads the heads of up to eight files, spread over all.
pub(crate) async fn learn(
    state: &dyn Session,
    store: &Arc<QueryStore>,
    files: &[Arc<SourceFile>],
    declared: &Declared,
    table: &str,
) -> Result<Learnt> {
    let (kind, why) = match declared.kind {
        Some(kind) => (kind, "as declared"),
        None => match by_names(files, table)? {
            Some(kind) => (kind, "by the names of the files"),
            None => {
                (by_content(&files[0], declared, table).await?, "by the content of the first file")
            }
        },
    };
    let text = declared.text(kind);
    let chosen = spread(files);
    // Boxed one by one: a closure over references would not be `Send` for every lifetime.
    let mut heads: Vec<BoxFuture<'_, Result<(String, Schema)>>> = Vec::with_capacity(chosen.len());
    for file in &chosen {
        let text = &text;
        heads.push(Box::pin(async move {
            let schema = match kind {
                Kind::Parquet => parquet(state, store, file).await?,
                Kind::Json => json(file, text).await?,
                Kind::Csv | Kind::Tsv => csv(file, text).await?,
            };
            Ok((file.name().to_owned(), schema))
        }));
    }
    let schemas = futures::future::try_join_all(heads).await?;
    let sampled = schemas.len();
    Ok(Learnt { kind, why, text, columns: merge(&schemas), sampled })
}

/// First, last and evenly between.
fn spread(files: &[Arc<SourceFile>]) -> Vec<Arc<SourceFile>> {
    if files.len() <= FILES {
        return files.to_vec();
    }
    (0..FILES).map(|step| Arc::clone(&files[step * (files.len() - 1) / (FILES - 1)])).collect()
}

async fn by_content(file: &Arc<SourceFile>, declared: &Declared, table: &str) -> Result<Kind> {
    let head = head(file, &declared.text(Kind::Csv), false).await?;
    kind_in(&head.bytes).ok_or_else(|| {
        Error::new(
            ErrorCode::FormatInvalid,
            format!("neither name nor content of `{}` says what format it has", file.address()),
        )
        .hint(format!(
            "Windlass reads CSV, TSV, JSON lines and Parquet; choose the files of `{table}` with a glob, or say it: CREATE FILE TABLE ... CONTENT_TYPE = CSV"
        ))
    })
}

struct Head {
    bytes: Vec<u8>,
    whole: bool,
}

/// Reads the first bytes, decompressed; goes on until the text (`quoting`: a CSV record) holds one whole line.
async fn head(file: &Arc<SourceFile>, options: &TextOptions, quoting: bool) -> Result<Head> {
    let mut stream = text::open(Arc::clone(file), options.compression).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) =
        stream.try_next().await.map_err(|error| crate::error::from_io(error, file))?
    {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= BYTES && text::record_end(&bytes, quoting.then_some(options)).is_some() {
            return Ok(Head { bytes, whole: false });
        }
        if bytes.len() > text::LONGEST {
            return Err(text::endless(file, "text"));
        }
    }
    Ok(Head { bytes, whole: true })
}

impl Head {
    /// The whole lines of it.
    fn lines(&self) -> &[u8] {
        let end = if self.whole {
            self.bytes.len()
        } else {
            self.bytes.iter().rposition(|byte| *byte == b'\n').map_or(self.bytes.len(), |at| at + 1)
        };
        text::without_mark(&self.bytes[..end])
    }
}

async fn csv(file: &Arc<SourceFile>, options: &TextOptions) -> Result<Schema> {
    let head = head(file, options, true).await?;
    let lines = head.lines();
    let names =
        header(lines, options, head.whole).map_err(|error| text::unreadable(file, "CSV", error))?;
    let Some(names) = names else { return Ok(Schema::empty()) };
    let infer = |format: Format| format.infer_schema(Cursor::new(lines), Some(RECORDS));
    let format = text::format(options).map_err(|error| text::unreadable(file, "CSV", error))?;
    let format = format.with_header(options.header);
    // The head may end inside a quoted field, which leaves a short record behind.
    let (schema, _) = infer(format.clone())
        .or_else(
            |error| if head.whole { Err(error) } else { infer(format.with_truncated_rows(true)) },
        )
        .map_err(|error| text::unreadable(file, "CSV", error))?;
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .zip(names)
        .map(|(field, name)| field.as_ref().clone().with_name(name))
        .collect();
    Ok(Schema::new(fields))
}

async fn json(file: &Arc<SourceFile>, options: &TextOptions) -> Result<Schema> {
    let head = head(file, options, false).await?;
    let lines = head.lines();
    if lines.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(Error::new(
            ErrorCode::FormatInvalid,
            format!("`{}` is a JSON array, not JSON lines", file.address()),
        )
        .hint("write one object a line, for example with `jq -c '.[]'`"));
    }
    let reader = std::io::BufReader::new(Cursor::new(lines));
    let inferred = arrow::json::reader::infer_json_schema(reader, Some(RECORDS));
    match inferred {
        Ok((schema, _)) => Ok(schema),
        Err(error) => {
            // Types that contradict each other within one file: line by line, widened as files are.
            let schemas: Vec<(String, Schema)> = lines
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.trim_ascii().is_empty())
                .take(RECORDS)
                .map(|line| {
                    arrow::json::reader::infer_json_schema(Cursor::new(line), Some(1))
                        .map(|(schema, _)| (String::new(), schema))
                })
                .collect::<std::result::Result<_, _>>()
                .map_err(|_| text::unreadable(file, "JSON lines", error))?;
            Ok(Schema::new(
                merge(&schemas).into_iter().map(|column| column.field).collect::<Vec<_>>(),
            ))
        }
    }
}

async fn parquet(
    state: &dyn Session,
    store: &Arc<QueryStore>,
    file: &Arc<SourceFile>,
) -> Result<Schema> {
    let meta = store.add(file);
    let objects: Arc<dyn ObjectStore> = Arc::clone(store) as _;
    let format = ParquetFormat::default().with_force_view_types(false);
    let schema = format.infer_schema(state, &objects, &[meta]).await.map_err(|error| {
        let error = store.explain(error);
        if matches!(
            error.code(),
            ErrorCode::FormatInvalid | ErrorCode::SqlExecution | ErrorCode::Internal
        ) {
            text::unreadable(file, "Parquet", error)
        } else {
            error
        }
    })?;
    Ok(schema.as_ref().clone().with_metadata(std::collections::HashMap::default()))
}
