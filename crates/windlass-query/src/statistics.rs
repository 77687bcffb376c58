//! What the footers of Parquet files say of the rows: the ground on which joins are put in order, and
//! row groups and whole files are left out.

use crate::guarded;
use crate::store::QueryStore;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::error::{DataFusionError, Result};
use datafusion::parquet::arrow::parquet_to_arrow_schema;
use datafusion::parquet::file::metadata::ParquetMetaData;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectMeta;
use std::sync::Arc;

/// Files whose footers are read before a query is planned. Of more, only some are, for their number of rows.
const MOST: usize = 64;

/// Of many files, those whose footers are read.
const SOME: usize = 8;

/// Footers read side by side.
const AT_ONCE: usize = 16;

/// Gives the files of `groups` what their footers say; answers the sum of it for the scan.
///
/// `files` are the columns that the files are read with, `whole` those and the ones told by paths.
pub(crate) async fn of(
    state: &dyn Session,
    store: &Arc<QueryStore>,
    mut groups: Vec<FileGroup>,
    files: &SchemaRef,
    whole: SchemaRef,
) -> Result<(Vec<FileGroup>, Statistics)> {
    let metas: Vec<ObjectMeta> =
        groups.iter().flat_map(FileGroup::iter).map(|file| file.object_meta.clone()).collect();
    if metas.len() > MOST {
        return Ok((groups, estimated(state, store, &metas, whole.fields().len()).await));
    }
    let mut read = futures::stream::iter(metas)
        .map(|meta| footer(state, store, meta))
        .buffered(AT_ONCE)
        .map_ok(|footer| statistics(&footer, files).map(Arc::new));
    for group in &mut groups {
        let mut known = Vec::with_capacity(group.len());
        for file in group.iter() {
            let Some(statistics) = read.try_next().await? else { break };
            let file = file.clone();
            known.push(match statistics {
                Ok(statistics) => file.with_statistics(statistics),
                Err(_) => file,
            });
        }
        *group = FileGroup::new(known);
    }
    drop(read);
    let known: Vec<&Statistics> = groups
        .iter()
        .flat_map(FileGroup::iter)
        .filter_map(|file| file.statistics.as_deref())
        .collect();
    // What is not known of one file is not known of all.
    let all = groups.iter().map(FileGroup::len).sum::<usize>() == known.len();
    let statistics = if all && !known.is_empty() {
        Statistics::try_merge_iter(known, &whole)?
    } else {
        Statistics::new_unknown(&whole)
    };
    Ok((groups, statistics))
}

/// The footer of one file, from the cache if it was read before.
async fn footer(
    state: &dyn Session,
    store: &Arc<QueryStore>,
    meta: ObjectMeta,
) -> Result<Arc<ParquetMetaData>> {
    let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
    let read = DFParquetMetadata::new(store.as_ref(), &meta).with_file_metadata_cache(Some(cache));
    guarded::footer(read.fetch_metadata()).await.map_err(|error| match store.find(&meta.location) {
        Ok(file) => DataFusionError::External(Box::new(store.of_footer(&file, error))),
        Err(_) => error,
    })
}

/// Rows of all, by what some say of theirs.
async fn estimated(
    state: &dyn Session,
    store: &Arc<QueryStore>,
    metas: &[ObjectMeta],
    columns: usize,
) -> Statistics {
    let step = metas.len() / SOME;
    let (mut rows, mut bytes) = (0_u128, 0_u128);
    let mut read = futures::stream::iter(metas.iter().step_by(step).take(SOME).cloned())
        .map(|meta| async move {
            let size = meta.size;
            (footer(state, store, meta).await, size)
        })
        .buffered(SOME);
    while let Some((footer, size)) = read.next().await {
        // Who reads the file says what is wrong with it.
        let Ok(footer) = footer else { continue };
        rows += u128::try_from(footer.file_metadata().num_rows()).unwrap_or(0);
        bytes += u128::from(size);
    }
    let all: u64 = metas.iter().map(|meta| meta.size).sum();
    let num_rows = (rows * u128::from(all))
        .checked_div(bytes)
        .and_then(|rows| usize::try_from(rows).ok())
        .map_or(Precision::Absent, Precision::Inexact);
    Statistics {
        num_rows,
        total_byte_size: Precision::Inexact(usize::try_from(all).unwrap_or(usize::MAX)),
        column_statistics: vec![ColumnStatistics::default(); columns],
    }
}

/// What one footer says, in the columns of `files`; of columns that the file has in another type, nothing.
fn statistics(footer: &ParquetMetaData, files: &SchemaRef) -> Result<Statistics> {
    let told = footer.file_metadata();
    let own = parquet_to_arrow_schema(told.schema_descr(), told.key_value_metadata())?;
    let mut statistics = DFParquetMetadata::statistics_from_parquet_metadata(footer, files)?;
    for (field, column) in files.fields().iter().zip(&mut statistics.column_statistics) {
        let same =
            own.field_with_name(field.name()).is_ok_and(|own| own.data_type() == field.data_type());
        if !same {
            *column = ColumnStatistics::default();
        }
    }
    Ok(statistics)
}
