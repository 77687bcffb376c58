//! The catalogue: containers, search, lineage. Crawls and notes are statements: `POST /sql`.

use crate::App;
use crate::reply::Reply;
use crate::routes::connections::InFabric;
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use windlass_core::engine::CatalogAsk;
use windlass_types::{Error, ErrorCode};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(containers))
        .routes(routes!(container))
        .routes(routes!(search))
        .routes(routes!(lineage))
}

/// Which containers.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct ContainerQuery {
    /// Only those of this service.
    service: Option<String>,
    /// Only those that are `active`, `not_seen` or `deleted`.
    status: Option<String>,
    /// Only those directly in the container of this fully qualified name.
    parent: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// At most so many; 100 if left out, at most 1000.
    limit: Option<u32>,
}

/// A page of containers by fully qualified name: `{containers, next}`, each with the columns of
/// `system.containers`; `next` is null on the last page.
#[utoipa::path(get, path = "/containers", tag = "catalog", params(InFabric, ContainerQuery),
    responses((status = 200, body = Object)))]
async fn containers(
    State(app): State<App>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<ContainerQuery>,
) -> Reply<Json<Value>> {
    let ContainerQuery { service, status, parent, after, limit } = query;
    let limit = limit.unwrap_or(100);
    let ask = CatalogAsk::Containers { service, status, parent, after, limit };
    Ok(Json(app.engine.catalog(&fabric.ctx(), ask).await?))
}

/// One container with its columns, samples and history.
#[utoipa::path(get, path = "/containers/{fqn}", tag = "catalog",
    params(("fqn" = String, Path, description = "fully qualified name, `connection:path` or `s3://bucket/path`; `/` as `%2F`"), InFabric),
    responses((status = 200, body = Object)))]
async fn container(
    State(app): State<App>,
    Path(fqn): Path<String>,
    Query(fabric): Query<InFabric>,
) -> Reply<Json<Value>> {
    Ok(Json(app.engine.catalog(&fabric.ctx(), CatalogAsk::Container(fqn)).await?))
}

/// What to search.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct SearchQuery {
    /// Words; each must be there, or begin one that is.
    q: String,
    /// At most so many; 20 if left out, at most 1000.
    limit: Option<u32>,
    /// The `next_offset` of the page before.
    offset: Option<u32>,
}

/// Containers by words in names, columns, descriptions, owners and tags, the best first:
/// `{hits: [{score, matches, container}], next_offset}`.
#[utoipa::path(get, path = "/search", tag = "catalog", params(InFabric, SearchQuery),
    responses((status = 200, body = Object)))]
async fn search(
    State(app): State<App>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<SearchQuery>,
) -> Reply<Json<Value>> {
    let SearchQuery { q, limit, offset } = query;
    let ask =
        CatalogAsk::Search { question: q, limit: limit.unwrap_or(20), offset: offset.unwrap_or(0) };
    Ok(Json(app.engine.catalog(&fabric.ctx(), ask).await?))
}

/// How lineage is followed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct LineageQuery {
    /// `upstream` or `downstream`; both if left out.
    direction: Option<String>,
    /// Most steps in a row; 20 if left out.
    depth: Option<u64>,
    /// `openlineage`: a list of run events, instead of `{of, steps}`.
    format: Option<String>,
}

/// Where the data of a place came from and went to, as runs of Windlass read and wrote it.
#[utoipa::path(get, path = "/lineage/{of}", tag = "catalog",
    params(("of" = String, Path, description = "a container, or `connection:path`; `/` as `%2F`"), InFabric, LineageQuery),
    responses((status = 200, body = Object)))]
async fn lineage(
    State(app): State<App>,
    Path(of): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<LineageQuery>,
) -> Reply<Json<Value>> {
    let wrong = |what: &str, hint: &str| {
        Error::new(ErrorCode::UsageInvalid, format!("`{what}` cannot be asked for")).hint(hint)
    };
    let (upstream, downstream) = match query.direction.as_deref() {
        None => (true, true),
        Some("upstream") => (true, false),
        Some("downstream") => (false, true),
        Some(other) => return Err(wrong(other, "`direction` is upstream or downstream").into()),
    };
    let events = match query.format.as_deref() {
        None => false,
        Some("openlineage") => true,
        Some(other) => return Err(wrong(other, "`format` is openlineage, or left out").into()),
    };
    let ask = CatalogAsk::Lineage { of, upstream, downstream, depth: query.depth, events };
    Ok(Json(app.engine.catalog(&fabric.ctx(), ask).await?))
}
