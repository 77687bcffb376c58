//! Lineage shown: as a tree, as a graph of Graphviz, as JSON. Events are in `events.rs`.

use super::graph::{Step, as_tree, overlap, walk};
use crate::engine::{Answer, Grade};
use crate::rows::{self, Cell, Columns, Kind};
use crate::windlass::Windlass;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use windlass_sql::{Direction, LineageAs};
use windlass_state::{ContainerRow, EdgeRow, FabricRow as Fabric, LineageEnd};
use windlass_types::{ConnectionId, ConnectionKind, Error, ErrorCode, Result, RunId};

/// Columns of lineage as a tree.
const TREE: Columns = &[
    ("lineage", Kind::Text),
    ("direction", Kind::Text),
    ("depth", Kind::Integer),
    ("place", Kind::Text),
    ("container", Kind::Text),
    ("kind", Kind::Text),
    ("columns", Kind::Text),
    ("runs", Kind::Integer),
    ("last_run", Kind::Text),
    ("last_at", Kind::Time),
];

/// Steps in a row unless said.
const DEPTH: u64 = 20;

/// A walk with what is needed to show it.
pub(super) struct Walked {
    /// Where it began.
    start: Vec<LineageEnd>,
    edges: Vec<EdgeRow>,
    steps: Vec<Step>,
    /// Fully qualified names of containers at ends.
    containers: HashMap<LineageEnd, String>,
    pub(super) kinds: HashMap<ConnectionId, ConnectionKind>,
    pub(super) fabric: String,
}

impl Windlass {
    /// SHOW LINEAGE OF.
    pub(crate) async fn show_lineage(
        &self,
        fabric: &Fabric,
        of: &str,
        direction: Option<Direction>,
        depth: Option<u64>,
        shown: LineageAs,
    ) -> Result<Answer> {
        let walked = self.walk_lineage(fabric, of, direction, depth).await?;
        match shown {
            LineageAs::Tree => rows::answer(TREE, &walked.tree(), Grade::Good),
            LineageAs::Dot => Ok(rows::one_text("dot", walked.dot())),
            LineageAs::OpenLineage => {
                let events = walked.events(&self.jobs_of(&walked).await?);
                let cells: Vec<Vec<Cell>> =
                    events.iter().map(|event| vec![event.to_string().into()]).collect();
                rows::answer(&[("event", Kind::Text)], &cells, Grade::Good)
            }
        }
    }

    /// Lineage as JSON, for other programs: the places asked for and every step, or events.
    pub(crate) async fn lineage_json(
        &self,
        fabric: &Fabric,
        of: &str,
        direction: Option<Direction>,
        depth: Option<u64>,
        events: bool,
    ) -> Result<Value> {
        let walked = self.walk_lineage(fabric, of, direction, depth).await?;
        if events {
            return Ok(walked.events(&self.jobs_of(&walked).await?).into());
        }
        Ok(walked.json())
    }

    async fn walk_lineage(
        &self,
        fabric: &Fabric,
        of: &str,
        direction: Option<Direction>,
        depth: Option<u64>,
    ) -> Result<Walked> {
        let edges = self.inner.store.lineage(fabric.id).await?;
        let start = self.ends_named(fabric, of, &edges).await?;
        let depth = depth.unwrap_or(DEPTH);
        let ways = direction.map_or_else(|| Direction::ALL.to_vec(), |one| vec![one]);
        let mut steps: Vec<Step> = Vec::new();
        for way in ways {
            let first = steps.len();
            // The numbers of steps are those of the whole list.
            steps.extend(
                walk(&edges, &start, way, depth)
                    .into_iter()
                    .map(|step| Step { before: step.before.map(|before| before + first), ..step }),
            );
        }
        let mut containers = HashMap::new();
        let walked = steps.iter().map(|step| &edges[step.edge].edge);
        let ends: BTreeSet<&LineageEnd> =
            walked.flat_map(|edge| [&edge.from, &edge.to]).chain(&start).collect();
        for end in ends {
            let Some(connection) = end.connection else { continue };
            let store = &self.inner.store;
            let found = store.containers_of_connection(connection, &end.bucket, &end.path).await?;
            if let Some(row) = found.into_iter().next() {
                containers.insert(end.clone(), row.found.fqn);
            }
        }
        let rows = self.inner.store.connections(fabric.id).await?;
        let kinds = rows.into_iter().map(|row| (row.id, row.kind)).collect();
        let fabric = fabric.name.as_str().to_owned();
        Ok(Walked { start, edges, steps, containers, kinds, fabric })
    }

