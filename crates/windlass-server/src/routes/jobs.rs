//! Jobs and their runs. Jobs are made and changed by statements: `POST /sql`.

use crate::App;
use crate::reply::Reply;
use crate::routes::connections::{InFabric, answered, rows};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use windlass_core::sql::text_literal;
use windlass_types::{Error, ErrorCode, Name, Result, RunId};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(jobs))
        .routes(routes!(job, drop_job))
        .routes(routes!(run_job))
        .routes(routes!(pause_job))
        .routes(routes!(resume_job))
        .routes(routes!(cancel_job))
        .routes(routes!(runs))
        .routes(routes!(run))
        .routes(routes!(run_events))
        .routes(routes!(run_items))
        .routes(routes!(cancel_run))
}

/// Lists the jobs of a fabric, as `SHOW JOBS`.
#[utoipa::path(get, path = "/jobs", tag = "jobs", params(InFabric),
    responses((status = 200, body = Vec<Object>)))]
async fn jobs(State(app): State<App>, Query(fabric): Query<InFabric>) -> Reply<Json<Vec<Value>>> {
    Ok(Json(rows(&app, fabric.ctx(), "SHOW JOBS".to_owned()).await?))
}

/// One job, as `DESCRIBE JOB`; secrets are masked.
#[utoipa::path(get, path = "/jobs/{name}", tag = "jobs",
    params(("name" = String, Path, description = "name, without quotes"), InFabric),
    responses((status = 200, body = Vec<Object>)))]
async fn job(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
) -> Reply<Json<Vec<Value>>> {
    let name = Name::new(name)?;
    Ok(Json(rows(&app, fabric.ctx(), format!("DESCRIBE JOB {name}")).await?))
}

/// Drops a job, as `DROP JOB`; its runs stay.
#[utoipa::path(delete, path = "/jobs/{name}", tag = "jobs",
    params(("name" = String, Path, description = "name, without quotes"), InFabric),
    responses((status = 200, body = Object)))]
async fn drop_job(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
) -> Reply<Json<Value>> {
    verb(app, fabric, "DROP", name).await
}

/// Runs a job and waits for its end, as `RUN JOB`: the row of the run. A client that goes away does
/// not stop it.
#[utoipa::path(post, path = "/jobs/{name}/run", tag = "jobs",
    params(("name" = String, Path, description = "name, without quotes"), InFabric),
    responses((status = 200, body = Vec<Object>)))]
async fn run_job(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
) -> Reply<Json<Vec<Value>>> {
    let name = Name::new(name)?;
    Ok(Json(rows(&app, fabric.ctx(), format!("RUN JOB {name}")).await?))
}

/// Lets no trigger start a job, as `PAUSE JOB`.
#[utoipa::path(post, path = "/jobs/{name}/pause", tag = "jobs",
    params(("name" = String, Path, description = "name, without quotes"), InFabric),
    responses((status = 200, body = Object)))]
async fn pause_job(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
) -> Reply<Json<Value>> {
    verb(app, fabric, "PAUSE", name).await
}

/// Lets the trigger of a paused job start it again, as `RESUME JOB`.
#[utoipa::path(post, path = "/jobs/{name}/resume", tag = "jobs",
    params(("name" = String, Path, description = "name, without quotes"), InFabric),
    responses((status = 200, body = Object)))]
async fn resume_job(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
) -> Reply<Json<Value>> {
    verb(app, fabric, "RESUME", name).await
}

/// Stops the runs of a job, as `CANCEL JOB`.
#[utoipa::path(post, path = "/jobs/{name}/cancel", tag = "jobs",
    params(("name" = String, Path, description = "name, without quotes"), InFabric),
    responses((status = 200, body = Object)))]
async fn cancel_job(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
) -> Reply<Json<Value>> {
    verb(app, fabric, "CANCEL", name).await
}

async fn verb(app: App, fabric: InFabric, verb: &str, name: String) -> Reply<Json<Value>> {
    let name = Name::new(name)?;
    Ok(Json(answered(&app, fabric.ctx(), format!("{verb} JOB {name}")).await?))
}

