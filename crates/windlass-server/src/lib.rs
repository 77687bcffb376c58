//! The HTTP API and PostgreSQL's protocol: the same verbs, for other programs and for `--server`.
//!
//! Routes and their documentation are one registration; `GET /api/v1/openapi.json` is the result.
//! Until people can sign in it serves loopback only, and refuses what a web page of another
//! origin could send (`Host` and `Origin` are checked).

pub mod pg;
pub mod wire;

mod guard;
mod parameters;
mod reply;
mod routes;

use axum::Router;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi as _;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use windlass_core::engine::Engine;
use windlass_types::{Error, ErrorCode, Result};

/// What every route gets.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) engine: Arc<dyn Engine>,
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Windlass",
        description = "Connections to S3 and what can be done through them. Errors have the body `{\"error\": {code, message, causes, hint}}`.",
        license(name = "Apache-2.0")
    ),
    components(schemas(ErrorAnswer, ErrorDetail))
)]
struct Document;

/// The body of every answer that is an error.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "only described; `ErrorBody` is what is sent")]
struct ErrorAnswer {
    /// What went wrong.
    error: ErrorDetail,
}

/// What went wrong.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "only described; `ErrorBody` is what is sent")]
struct ErrorDetail {
    /// A stable word such as `object.not_found`; `docs/reference/errors.md` lists them.
    code: String,
    /// What happened, in a sentence.
    message: String,
    /// Why, outermost first.
    causes: Vec<String>,
    /// What to do about it.
    hint: Option<String>,
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", routes::all())
}

/// The routes and their document, in which every operation says how an error looks.
fn parts() -> (Router<App>, utoipa::openapi::OpenApi) {
    let (router, mut document) = routes().split_for_parts();
    let error = ResponseBuilder::new()
        .description("an error; the status says its class")
        .content(
            "application/json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorAnswer"))).build(),
        )
        .build();
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
            &mut item.head,
        ];
        for operation in operations.into_iter().flatten() {
            operation
                .responses
                .responses
                .entry("default".to_owned())
                .or_insert_with(|| RefOr::T(error.clone()));
        }
    }
    (router, document)
}

/// The OpenAPI document, as pretty JSON.
pub fn openapi() -> Result<String> {
    let (_, document) = parts();
    document.to_pretty_json().map_err(|error| {
        Error::new(ErrorCode::Internal, "the OpenAPI document cannot be printed").source(error)
    })
}

/// The whole application.
pub fn router(engine: Arc<dyn Engine>) -> Router {
    let (router, document) = parts();
    let known = parameters::known(&document);
    router
        .layer(axum::middleware::from_fn_with_state(known, parameters::check))
        .route(
            "/api/v1/openapi.json",
            axum::routing::get(move || async move { axum::Json(document) }),
        )
        .fallback(reply::not_found)
        .layer(axum::middleware::from_fn(reply::documented))
        .layer(axum::middleware::from_fn(guard::same_origin))
        .with_state(App { engine })
}

/// Binds an address; anything but loopback is refused.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    if !address.ip().is_loopback() {
        return Err(Error::new(
            ErrorCode::ServerListen,
            format!("`{address}` is not a loopback address, and there is no sign-in yet"),
        )
        .hint("listen on 127.0.0.1 and reach it through an SSH tunnel"));
    }
    TcpListener::bind(address).await.map_err(|error| {
        Error::new(ErrorCode::ServerListen, format!("cannot listen on `{address}`"))
            .source(error)
            .hint("another process may have the port; choose one with `--listen 127.0.0.1:PORT`")
    })
}

/// Serves until `shutdown`, then lets open requests end.
pub async fn serve(
    engine: Arc<dyn Engine>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<()> {
    axum::serve(listener, router(engine))
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await
        .map_err(|error| Error::new(ErrorCode::ServerListen, "the server stopped").source(error))
}
