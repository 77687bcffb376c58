//! The catalogue for other programs: JSON, a page at a time.

use super::statements::matches;
use super::stored::found;
use super::tables::{COLUMNS, CONTAINERS, HISTORY, column_rows, container_row};
use crate::engine::CatalogAsk;
use crate::rows::{self, Cell, Columns};
use crate::windlass::Windlass;
use serde_json::{Value, json};
use windlass_state::{ContainerFilter, ContainerRow, ContainerStatus, FabricRow as Fabric};
use windlass_types::{Error, ErrorCode, Result};

/// Most containers of one page.
const PAGE: u32 = 1000;

/// Columns whose text is JSON.
const NESTED: &[&str] =
    &["file_formats", "columns", "owners", "tags", "compression", "storage_classes", "hints"];

fn usage(message: String, hint: &str) -> Error {
    Error::new(ErrorCode::UsageInvalid, message).hint(hint)
}

/// Rows as objects; what is JSON in them is no text.
fn objects(columns: Columns, cells: &[Vec<Cell>]) -> Result<Vec<Value>> {
    let mut objects = crate::json::objects(&rows::batch(columns, cells)?)?;
    for object in &mut objects {
        for name in NESTED {
            if let Some(Value::String(text)) = object.get(*name)
                && let Ok(value) = serde_json::from_str::<Value>(text)
            {
                object[*name] = value;
            }
        }
    }
    Ok(objects)
}

/// Where the next page begins: the number and the name of the last container.
fn cursor(row: &ContainerRow) -> String {
    format!("{}:{}", row.id, row.found.fqn)
}

fn read_cursor(text: &str) -> Result<(String, i64)> {
    let parts = text.split_once(':').and_then(|(id, fqn)| Some((fqn.to_owned(), id.parse().ok()?)));
    parts.ok_or_else(|| {
        usage(
            format!("`{text}` is not where a page begins"),
            "`after` is the `next` of the page before",
        )
    })
}

impl Windlass {
    /// Answers what other programs ask of the catalogue.
    pub(crate) async fn ask_catalog(&self, fabric: &Fabric, ask: CatalogAsk) -> Result<Value> {
        match ask {
            CatalogAsk::Containers { service, status, parent, after, limit } => {
                let status = status.map(|word| {
                    word.parse::<ContainerStatus>().map_err(|()| {
                        usage(
                            format!("`{word}` is no status of a container"),
                            "it is active, not_seen or deleted",
                        )
                    })
                });
                let filter = ContainerFilter {
                    service,
                    status: status.transpose()?,
                    parent,
                    after: after.as_deref().map(read_cursor).transpose()?,
                    limit: limit.clamp(1, PAGE),
                };
                let page = self.inner.store.containers(fabric.id, &filter).await?;
                let more = page.len() == filter.limit as usize;
                let next = page.last().filter(|_| more).map(cursor);
                Ok(json!({ "containers": self.described(&page).await?, "next": next }))
            }
            CatalogAsk::Container(name) => {
                let row = self.find_container(fabric, &name).await?;
                let notes = self.notes_of(&row).await?;
                let mut answer =
                    objects(CONTAINERS, &[container_row(&row, &notes)?])?.pop().unwrap_or_default();
                answer["column_details"] = objects(COLUMNS, &column_rows(&row, &notes)?)?.into();
                let history = self.history_table(fabric, Some(&row)).await?;
                answer["history"] = objects(HISTORY, &history)?.into();
                answer["samples"] =
                    serde_json::to_value(found(&row.found)?.samples).map_err(|error| {
                        Error::new(ErrorCode::Internal, "samples cannot be written").source(error)
                    })?;
                Ok(answer)
            }
            CatalogAsk::Search { question, limit, offset } => {
                let limit = limit.clamp(1, PAGE);
                let store = &self.inner.store;
                let hits = store.search_containers(fabric.id, &question, limit, offset).await?;
                let mut answers = Vec::with_capacity(hits.len());
                for hit in &hits {
                    let container = self.described(std::slice::from_ref(&hit.container)).await?;
                    answers.push(json!({
                        "score": hit.score,
                        "matches": matches(&found(&hit.container.found)?, &question),
                        "container": container.into_iter().next(),
                    }));
                }
                let more = hits.len() == limit as usize;
                let next = more.then(|| offset.saturating_add(limit));
                Ok(json!({ "hits": answers, "next_offset": next }))
            }
            CatalogAsk::Lineage { of, upstream, downstream, depth, events } => {
                use windlass_sql::Direction;
                let direction = match (upstream, downstream) {
                    (true, false) => Some(Direction::Upstream),
                    (false, true) => Some(Direction::Downstream),
                    _ => None,
                };
                self.lineage_json(fabric, &of, direction, depth, events).await
            }
        }
    }

    async fn described(&self, page: &[ContainerRow]) -> Result<Vec<Value>> {
        let mut cells = Vec::with_capacity(page.len());
        for row in page {
            cells.push(container_row(row, &self.notes_of(row).await?)?);
        }
        objects(CONTAINERS, &cells)
    }
}
