//! A container as a table: how its files are read, and their columns.

use super::stored::found;
use crate::windlass::Windlass;
use windlass_catalog::{ContainerKind, Found};
use windlass_query::{Catalogued, SchemaColumn, StoredColumns};
use windlass_state::{ContainerStatus, FabricRow as Fabric};
use windlass_types::{KeyPattern, Name, OptionMap, OptionValue, Result};

/// Words of formats in the catalogue, and what `TYPE` calls them.
const FORMATS: &[(&str, &str)] = &[
    ("csv", "CSV"),
    ("tsv", "TSV"),
    ("json", "JSON"),
    ("jsonl", "JSONL"),
    ("parquet", "PARQUET"),
    ("avro", "AVRO"),
    ("arrow", "ARROW"),
    ("orc", "ORC"),
    ("delta", "DELTA"),
];

impl Windlass {
    /// What the catalogue knows of `connection."path"`, if a container with columns lies exactly
    /// there and is active.
    pub(crate) async fn container_as_table(
        &self,
        fabric: &Fabric,
        connection: &str,
        path: &str,
    ) -> Result<Option<Catalogued>> {
        if KeyPattern::is_pattern(path) {
            return Ok(None);
        }
        let store = &self.inner.store;
        let Some(row) = store.find_connection(fabric.id, &Name::new(connection)?).await? else {
            return Ok(None);
        };
        // What is wrong with a path is said by whoever lists it.
        let Ok(location) = self.open_row(&row).await?.storage().binding().resolve_any(path) else {
            return Ok(None);
        };
        let Some(bucket) = location.bucket else { return Ok(None) };
        let path = location.key.trim_end_matches('/');
        let rows = store.containers_of_connection(row.id, &bucket, path).await?;
        for row in rows.iter().filter(|row| row.status == ContainerStatus::Active) {
            if let Some((options, columns)) = as_table(&found(&row.found)?) {
                return Ok(Some(Catalogued { fqn: row.found.fqn.clone(), options, columns }));
            }
        }
        Ok(None)
    }
}

/// How the files of a container are read, and their columns.
fn as_table(found: &Found) -> Option<(OptionMap, StoredColumns)> {
    if !matches!(found.kind, ContainerKind::Dataset | ContainerKind::File) {
        return None;
    }
    let columns: Vec<SchemaColumn> = found
        .columns
        .as_ref()?
        .iter()
        .filter(|column| !column.partition)
        .map(|column| SchemaColumn { name: column.name.clone(), kind: column.display.clone() })
        .collect();
    if columns.is_empty() {
        return None;
    }
    let mut content = Vec::new();
    // Files of several formats are told apart one by one.
    if let [format] = found.formats.as_slice()
        && let Some((_, word)) = FORMATS.iter().find(|(known, _)| known == format)
    {
        content.push(("TYPE".to_owned(), OptionValue::Word((*word).to_owned())));
        if let Some(separator) = found.separator.as_ref().filter(|_| *word == "CSV") {
            content.push(("DELIMITER".to_owned(), OptionValue::Text(separator.clone())));
        }
    }
    let mut options = OptionMap::new();
    if !content.is_empty() {
        options.insert("CONTENT_TYPE".to_owned(), OptionValue::Group(content));
    }
    Some((options, StoredColumns { columns, declared: false }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::keep::tests::found;

    #[test]
    fn a_container_is_read_as_it_was_found() {
        let mut orders = found("orders", &[("day", "DATE"), ("id", "BIGINT")]);
        orders.separator = Some(";".to_owned());
        if let Some(columns) = &mut orders.columns {
            columns[0].partition = true;
        }
        let (options, columns) = as_table(&orders).unwrap();
        assert_eq!(
            options["CONTENT_TYPE"],
            OptionValue::Group(vec![
                ("TYPE".to_owned(), OptionValue::Word("CSV".to_owned())),
                ("DELIMITER".to_owned(), OptionValue::Text(";".to_owned())),
            ])
        );
        assert_eq!(columns.columns, [SchemaColumn { name: "id".into(), kind: "BIGINT".into() }]);
        orders.formats.push("parquet".to_owned());
        assert!(as_table(&orders).unwrap().0.is_empty());
        orders.columns = None;
        assert!(as_table(&orders).is_none());
        assert!(as_table(&found("", &[])).is_none(), "a bucket is no table");
    }
}
