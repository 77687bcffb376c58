//! Lineage as events of `OpenLineage`: one `RunEvent` a run.

use super::show::Walked;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use windlass_state::{EdgeRow, LineageEnd};
use windlass_types::{ConnectionKind, RunId};

/// Where the shapes of events are described.
const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const COLUMN_SCHEMA: &str =
    "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json";

/// Who says it.
const PRODUCER: &str = concat!("urn:windlass:", env!("CARGO_PKG_VERSION"));

impl Walked {
    /// One event for each run of the walk, the oldest first.
    pub(super) fn events(&self, jobs: &BTreeMap<RunId, String>) -> Vec<Value> {
        let mut runs: BTreeMap<RunId, Vec<&EdgeRow>> = BTreeMap::new();
        for row in self.rows() {
            runs.entry(row.run).or_default().push(row);
        }
        let mut events: Vec<(DateTime<Utc>, Value)> = runs
            .into_iter()
            .map(|(run, rows)| {
                let last = rows.iter().map(|row| row.last).max().unwrap_or_default();
                let kind = rows.first().map_or("", |row| row.edge.kind.as_str());
                let job = jobs.get(&run).cloned().unwrap_or_else(|| format!("{kind}.{run}"));
                let inputs: BTreeSet<&LineageEnd> = rows.iter().map(|row| &row.edge.from).collect();
                let outputs: BTreeSet<&LineageEnd> = rows.iter().map(|row| &row.edge.to).collect();
                let inputs: Vec<Value> = inputs.into_iter().map(|end| self.dataset(end)).collect();
                let outputs: Vec<Value> =
                    outputs.into_iter().map(|end| self.output(end, &rows)).collect();
                let event = json!({
                    "eventType": "COMPLETE",
                    "eventTime": windlass_types::entry::rfc3339(&last),
                    "producer": PRODUCER,
                    "schemaURL": SCHEMA,
                    "run": {"runId": uuid(run)},
                    "job": {"namespace": format!("windlass.{}", self.fabric), "name": job},
                    "inputs": inputs,
                    "outputs": outputs,
                });
                (last, event)
            })
            .collect();
        events.sort_by_key(|(at, _)| *at);
        events.into_iter().map(|(_, event)| event).collect()
    }

    /// A dataset by the naming rules of `OpenLineage`; a place that they do not speak of is named by
    /// its connection.
    fn dataset(&self, end: &LineageEnd) -> Value {
        let Some(connection) = end.connection else {
            return json!({"namespace": "file", "name": end.path});
        };
        let name = if end.path.is_empty() { "/" } else { end.path.as_str() };
        let scheme = match self.kinds.get(&connection) {
            Some(ConnectionKind::S3) => "s3",
            Some(ConnectionKind::Gcs) => "gs",
            _ => {
                let place = format!("{}/{}", end.bucket, end.path);
                let namespace = format!("windlass.{}.{}", self.fabric, end.name);
                return json!({"namespace": namespace, "name": place.trim_end_matches('/')});
            }
        };
        json!({"namespace": format!("{scheme}://{}", end.bucket), "name": name})
    }

    /// The same, with the columns of the inputs that its columns come from.
    fn output(&self, end: &LineageEnd, rows: &[&EdgeRow]) -> Value {
        let mut dataset = self.dataset(end);
        let mut fields: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.edge.to == *end) {
            for (from, to) in &row.edge.columns {
                let mut field = self.dataset(&row.edge.from);
                field["field"] = from.as_str().into();
                fields.entry(to).or_default().push(field);
            }
        }
        if !fields.is_empty() {
            let fields: Map<String, Value> = fields
                .into_iter()
                .map(|(name, inputs)| (name.to_owned(), json!({ "inputFields": inputs })))
                .collect();
            dataset["facets"] = json!({"columnLineage": {
                "_producer": PRODUCER, "_schemaURL": COLUMN_SCHEMA, "fields": fields,
            }});
        }
        dataset
    }
}

/// The id of a run as others write it: in groups.
fn uuid(run: RunId) -> String {
    let text = run.to_string();
    let hex = text.split_once('_').map_or(text.as_str(), |(_, hex)| hex);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}
