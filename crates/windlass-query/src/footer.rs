//! The footer of a Parquet file: its columns and rows, in at most two reads.

use crate::files::SourceFile;
use crate::text::unreadable;
use arrow::datatypes::Schema;
use bytes::Bytes;
use datafusion::parquet::arrow::parquet_to_arrow_schema;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use futures::TryStreamExt as _;
use std::sync::Arc;
use windlass_s3::access::ByteRange;
use windlass_types::Result;

/// Bytes read at first: enough for the footer of most files.
const FIRST: u64 = 64 << 10;

async fn tail(file: &Arc<SourceFile>, length: u64) -> Result<Bytes> {
    let range = (length < file.size).then(|| ByteRange::Bounded(file.size - length, length));
    let mut stream = file.open(range).await?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    while let Some(chunk) = stream.try_next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(Bytes::from(bytes))
}

/// Columns and rows of a file.
pub(crate) async fn read(file: &Arc<SourceFile>) -> Result<(Schema, u64)> {
    let bad = |error: ParquetError| unreadable(file, "Parquet", error);
    let bytes = tail(file, FIRST.min(file.size)).await?;
    let metadata = match parse(&bytes, file.size) {
        Ok(metadata) => metadata,
        Err(ParquetError::NeedMoreData(needed)) => {
            let needed = (needed as u64).min(file.size);
            let bytes = tail(file, needed).await?;
            parse(&bytes, file.size).map_err(bad)?
        }
        Err(error) => return Err(bad(error)),
    };
    let about = metadata.file_metadata();
    let schema = parquet_to_arrow_schema(about.schema_descr(), about.key_value_metadata());
    let schema = schema.map_err(bad)?.with_metadata(std::collections::HashMap::default());
    Ok((schema, u64::try_from(about.num_rows()).unwrap_or_default()))
}

fn parse(bytes: &Bytes, size: u64) -> Result<ParquetMetaData, ParquetError> {
    let mut reader = ParquetMetaDataReader::new();
    // The reader panics on some footers that are none.
    let read = std::panic::AssertUnwindSafe(|| reader.try_parse_sized(bytes, size));
    match std::panic::catch_unwind(read) {
        Ok(parsed) => parsed?,
        Err(_) => return Err(ParquetError::General("its footer says what cannot be".to_owned())),
    }
    reader.finish()
}
