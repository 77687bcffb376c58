//! Objects of a connection: list, read, write, delete, presign. Buckets and keys are exact, so
//! they travel as query parameters.

use super::connections::InFabric;
use crate::App;
use crate::reply::{Failure, Reply, json_lines};
use crate::wire::{LENGTH_HEADER, META_HEADER, OPTIONS_HEADER, WireOptions};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use windlass_core::engine::{
    ByteRange, GetOptions, ListOptions, ObjectMeta, PresignMethod, PutOptions, Storage,
};
use windlass_types::{Error, ErrorCode, Location, Name, ObjectPath};

/// Largest body of one write or part, in bytes.
const MAX_BODY: usize = 1 << 30;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(stat))
        .routes(routes!(get, put, delete))
        .routes(routes!(delete_many))
        .routes(routes!(create_upload))
        .routes(routes!(upload_part))
        .routes(routes!(complete_upload))
        .routes(routes!(abort_upload))
        .routes(routes!(create_bucket, delete_bucket))
        .routes(routes!(presign))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

pub(super) async fn storage(app: &App, name: &str, fabric: &InFabric) -> Result<Storage, Failure> {
    Ok(app.engine.storage(&fabric.ctx(), &Name::new(name)?).await?)
}

/// A place.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct ListQuery {
    /// Bucket; left out to list buckets.
    bucket: Option<String>,
    /// Prefix.
    #[serde(default)]
    key: String,
    /// All below, instead of one level.
    #[serde(default)]
    recursive: bool,
    /// Apply the connection's display filters.
    #[serde(default)]
    display: bool,
    /// Begin after this key.
    start_after: Option<String>,
    /// In the service's order (the default), or as entries arrive, which is faster.
    ordered: Option<bool>,
}

/// One object.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct ObjectQuery {
    /// Bucket.
    bucket: String,
    /// Exact key.
    key: String,
    /// Version.
    version: Option<String>,
}

impl ObjectQuery {
    fn path(&self) -> ObjectPath {
        ObjectPath { bucket: self.bucket.clone(), key: self.key.clone() }
    }
}

/// Lists entries as JSON lines; a failure after the first is the last line.
#[utoipa::path(get, path = "/connections/{name}/entries", tag = "objects",
    params(("name" = String, Path), InFabric, ListQuery),
    responses((status = 200, description = "entries", content_type = "application/x-ndjson", body = String)))]
async fn list(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<ListQuery>,
) -> Reply<Response> {
    let storage = storage(&app, &name, &fabric).await?;
    let location = Location { bucket: query.bucket, key: query.key };
    let options = ListOptions {
        recursive: query.recursive,
        display: query.display,
        start_after: query.start_after,
        ordered: query.ordered.unwrap_or(true),
        ..ListOptions::default()
    };
    json_lines(storage.list(&location, options)).await
}

/// Metadata of one object.
#[utoipa::path(get, path = "/connections/{name}/stat", tag = "objects",
    params(("name" = String, Path), InFabric, ObjectQuery), responses((status = 200, body = Object)))]
async fn stat(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<ObjectQuery>,
) -> Reply<Json<ObjectMeta>> {
    let storage = storage(&app, &name, &fabric).await?;
    Ok(Json(storage.stat(&query.path(), query.version.as_deref()).await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct GetQuery {
    /// First byte; with `last`, left out.
    offset: Option<u64>,
    /// Number of bytes from `offset`.
    length: Option<u64>,
    /// The last bytes.
    last: Option<u64>,
    /// Fail unless the object has this `ETag`.
    if_match: Option<String>,
}

/// Reads an object or a part of it. `x-windlass-meta` holds the metadata as JSON.
#[utoipa::path(get, path = "/connections/{name}/object", tag = "objects",
    params(("name" = String, Path), InFabric, ObjectQuery, GetQuery),
    responses((status = 200, description = "bytes", content_type = "application/octet-stream", body = String)))]
async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<ObjectQuery>,
    Query(part): Query<GetQuery>,
) -> Reply<Response> {
    let storage = storage(&app, &name, &fabric).await?;
    let range = match (part.offset, part.length, part.last) {
        (None, None, Some(last)) => Some(ByteRange::Last(last)),
        (Some(offset), Some(length), None) => Some(ByteRange::Bounded(offset, length)),
        (Some(offset), None, None) => Some(ByteRange::From(offset)),
        (None, None, None) => None,
        _ => {
            return Err(Error::new(
                ErrorCode::UsageInvalid,
                "offset, length and last do not go together",
            )
            .hint("give offset, offset and length, or last")
            .into());
        }
    };
    let options = GetOptions { range, if_match: part.if_match, version: query.version.clone() };
    let body = storage.get(&query.path(), options).await?;
    let meta = serde_json::to_string(&body.meta).unwrap_or_default();
    let headers = [
        (HeaderName::from_static(META_HEADER), ascii(&meta)),
        (HeaderName::from_static(LENGTH_HEADER), body.length.to_string()),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, body.length.to_string()),
    ];
    // A body that fails is cut short; the client sees fewer bytes than the length says.
    Ok((headers, Body::from_stream(body.stream)).into_response())
}

