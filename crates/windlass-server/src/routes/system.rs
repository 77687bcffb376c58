//! The installation: health, doctor, key.

use crate::App;
use crate::reply::Reply;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(doctor)).routes(routes!(rotate))
}

/// Says that a Windlass server is here, and its version.
#[utoipa::path(get, path = "/health", tag = "system", responses((status = 200, body = Object)))]
async fn health() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "name": "windlass", "version": env!("CARGO_PKG_VERSION") }))
}

/// Checks the installation of the server.
#[utoipa::path(get, path = "/doctor", tag = "system", responses((status = 200, body = Vec<Object>)))]
async fn doctor(State(app): State<App>) -> Reply<Json<Vec<windlass_core::engine::Check>>> {
    Ok(Json(app.engine.doctor().await?))
}

/// Reseals every sealed value with a new master key; answers how many.
#[utoipa::path(post, path = "/key/rotate", tag = "system", responses((status = 200, body = Object)))]
async fn rotate(State(app): State<App>) -> Reply<Json<serde_json::Value>> {
    Ok(Json(serde_json::json!({ "resealed": app.engine.rotate_key().await? })))
}
