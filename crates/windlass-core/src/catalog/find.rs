//! From what a person calls a container to the container.

use crate::windlass::Windlass;
use windlass_state::{ContainerRow, ContainerStatus, FabricRow as Fabric};
use windlass_types::{ConnectionId, Error, ErrorCode, Name, Result};

/// A place behind a connection of this fabric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    /// The connection's id.
    pub(crate) connection: ConnectionId,
    /// Its name.
    pub(crate) name: Name,
    /// The bucket.
    pub(crate) bucket: String,
    /// Below it, without `/` at the end.
    pub(crate) path: String,
}

impl Windlass {
    /// The container of this name: fully qualified, `connection:path`, or `s3://bucket/path`. Of
    /// several, one that is there is preferred.
    pub(crate) async fn find_container(&self, fabric: &Fabric, text: &str) -> Result<ContainerRow> {
        let store = &self.inner.store;
        let bare = text.strip_suffix('/').unwrap_or(text);
        let mut found = store.containers_named(fabric.id, bare).await?;
        if found.is_empty()
            && let Some(at) = self.place_of(fabric, text).await?
        {
            found = store.containers_of_connection(at.connection, &at.bucket, &at.path).await?;
        }
        let there = |row: &&ContainerRow| row.status != ContainerStatus::Deleted;
        // The same place may be known through several connections; one name is never two.
        let mut names: Vec<&str> =
            found.iter().filter(there).map(|row| row.found.fqn.as_str()).collect();
        names.dedup();
        if names.len() > 1 {
            return Err(Error::new(
                ErrorCode::ContainerNotFound,
                format!("`{text}` is known by {} names", names.len()),
            )
            .hint(format!("say which: {}", names.join(", "))));
        }
        found.into_iter().next().ok_or_else(|| {
            Error::new(ErrorCode::ContainerNotFound, format!("the catalogue has no `{text}`"))
                .hint("`SEARCH 'words'` finds containers, `SHOW CONTAINERS` lists them, a crawl of its connection makes them known")
        })
    }

    /// The place that `connection:path` names; None where it begins with no connection of the
    /// fabric. An error where the connection cannot have such a path.
    pub(crate) async fn place_of(&self, fabric: &Fabric, text: &str) -> Result<Option<At>> {
        // The connection `s3` of a fresh home is no scheme.
        let Some((connection, path)) = text.split_once(':').filter(|_| !text.starts_with("s3://"))
        else {
            return Ok(None);
        };
        let Ok(name) = Name::new(connection) else { return Ok(None) };
        let Some(row) = self.inner.store.find_connection(fabric.id, &name).await? else {
            return Ok(None);
        };
        let location = self.open_row(&row).await?.storage().binding().resolve_any(path)?;
        let bucket = location.need_bucket()?.to_owned();
        let path = location.key.trim_end_matches('/').to_owned();
        Ok(Some(At { connection: row.id, name: row.name, bucket, path }))
    }
}
