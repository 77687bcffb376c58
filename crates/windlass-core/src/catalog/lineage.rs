//! Lineage: noted by runs, walked and shown.

mod events;
mod graph;
mod show;

use crate::engine::CopySide;
use crate::windlass::Windlass;
use windlass_jobs::RunContext;
use windlass_query::write::{Lineage, ReadPlace};
use windlass_s3::Storage;
use windlass_state::{LineageEnd, NewEdge};
use windlass_types::{FabricId, KeyPattern, Level, Name, Result};

/// The word of a run that moves files.
pub(crate) const COPY: &str = "copy";
/// The word of a run that writes the rows of a query.
pub(crate) const WRITE: &str = "write";

impl Windlass {
    /// Notes that a run wrote the rows of a query. A run does not fail for want of it.
    pub(crate) async fn note_write(
        &self,
        context: &RunContext,
        lineage: &Lineage,
        storage: &Storage,
        bucket: &str,
        key: &str,
    ) {
        let noted = async {
            let to = self.end_of(context.fabric, storage, bucket, key).await?;
            let mut edges = Vec::with_capacity(lineage.places.len());
            for (at, place) in lineage.places.iter().enumerate() {
                let ReadPlace { connection, bucket, path } = place;
                let row = self.connection_in(context.fabric, &Name::new(connection)?).await?;
                let from = LineageEnd {
                    connection: Some(row.id),
                    name: row.name.as_str().to_owned(),
                    bucket: bucket.clone(),
                    path: path.clone(),
                };
                let columns = lineage.columns.iter().filter(|(of, _, _)| *of == at);
                let columns = columns.map(|(_, from, to)| (from.clone(), to.clone())).collect();
                edges.push(NewEdge { from, to: to.clone(), kind: WRITE.to_owned(), columns });
            }
            self.note_edges(context, edges).await
        };
        tell(context, noted.await);
    }

    /// Notes that a run moved files.
    pub(crate) async fn note_copy(&self, context: &RunContext, from: &CopySide, to: &CopySide) {
        let noted = async {
            let mut ends = Vec::with_capacity(2);
            for side in [from, to] {
                let bucket = side.location.bucket.as_deref().unwrap_or_default();
                ends.push(
                    self.end_of(context.fabric, &side.storage, bucket, &side.location.key).await?,
                );
            }
            let (Some(to), Some(from)) = (ends.pop(), ends.pop()) else { return Ok(()) };
            let edge = NewEdge { from, to, kind: COPY.to_owned(), columns: Vec::new() };
            self.note_edges(context, vec![edge]).await
        };
        tell(context, noted.await);
    }

    async fn note_edges(&self, context: &RunContext, mut edges: Vec<NewEdge>) -> Result<()> {
        // What a run reads and writes in one place has come from there already.
        edges.retain(|edge| edge.from != edge.to);
        let store = &self.inner.store;
        store.record_lineage(context.fabric, &edges, context.run, context.now()).await
    }

    /// A place behind a storage, as lineage names it: what a path spells out.
    async fn end_of(
        &self,
        fabric: FabricId,
        storage: &Storage,
        bucket: &str,
        key: &str,
    ) -> Result<LineageEnd> {
        let bound = storage.binding().prefix.len();
        let bound = if key.starts_with(storage.binding().prefix.as_str()) { bound } else { 0 };
        let (head, rest) = key.split_at(bound);
        let key = match KeyPattern::is_pattern(rest).then(|| KeyPattern::parse(rest)) {
            Some(Ok(pattern)) => format!("{head}{}", pattern.base()),
            _ => key.to_owned(),
        };
        let name = storage.name();
        let address = storage.address(bucket, &key);
        // A bare path of the command line is behind no stored connection.
        if address.starts_with(&format!("{}:", name.as_str()))
            && let Some(row) = self.inner.store.find_connection(fabric, name).await?
        {
            return Ok(LineageEnd {
                connection: Some(row.id),
                name: row.name.as_str().to_owned(),
                bucket: bucket.to_owned(),
                path: key.trim_end_matches('/').to_owned(),
            });
        }
        Ok(LineageEnd {
            connection: None,
            name: String::new(),
            bucket: String::new(),
            path: address.trim_end_matches('/').to_owned(),
        })
    }
}

fn tell(context: &RunContext, noted: Result<()>) {
    if let Err(error) = noted {
        context.event(Level::Warning, format!("its lineage is not noted: {}", error.chain()));
    }
}
