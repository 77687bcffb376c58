//! Connections: list, show, test, policy, and what a client needs to use one as a storage.

use crate::App;
use crate::reply::Reply;
use crate::wire::StorageInfo;
use axum::Json;
use axum::extract::{Path, Query, State};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use windlass_core::engine::{Answer, Ctx};
use windlass_types::{Name, Result};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(connections))
        .routes(routes!(connection))
        .routes(routes!(test))
        .routes(routes!(policy))
        .routes(routes!(storage))
}

/// Where names belong.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(crate) struct InFabric {
    /// Fabric; `default` if left out.
    pub(crate) fabric: Option<String>,
}

impl InFabric {
    pub(crate) fn ctx(&self) -> Ctx {
        Ctx {
            fabric: self.fabric.clone().unwrap_or_else(|| "default".to_owned()),
            remote: true,
            ..Ctx::default()
        }
    }
}

/// The rows of one statement as JSON objects.
pub(crate) async fn rows(app: &App, mut ctx: Ctx, statement: String) -> Result<Vec<Value>> {
    let mut answers = app.engine.sql(&mut ctx, &statement);
    let mut rows = Vec::new();
    while let Some(answer) = answers.next().await {
        if let Answer::Rows { batches, .. } = answer? {
            for batch in batches.try_collect::<Vec<_>>().await? {
                rows.extend(windlass_core::json::objects(&batch)?);
            }
        }
    }
    Ok(rows)
}

/// The sentence that one statement answers: `{message, warnings}`.
pub(crate) async fn answered(app: &App, mut ctx: Ctx, statement: String) -> Result<Value> {
    let mut answers = app.engine.sql(&mut ctx, &statement);
    let mut said = Value::Null;
    while let Some(answer) = answers.next().await {
        if let Answer::Done { message, warnings } = answer? {
            said = serde_json::json!({ "message": message, "warnings": warnings });
        }
    }
    Ok(said)
}

/// Lists the connections of a fabric, as `SHOW CONNECTIONS`.
#[utoipa::path(get, path = "/connections", tag = "connections", params(InFabric),
    responses((status = 200, body = Vec<Object>)))]
async fn connections(
    State(app): State<App>,
    Query(fabric): Query<InFabric>,
) -> Reply<Json<Vec<Value>>> {
    Ok(Json(rows(&app, fabric.ctx(), "SHOW CONNECTIONS".to_owned()).await?))
}

/// One connection, as `DESCRIBE CONNECTION`; secrets are masked.
#[utoipa::path(get, path = "/connections/{name}", tag = "connections",
    params(("name" = String, Path, description = "name, without quotes"), InFabric),
    responses((status = 200, body = Vec<Object>)))]
async fn connection(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
) -> Reply<Json<Vec<Value>>> {
    let name = Name::new(name)?;
    Ok(Json(rows(&app, fabric.ctx(), format!("DESCRIBE CONNECTION {name}")).await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct TestQuery {
    /// Also try to write, under a probe key that is always removed.
    #[serde(default)]
    write: bool,
}

/// Tests a connection, as `TEST CONNECTION`.
#[utoipa::path(post, path = "/connections/{name}/test", tag = "connections",
    params(("name" = String, Path, description = "name, without quotes"), InFabric, TestQuery),
    responses((status = 200, body = Vec<Object>)))]
async fn test(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<TestQuery>,
) -> Reply<Json<Vec<Value>>> {
    let name = Name::new(name)?;
    let write = if query.write { " WITH WRITE" } else { "" };
    Ok(Json(rows(&app, fabric.ctx(), format!("TEST CONNECTION {name}{write}")).await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct PolicyQuery {
    /// `read`, `full` or `catalog`.
    purpose: String,
}

/// The least IAM policy for a connection.
#[utoipa::path(get, path = "/connections/{name}/policy", tag = "connections",
    params(("name" = String, Path, description = "name, without quotes"), InFabric, PolicyQuery),
    responses((status = 200, body = Object)))]
async fn policy(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<PolicyQuery>,
) -> Reply<Json<Value>> {
    Ok(Json(app.engine.policy(&fabric.ctx(), &Name::new(name)?, &query.purpose).await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct StorageQuery {
    /// A key, or a folder ending in `/`: the answer then says whether case is told apart there.
    key: Option<String>,
}

/// What a connection is bound to.
#[utoipa::path(get, path = "/connections/{name}/storage", tag = "connections",
    params(("name" = String, Path, description = "name, without quotes"), InFabric, StorageQuery),
    responses((status = 200, body = StorageInfo)))]
async fn storage(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<StorageQuery>,
) -> Reply<Json<StorageInfo>> {
    let storage = app.engine.storage(&fabric.ctx(), &Name::new(name)?).await?;
    let tells_case_apart = match &query.key {
        Some(key) => Some(storage.tells_case_apart(key, false).await),
        None => None,
    };
    let binding = storage.binding();
    Ok(Json(StorageInfo {
        bucket: binding.bucket.clone(),
        prefix: binding.prefix.clone(),
        read_only: storage.read_only(),
        tells_case_apart,
    }))
}
