//! Footers of Parquet files, read so that one which says what cannot be is an error, never a panic.

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::errors::Result as ParquetResult;
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use windlass_formats::quietly::quietly;

/// Waits for what reads a footer; the library panics on some that are none.
pub(crate) async fn footer<T, E: From<ParquetError>>(
    read: impl Future<Output = Result<T, E>> + Send,
) -> Result<T, E> {
    let mut read = pin!(read);
    poll_fn(|context| {
        quietly(|| read.as_mut().poll(context)).unwrap_or_else(|| {
            let error = ParquetError::General("its footer says what cannot be".to_owned());
            Poll::Ready(Err(error.into()))
        })
    })
    .await
}

/// The engine's own reader, with that care.
#[derive(Debug)]
pub(crate) struct Guarded(pub(crate) CachedParquetFileReaderFactory);

impl ParquetFileReaderFactory for Guarded {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::error::Result<Box<dyn AsyncFileReader + Send>> {
        let reader = self.0.create_reader(partition, file, hint, metrics)?;
        Ok(Box::new(Reader(reader)))
    }
}

struct Reader(Box<dyn AsyncFileReader + Send>);

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.0.get_bytes(range)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.0.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        footer(self.0.get_metadata(options)).boxed()
    }
}