/// JSON may hold any character; a header only ASCII.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

fn put_options(headers: &HeaderMap) -> Result<PutOptions, Failure> {
    let Some(value) = headers.get(OPTIONS_HEADER) else { return Ok(PutOptions::default()) };
    let options: WireOptions = serde_json::from_slice(value.as_bytes()).map_err(|error| {
        Failure(
            Error::new(ErrorCode::UsageInvalid, format!("`{OPTIONS_HEADER}` cannot be read"))
                .source(error),
        )
    })?;
    Ok(options.into())
}

/// Writes an object, atomically. `x-windlass-options` may hold options as JSON.
#[utoipa::path(put, path = "/connections/{name}/object", tag = "objects",
    params(("name" = String, Path), InFabric, ObjectQuery),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 200, body = Object)))]
async fn put(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<ObjectQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply<Json<Value>> {
    let storage = storage(&app, &name, &fabric).await?;
    let result = storage.put(&query.path(), body, put_options(&headers)?).await?;
    Ok(Json(json!(result)))
}

/// Deletes an object. What is not there is deleted, as in S3.
#[utoipa::path(delete, path = "/connections/{name}/object", tag = "objects",
    params(("name" = String, Path), InFabric, ObjectQuery), responses((status = 200, body = Object)))]
async fn delete(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<ObjectQuery>,
) -> Reply<Json<Value>> {
    storage(&app, &name, &fabric).await?.delete(&query.path()).await?;
    Ok(Json(json!({ "deleted": 1 })))
}

/// Keys of one bucket.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct DeleteBody {
    /// Bucket.
    bucket: String,
    /// Up to 1,000 exact keys.
    keys: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DeleteFailure {
    key: String,
    error: windlass_types::error::ErrorBody,
}

/// The answer to a deletion of many.
pub(super) fn failures(failed: Vec<(String, Error)>) -> Value {
    let failed: Vec<DeleteFailure> = failed
        .into_iter()
        .map(|(key, error)| DeleteFailure { key, error: (&error).into() })
        .collect();
    json!({ "failed": failed })
}

/// Deletes up to 1,000 keys; answers the failed ones.
#[utoipa::path(post, path = "/connections/{name}/delete", tag = "objects",
    params(("name" = String, Path), InFabric), request_body = DeleteBody, responses((status = 200, body = Object)))]
async fn delete_many(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Json(body): Json<DeleteBody>,
) -> Reply<Json<Value>> {
    let failed = storage(&app, &name, &fabric).await?.delete_many(&body.bucket, &body.keys).await?;
    Ok(Json(failures(failed)))
}

/// Begins a multipart upload.
#[utoipa::path(post, path = "/connections/{name}/upload", tag = "objects",
    params(("name" = String, Path), InFabric, ObjectQuery), responses((status = 200, body = Object)))]
