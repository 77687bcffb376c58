//! What a service keeps besides current objects: older versions, and uploads that were never ended.

use super::connections::InFabric;
use super::objects::{failures, storage};
use crate::App;
use crate::reply::{Reply, json_lines};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use windlass_types::Location;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(delete_versions))
        .routes(routes!(uploads))
}

/// A place within a bucket.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct PlaceQuery {
    /// Bucket.
    bucket: String,
    /// Prefix.
    #[serde(default)]
    key: String,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct Depth {
    /// All below, instead of one level.
    #[serde(default)]
    recursive: bool,
}

/// Lists every version and delete marker as JSON lines, of a key the newest first; a failure after
/// the first is the last line.
#[utoipa::path(get, path = "/connections/{name}/versions", tag = "objects",
    params(("name" = String, Path), InFabric, PlaceQuery, Depth),
    responses((status = 200, description = "versions", content_type = "application/x-ndjson", body = String)))]
async fn list(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(place): Query<PlaceQuery>,
    Query(depth): Query<Depth>,
) -> Reply<Response> {
    let storage = storage(&app, &name, &fabric).await?;
    let location = Location { bucket: Some(place.bucket), key: place.key };
    json_lines(storage.list_versions(&location, depth.recursive)).await
}

/// Versions of keys of one bucket.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct DeleteVersionsBody {
    /// Bucket.
    bucket: String,
    /// Up to 1,000 pairs of exact key and version.
    versions: Vec<(String, String)>,
}

/// Deletes versions or delete markers for good; answers the failed ones.
#[utoipa::path(post, path = "/connections/{name}/versions/delete", tag = "objects",
    params(("name" = String, Path), InFabric), request_body = DeleteVersionsBody,
    responses((status = 200, body = Object)))]
async fn delete_versions(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Json(body): Json<DeleteVersionsBody>,
) -> Reply<Json<Value>> {
    let storage = storage(&app, &name, &fabric).await?;
    Ok(Json(failures(storage.delete_versions(&body.bucket, &body.versions).await?)))
}

/// Lists uploads that were begun and never ended as JSON lines.
#[utoipa::path(get, path = "/connections/{name}/uploads", tag = "objects",
    params(("name" = String, Path), InFabric, PlaceQuery),
    responses((status = 200, description = "uploads", content_type = "application/x-ndjson", body = String)))]
async fn uploads(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(place): Query<PlaceQuery>,
) -> Reply<Response> {
    let storage = storage(&app, &name, &fabric).await?;
    json_lines(storage.list_uploads(&place.bucket, &place.key)).await
}
