//! A service of the catalogue, published to an OpenMetadata server.

use super::stored::found;
use super::tables::Notes;
use crate::windlass::Windlass;
use std::collections::BTreeSet;
use windlass_catalog::publish::{Entity, Published, Publisher, Target};
use windlass_state::{ContainerFilter, ContainerRow, ContainerStatus, ServiceRow};
use windlass_types::Result;

/// Containers that are sent before the next are read.
const PAGE: u32 = 500;

impl Windlass {
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
