//! Every route, one file a subject.

mod catalog;
mod connections;
mod copy;
mod jobs;
mod objects;
mod sql;
mod system;
mod versions;

use crate::App;
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn all() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(catalog::routes())
        .merge(connections::routes())
        .merge(copy::routes())
        .merge(jobs::routes())
        .merge(objects::routes())
        .merge(sql::routes())
        .merge(system::routes())
        .merge(versions::routes())
}