    /// The places that a text names: `connection:path`, a container, a path of the machine of the
    /// command line, or `s3://bucket/path` that no crawl has seen.
    async fn ends_named(
        &self,
        fabric: &Fabric,
        of: &str,
        edges: &[EdgeRow],
    ) -> Result<Vec<LineageEnd>> {
        if let Some(at) = self.place_of(fabric, of).await? {
            return Ok(vec![LineageEnd {
                connection: Some(at.connection),
                name: at.name.as_str().to_owned(),
                bucket: at.bucket,
                path: at.path,
            }]);
        }
        if of.starts_with('/') {
            let path = of.trim_end_matches('/').to_owned();
            let (name, bucket) = (String::new(), String::new());
            return Ok(vec![LineageEnd { connection: None, name, bucket, path }]);
        }
        match self.find_container(fabric, of).await {
            Ok(row) => return self.ends_of(fabric, &row, edges).await,
            Err(error) if error.code() == ErrorCode::ContainerNotFound => {}
            Err(error) => return Err(error),
        }
        if let Some(rest) = of.strip_prefix("s3://") {
            let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
            return Ok(through_any(edges, bucket, path.trim_end_matches('/')));
        }
        Err(Error::new(ErrorCode::ContainerNotFound, format!("nothing is known of `{of}`")).hint(
            "write 'connection:bucket/path', 's3://bucket/path' or the name of a container; `SEARCH 'words'` finds containers",
        ))
    }

    /// The ends that a container is.
    async fn ends_of(
        &self,
        fabric: &Fabric,
        row: &ContainerRow,
        edges: &[EdgeRow],
    ) -> Result<Vec<LineageEnd>> {
        let services = self.inner.store.catalog_services(fabric.id).await?;
        let service = services.into_iter().find(|service| service.id == row.service);
        let Some(connection) = service.and_then(|service| service.connection) else {
            // A workflow file had a connection of its own.
            return Ok(through_any(edges, &row.found.bucket, &row.found.path));
        };
        let name = self.inner.store.connection_by_id(connection).await?.name;
        Ok(vec![LineageEnd {
            connection: Some(connection),
            name: name.as_str().to_owned(),
            bucket: row.found.bucket.clone(),
            path: row.found.path.clone(),
        }])
    }

