//! A service of the catalogue, published to an OpenMetadata server.

use super::stored::found;
use super::tables::Notes;
use crate::windlass::{Opened, Windlass};
use std::collections::BTreeSet;
use windlass_catalog::publish::{Entity, Published, Publisher, Target};
use windlass_state::{ContainerFilter, ContainerRow, ContainerStatus, ServiceRow};
use windlass_types::{Error, ErrorCode, FabricId, Name, Result};

/// Containers that are sent before the next are read.
const PAGE: u32 = 500;

impl Windlass {
    /// The server behind an HTTP connection.
    pub(crate) async fn publish_target(&self, fabric: FabricId, name: &Name) -> Result<Target> {
        let row = self.connection_in(fabric, name).await?;
        let client = match self.open_row(&row).await? {
            Opened::Other(remote) => remote.web_client(),
            Opened::S3(_) | Opened::Local(..) => None,
        };
        let Some(client) = client else {
            let what = format!("PUBLISH_TO names `{}`, which is no HTTP connection", name.as_str());
            return Err(Error::new(ErrorCode::OptionInvalid, what).hint(
                "CREATE HTTP CONNECTION om ENDPOINT = 'https://openmetadata.example.com/api' TOKEN = '...' SKIP_VALIDATION = TRUE",
            ));
        };
        let web = client?;
        let (client, hidden) = (Some(web.client), web.secrets);
        Ok(Target { client, hidden, ..Target::new(web.endpoint, None) })
    }

    /// Publishes what the catalogue knows of a service. What was not seen is left there as it is;
    /// only what is marked deleted here is deleted there.
    pub(crate) async fn publish_service(
        &self,
        service: &ServiceRow,
        target: Target,
    ) -> Result<Published> {
        let mut publisher =
            Publisher::begin(target, &service.name, service.description.as_deref()).await?;
        let mut gone: BTreeSet<String> = BTreeSet::new();
        let mut filter = ContainerFilter {
            service: Some(service.name.clone()),
            limit: PAGE,
            ..ContainerFilter::default()
        };
        loop {
            // By name: what a container lies in comes before it.
            let page = self.inner.store.containers(service.fabric, &filter).await?;
            let mut entities = Vec::with_capacity(page.len());
            for row in &page {
                if row.status == ContainerStatus::Deleted {
                    gone.insert(row.found.fqn.clone());
                } else {
                    entities.push(entity(row, &self.notes_of(row).await?)?);
                }
            }
            publisher.publish(&entities).await?;
            match page.last().filter(|_| page.len() == PAGE as usize) {
                Some(last) => filter.after = Some((last.found.fqn.clone(), last.id)),
                None => break,
            }
        }
        publisher.delete(&gone).await?;
        Ok(publisher.end())
    }
}

fn entity(row: &ContainerRow, notes: &Notes) -> Result<Entity> {
    Ok(Entity {
        fqn: row.found.fqn.clone(),
        parent: row.found.parent_fqn.clone(),
        found: found(&row.found)?,
        description: notes.own().and_then(|note| note.description.clone()),
        columns: notes.columns_described(),
    })
}
