//! INSERT INTO a file table: what the table says of the rows that are added to it.

use super::{Mode, WriteInto, WritePlan, WriteWork, invalid, no_partitions, texts};
use crate::windlass::Windlass;
use windlass_query::write::{InsertInto, InsertTarget};
use windlass_state::FabricRow as Fabric;
use windlass_types::{Error, ErrorCode, Result};

impl Windlass {
    /// The columns of the table that rows are added to, if it is one; the plan then has its folders.
    pub(super) async fn insert_target(
        &self,
        fabric: &Fabric,
        work: &WriteWork,
        plan: &mut WritePlan,
    ) -> Result<Option<InsertTarget>> {
        let Some(WriteInto { schema, table, columns }) = &work.into else { return Ok(None) };
        let row = self.inner.store.file_table(fabric.id, schema, table).await?;
        let row = row
            .filter(|row| row.connection_name == work.connection && row.location == work.location);
        let Some(row) = row else {
            return Err(Error::new(
                ErrorCode::TableNotFound,
                format!("the table `{schema}.{table}` is not what it was when the job was made"),
            )
            .hint("make the job anew"));
        };
        let pattern = row.options.get("DATE_PATTERN");
        if pattern.is_some() && pattern != work.options.get("DATE_PATTERN") {
            return Err(invalid(format!("`{schema}.{table}` has another DATE_PATTERN"))
                .hint("leave it out, so that of the table is taken; a job with the old one must be made anew"));
        }
        let into = InsertInto {
            schema: schema.as_str().to_owned(),
            table: table.as_str().to_owned(),
            columns: columns.clone(),
            folders: texts(&row.options, "PARTITIONED_BY"),
            replaces: plan.mode == Mode::Overwrite,
        };
        let engine = self.query().await?;
        let scope = self.scope(fabric.clone());
        let name = fabric.name.as_str();
        let target = Box::pin(engine.insert_target(&into, &mut plan.layout, name, &*scope)).await?;
        let parted = !plan.layout.partitioned_by.is_empty();
        if parted && !plan.key.is_empty() && !plan.key.ends_with('/') {
            return Err(invalid(format!(
                "`{schema}.{table}` has folders, and its LOCATION is that of one file"
            ))
            .hint("make the table with a LOCATION that ends with `/`"));
        }
        if plan.mode == Mode::OverwritePartitions && !parted && plan.layout.date.is_none() {
            return Err(no_partitions());
        }
        Ok(target)
    }
}