async fn create_upload(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<ObjectQuery>,
    headers: HeaderMap,
) -> Reply<Json<Value>> {
    let storage = storage(&app, &name, &fabric).await?;
    Ok(Json(json!(storage.create_upload(&query.path(), put_options(&headers)?).await?)))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct PartQuery {
    /// Upload id.
    upload: String,
    /// Number of the part, from 1.
    #[serde(default)]
    number: i32,
}

fn upload(query: &ObjectQuery, part: &PartQuery) -> windlass_core::engine::Upload {
    windlass_core::engine::Upload {
        bucket: query.bucket.clone(),
        key: query.key.clone(),
        id: part.upload.clone(),
    }
}

/// Writes one part.
#[utoipa::path(put, path = "/connections/{name}/part", tag = "objects",
    params(("name" = String, Path), InFabric, ObjectQuery, PartQuery),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 200, body = Object)))]
async fn upload_part(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<ObjectQuery>,
    Query(part): Query<PartQuery>,
    body: Bytes,
) -> Reply<Json<Value>> {
    let storage = storage(&app, &name, &fabric).await?;
    Ok(Json(json!(storage.upload_part(&upload(&query, &part), part.number, body).await?)))
}

/// Makes the object visible from its parts.
#[utoipa::path(post, path = "/connections/{name}/complete", tag = "objects",
    params(("name" = String, Path), InFabric, ObjectQuery, PartQuery),
    request_body = Vec<Object>, responses((status = 200, body = Object)))]
async fn complete_upload(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<ObjectQuery>,
    Query(part): Query<PartQuery>,
    headers: HeaderMap,
    Json(parts): Json<Vec<windlass_core::engine::Part>>,
) -> Reply<Json<Value>> {
    let storage = storage(&app, &name, &fabric).await?;
    let result =
        storage.complete_upload(&upload(&query, &part), &parts, &put_options(&headers)?).await?;
    Ok(Json(json!(result)))
}

/// Gives up an upload.
#[utoipa::path(delete, path = "/connections/{name}/upload/abort", tag = "objects",
    params(("name" = String, Path), InFabric, ObjectQuery, PartQuery), responses((status = 200, body = Object)))]
async fn abort_upload(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<ObjectQuery>,
    Query(part): Query<PartQuery>,
) -> Reply<Json<Value>> {
    storage(&app, &name, &fabric).await?.abort_upload(&upload(&query, &part)).await?;
    Ok(Json(json!({ "aborted": 1 })))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct BucketQuery {
    /// Bucket.
    bucket: String,
}

/// Creates a bucket.
#[utoipa::path(put, path = "/connections/{name}/bucket", tag = "objects",
    params(("name" = String, Path), InFabric, BucketQuery), responses((status = 200, body = Object)))]
async fn create_bucket(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<BucketQuery>,
) -> Reply<Json<Value>> {
    storage(&app, &name, &fabric).await?.create_bucket(&query.bucket).await?;
    Ok(Json(json!({ "created": query.bucket })))
}

/// Removes an empty bucket.
#[utoipa::path(delete, path = "/connections/{name}/bucket", tag = "objects",
    params(("name" = String, Path), InFabric, BucketQuery), responses((status = 200, body = Object)))]
async fn delete_bucket(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Query(query): Query<BucketQuery>,
) -> Reply<Json<Value>> {
    storage(&app, &name, &fabric).await?.delete_bucket(&query.bucket).await?;
    Ok(Json(json!({ "removed": query.bucket })))
}

/// What to sign.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct PresignBody {
    /// What to type after `CONN:`, or an absolute `s3://` text.
    path: String,
    /// `get` or `put`.
    #[schema(value_type = String)]
    method: PresignMethod,
    /// Seconds the URL works, at most 604800.
    expires: u64,
}

/// Signs a URL that works without credentials for a while.
#[utoipa::path(post, path = "/connections/{name}/presign", tag = "objects",
    params(("name" = String, Path), InFabric), request_body = PresignBody, responses((status = 200, body = Object)))]
async fn presign(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(fabric): Query<InFabric>,
    Json(body): Json<PresignBody>,
) -> Reply<Json<Value>> {
    let expires = Duration::from_secs(body.expires);
    let url = app
        .engine
        .presign(&fabric.ctx(), &Name::new(name)?, &body.path, body.method, expires)
        .await?;
    Ok(Json(json!({ "url": url })))
}
