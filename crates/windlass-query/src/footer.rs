//! The footer of a Parquet file: its columns and rows, in at most two reads.

use crate::files::SourceFile;
use crate::guarded;
use crate::text::unreadable;
use arrow::datatypes::Schema;
use bytes::Bytes;
use datafusion::parquet::arrow::parquet_to_arrow_schema;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use std::sync::Arc;
use windlass_types::Result;

/// Bytes read at first: enough for the footer of most files.
const FIRST: u64 = 64 << 10;

async fn tail(file: &SourceFile, length: u64) -> Result<Bytes> {
    let length = length.min(file.size);
    file.bytes_at(file.size - length, length).await.map(Bytes::from)
}

/// Columns and rows of a file.
pub(crate) async fn read(file: &Arc<SourceFile>) -> Result<(Schema, u64)> {
    let bad = |error: ParquetError| unreadable(file, "Parquet", error);
    let bytes = tail(file, FIRST).await?;
    let metadata = match parse(&bytes, file.size).await {
        Ok(metadata) => metadata,
        Err(ParquetError::NeedMoreData(needed)) => {
            let bytes = tail(file, needed as u64).await?;
            parse(&bytes, file.size).await.map_err(bad)?
        }
        Err(error) => return Err(bad(error)),
    };
    let about = metadata.file_metadata();
    let schema = parquet_to_arrow_schema(about.schema_descr(), about.key_value_metadata());
    let schema = schema.map_err(bad)?.with_metadata(std::collections::HashMap::default());
    Ok((schema, u64::try_from(about.num_rows()).unwrap_or_default()))
}

async fn parse(bytes: &Bytes, size: u64) -> Result<ParquetMetaData, ParquetError> {
    guarded::footer(async {
        let mut reader = ParquetMetaDataReader::new();
        reader.try_parse_sized(bytes, size)?;
        reader.finish()
    })
    .await
}