    /// Names of the jobs whose runs are in a walk.
    async fn jobs_of(&self, walked: &Walked) -> Result<BTreeMap<RunId, String>> {
        let runs: BTreeSet<RunId> = walked.rows().map(|row| row.run).collect();
        let mut names = BTreeMap::new();
        for run in runs {
            match self.inner.store.run(run).await {
                Ok(row) => {
                    names.extend(row.job_name.map(|name| (run, name.as_str().to_owned())));
                }
                // Old runs are pruned; their lineage stays.
                Err(error) if error.code() == ErrorCode::RunNotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(names)
    }
}

/// The ends at a place, whatever connection reaches it.
fn through_any(edges: &[EdgeRow], bucket: &str, path: &str) -> Vec<LineageEnd> {
    let all = edges.iter().flat_map(|row| [&row.edge.from, &row.edge.to]);
    let mut ends: Vec<LineageEnd> = all
        .filter(|end| end.connection.is_some() && end.bucket == bucket)
        .filter_map(|end| {
            let here = LineageEnd { path: path.to_owned(), ..end.clone() };
            overlap(end, &here).then_some(here)
        })
        .collect();
    ends.sort();
    ends.dedup();
    ends
}

/// How a person reads an end.
fn shown(end: &LineageEnd) -> String {
    match (end.connection, end.path.as_str()) {
        (None, path) => path.to_owned(),
        (Some(_), "") => format!("{}:{}", end.name, end.bucket),
        (Some(_), path) => format!("{}:{}/{path}", end.name, end.bucket),
    }
}

impl Walked {
    /// The edges of the walk, each once.
    pub(super) fn rows(&self) -> impl Iterator<Item = &EdgeRow> {
        let numbers: BTreeSet<usize> = self.steps.iter().map(|step| step.edge).collect();
        numbers.into_iter().map(|number| &self.edges[number])
    }

    fn tree(&self) -> Vec<Vec<Cell>> {
        let mut cells: Vec<Vec<Cell>> = Vec::new();
        for start in &self.start {
            cells.push(vec![
                shown(start).into(),
                Cell::Text(None),
                0_u64.into(),
                shown(start).into(),
                self.containers.get(start).cloned().into(),
                Cell::Text(None),
                Cell::Text(None),
                None::<u64>.into(),
                Cell::Text(None),
                Cell::Time(None),
            ]);
        }
        for step in as_tree(&self.steps) {
            let row = &self.edges[step.edge];
            let (end, arrow) = match step.direction {
                Direction::Upstream => (&row.edge.from, "<-"),
                Direction::Downstream => (&row.edge.to, "->"),
            };
            let indent = "  ".repeat(usize::try_from(step.depth).unwrap_or_default());
            let columns = columns(row);
            cells.push(vec![
                format!("{indent}{arrow} {}", shown(end)).into(),
                step.direction.as_str().to_ascii_lowercase().into(),
                step.depth.into(),
                shown(end).into(),
                self.containers.get(end).cloned().into(),
                row.edge.kind.as_str().into(),
                (!columns.is_empty()).then(|| columns.join(", ")).into(),
                row.runs.into(),
                row.run.to_string().into(),
                row.last.into(),
            ]);
        }
        cells
    }

    fn json(&self) -> Value {
        let end = |end: &LineageEnd| {
            json!({
                "place": shown(end),
                "connection": end.connection.map(|_| &end.name),
                "bucket": end.bucket,
                "path": end.path,
                "container": self.containers.get(end),
            })
        };
        let step = |step: &Step| {
            let row = &self.edges[step.edge];
            let pair = |(from, to): &(String, String)| json!({"from": from, "to": to});
            json!({
                "direction": step.direction.as_str().to_ascii_lowercase(),
                "depth": step.depth,
                "from": end(&row.edge.from),
                "to": end(&row.edge.to),
                "kind": row.edge.kind,
                "columns": row.edge.columns.iter().map(pair).collect::<Vec<_>>(),
                "runs": row.runs,
                "last_run": row.run.to_string(),
                "first_at": windlass_types::entry::rfc3339(&row.first),
                "last_at": windlass_types::entry::rfc3339(&row.last),
            })
        };
        json!({
            "of": self.start.iter().map(end).collect::<Vec<_>>(),
            "steps": as_tree(&self.steps).into_iter().map(step).collect::<Vec<_>>(),
        })
    }

    fn dot(&self) -> String {
        let quoted =
            |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut text = String::from("digraph lineage {\n  rankdir=LR;\n  node [shape=box];\n");
        for start in &self.start {
            let _ = writeln!(text, "  {} [style=bold];", quoted(&shown(start)));
        }
        for row in self.rows() {
            let mut label = vec![row.edge.kind.clone()];
            label.extend(columns(row));
            let label = quoted(&label.join("\n")).replace('\n', "\\n");
            let (from, to) = (quoted(&shown(&row.edge.from)), quoted(&shown(&row.edge.to)));
            let _ = writeln!(text, "  {from} -> {to} [label={label}];");
        }
        text.push_str("}\n");
        text
    }
}

/// `a -> b` of each pair of columns.
fn columns(row: &EdgeRow) -> Vec<String> {
    row.edge.columns.iter().map(|(from, to)| format!("{from} -> {to}")).collect()
}