/// Which runs.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct RunQuery {
    /// Only those of this job.
    job: Option<String>,
    /// Only those in this state: queued, running, succeeded, partial, failed, cancelled, skipped.
    state: Option<String>,
    /// At most so many; 100 if left out.
    limit: Option<u32>,
}

/// Lists runs, the latest first; rows of `system.runs`.
#[utoipa::path(get, path = "/runs", tag = "jobs", params(InFabric, RunQuery),
    responses((status = 200, body = Vec<Object>)))]
async fn runs(
    State(app): State<App>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<RunQuery>,
) -> Reply<Json<Vec<Value>>> {
    let mut text = "SELECT * FROM system.runs WHERE TRUE".to_owned();
    for (column, value) in [("job", &query.job), ("state", &query.state)] {
        if let Some(value) = value {
            let _ = write!(text, " AND {column} = {}", text_literal(value));
        }
    }
    let _ = write!(text, " ORDER BY scheduled_for DESC LIMIT {}", query.limit.unwrap_or(100));
    Ok(Json(rows(&app, fabric.ctx(), text).await?))
}

fn run_id(text: &str) -> Result<RunId> {
    text.parse().map_err(|error| {
        Error::new(ErrorCode::RunNotFound, "this is not the id of a run")
            .source(error)
            .hint("`GET /runs` lists them")
    })
}

/// One run: its row of `system.runs`.
#[utoipa::path(get, path = "/runs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "id of the run"), InFabric),
    responses((status = 200, body = Object)))]
async fn run(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(fabric): Query<InFabric>,
) -> Reply<Json<Value>> {
    let id = run_id(&id)?;
    let text = format!("SELECT * FROM system.runs WHERE id = '{id}'");
    let found = rows(&app, fabric.ctx(), text).await?.pop();
    found.map(Json).ok_or_else(|| {
        Error::new(ErrorCode::RunNotFound, format!("no run `{id}`"))
            .hint("`GET /runs` lists them")
            .into()
    })
}

/// What a run said; rows of `system.run_events`.
#[utoipa::path(get, path = "/runs/{id}/events", tag = "jobs",
    params(("id" = String, Path, description = "id of the run"), InFabric),
    responses((status = 200, body = Vec<Object>)))]
async fn run_events(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(fabric): Query<InFabric>,
) -> Reply<Json<Vec<Value>>> {
    let id = run_id(&id)?;
    let text =
        format!("SELECT at, level, message FROM system.run_events WHERE run = '{id}' ORDER BY at");
    Ok(Json(rows(&app, fabric.ctx(), text).await?))
}

/// Which items of a run.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct ItemQuery {
    /// Only those of this status: done, skipped, failed, planned.
    status: Option<String>,
}

/// Files of a run: all that failed, and the first 10,000 others; rows of `system.run_items`.
#[utoipa::path(get, path = "/runs/{id}/items", tag = "jobs",
    params(("id" = String, Path, description = "id of the run"), InFabric, ItemQuery),
    responses((status = 200, body = Vec<Object>)))]
async fn run_items(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<ItemQuery>,
) -> Reply<Json<Vec<Value>>> {
    let id = run_id(&id)?;
    let mut text = format!(
        "SELECT action, source, destination, size, status, reason, code, hint FROM system.run_items WHERE run = '{id}'"
    );
    if let Some(status) = &query.status {
        let _ = write!(text, " AND status = {}", text_literal(status));
    }
    Ok(Json(rows(&app, fabric.ctx(), text).await?))
}

/// Stops a run, as `CANCEL RUN`.
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "jobs",
    params(("id" = String, Path, description = "id of the run"), InFabric),
    responses((status = 200, body = Object)))]
async fn cancel_run(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(fabric): Query<InFabric>,
) -> Reply<Json<Value>> {
    let id = run_id(&id)?;
    Ok(Json(answered(&app, fabric.ctx(), format!("CANCEL RUN '{id}'")).await?))
}
