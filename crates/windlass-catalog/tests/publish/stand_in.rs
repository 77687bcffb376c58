//! A stand-in for OpenMetadata's REST API: takes only bodies that fit the facts of reference section
//! 7, and fails as real servers do.

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

/// The only token that it takes.
pub const TOKEN: &str = "canary-jwt-5f3759df";

/// What a request meets with instead of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429, with a time to wait.
    Busy,
    /// 504 of something before the server, which has done nothing.
    Gateway,
    /// The server does what it is asked; the answer never comes.
    Lost,
}

/// What it has.
#[derive(Debug, Default)]
pub struct Server {
    /// The one service.
    pub service: Option<Value>,
    /// By fully qualified name; deleted ones stay, marked.
    pub containers: BTreeMap<String, Value>,
    /// Names of classifications.
    pub classifications: BTreeSet<String>,
    /// Classification and name.
    pub tags: BTreeSet<(String, String)>,
    /// What each request meets with before its answer, whenever it comes.
    pub faults: Vec<Fault>,
    /// How often each request came, by its method, address and body.
    met: HashMap<(String, bytes::Bytes), usize>,
    /// Whether there is `deleteStale`.
    pub stale: bool,
    /// Lists of names that were called seen.
    pub seen: Vec<Vec<String>>,
    /// Containers that were sent.
    pub puts: usize,
    next: u64,
}

/// The server, shared with who looks at it.
pub type Shared = Arc<Mutex<Server>>;

/// Starts one; its address up to and with `/api`.
///
/// # Panics
/// Where no port of this machine is free.
pub async fn start() -> (String, Shared) {
    let shared: Shared = Arc::new(Mutex::new(Server { stale: true, ..Server::default() }));
    let router = Router::new()
        .route("/api/v1/services/storageServices/name/{name}", get(service))
        .route("/api/v1/services/storageServices", put(put_service))
        .route("/api/v1/classifications", put(put_classification))
        .route("/api/v1/tags", put(put_tag))
        .route("/api/v1/containers", put(put_container).get(list))
        .route("/api/v1/containers/deleteStale", delete(delete_stale))
        .route("/api/v1/containers/{id}", delete(delete_one))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&shared), faults))
        .with_state(Arc::clone(&shared));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}/api"), shared)
}

async fn faults(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let fault = {
        let mut server = shared.lock().unwrap();
        let Server { faults, met, .. } = &mut *server;
        let came =
            met.entry((format!("{} {}", parts.method, parts.uri), body.clone())).or_default();
        *came += 1;
        faults.get(*came - 1).copied()
    };
    let request = Request::from_parts(parts, Body::from(body));
    match fault {
        Some(Fault::Busy) => {
            return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "0")]).into_response();
        }
        Some(Fault::Gateway) => return StatusCode::GATEWAY_TIMEOUT.into_response(),
        _ => {}
    }
    let given = request.headers().get(header::AUTHORIZATION).and_then(|text| text.to_str().ok());
    if given != Some(&format!("Bearer {TOKEN}")) {
        let said = format!("the token {} is none", given.unwrap_or_default());
        return (StatusCode::UNAUTHORIZED, Json(json!({ "message": said }))).into_response();
    }
    let response = next.run(request).await;
    if fault == Some(Fault::Lost) {
        let (parts, _) = response.into_parts();
        let broken = futures::stream::iter([
            Ok(bytes::Bytes::from_static(b"{\"id\":")),
            Err(std::io::Error::other("reset")),
        ]);
        let mut response = Response::from_parts(parts, Body::from_stream(broken));
        response.headers_mut().remove(header::CONTENT_LENGTH);
        return response;
    }
    response
}

fn wrong(why: impl std::fmt::Display) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "message": why.to_string() }))).into_response()
}

async fn service(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    match &shared.lock().unwrap().service {
        Some(service) if service["fullyQualifiedName"] == name => {
            Json(service.clone()).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn put_service(State(shared): State<Shared>, Json(mut body): Json<Value>) -> Response {
    if body["serviceType"] != "S3" || body["name"].as_str().is_none_or(str::is_empty) {
        return wrong("a service has a name and a type");
    }
    let name = body["name"].as_str().unwrap_or_default();
    body["fullyQualifiedName"] =
        if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }.into();
    shared.lock().unwrap().service = Some(body.clone());
    Json(body).into_response()
}

async fn put_classification(State(shared): State<Shared>, Json(body): Json<Value>) -> Response {
    let (Some(name), true) = (body["name"].as_str(), body["description"].is_string()) else {
        return wrong("a classification has a name and a description");
    };
    shared.lock().unwrap().classifications.insert(name.to_owned());
    Json(body).into_response()
}

async fn put_tag(State(shared): State<Shared>, Json(body): Json<Value>) -> Response {
    let mut server = shared.lock().unwrap();
    let key = body["classification"].as_str().unwrap_or_default();
    if !server.classifications.contains(key) || !body["description"].is_string() {
        return wrong("no such classification");
    }
    let value = body["name"].as_str().unwrap_or_default();
    server.tags.insert((key.to_owned(), value.to_owned()));
    Json(body).into_response()
}

const FIELDS: &[&str] = &[
    "name",
    "service",
    "parent",
    "prefix",
    "fullPath",
    "numberOfObjects",
    "size",
    "fileFormats",
    "dataModel",
    "sourceUrl",
    "tags",
    "sourceHash",
    "description",
];
const COLUMN_FIELDS: &[&str] = &[
    "name",
    "displayName",
    "dataType",
    "dataTypeDisplay",
    "arrayDataType",
    "dataLength",
    "children",
    "description",
];
const FORMATS: &[&str] = &["zip", "gz", "zstd", "csv", "tsv", "json", "parquet", "avro", "MF4"];

/// What is wrong with a column.
fn column(column: &Value) -> Result<(), String> {
    let fields = column.as_object().ok_or("a column is no object")?;
    if let Some(field) = fields.keys().find(|field| !COLUMN_FIELDS.contains(&field.as_str())) {
        return Err(format!("a column has no field {field}"));
    }
    let name = column["name"].as_str().unwrap_or_default();
    let reserved = ["::", ">", "\"", "\n", "\t"].iter().any(|text| name.contains(text));
    if name.is_empty() || name.chars().count() > 256 || reserved {
        return Err(format!("`{name}` is no name of a column"));
    }
    let word = |field: &str| {
        let text = column[field].as_str().unwrap_or_default();
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
    };
    if !word("dataType") || (column.get("arrayDataType").is_some() && !word("arrayDataType")) {
        return Err(format!("`{name}` has no type"));
    }
    column["children"].as_array().into_iter().flatten().try_for_each(self::column)
}

/// What is wrong with a container.
fn check(server: &Server, body: &Value) -> Result<(), String> {
    let fields = body.as_object().ok_or("no object")?;
    if let Some(field) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(format!("a container has no field {field}"));
    }
    if let Some((field, _)) = fields.iter().find(|(_, value)| value.is_null()) {
        return Err(format!("{field} is null"));
    }
    let text = |field: &str| body[field].as_str().unwrap_or_default();
    if !(1..=256).contains(&text("name").chars().count()) || text("name").contains('"') {
        return Err("the name is none".to_owned());
    }
    let service = server.service.as_ref().map(|service| &service["fullyQualifiedName"]);
    if service != Some(&body["service"]) {
        return Err("no such service".to_owned());
    }
    if let Some(parent) = body.get("parent") {
        let known = server.containers.values().any(|one| one["id"] == parent["id"]);
        if parent["type"] != "container" || !known {
            return Err("no such parent".to_owned());
        }
    }
    let path = text("fullPath");
    if !path.starts_with("s3://") || path.ends_with('/') || !text("prefix").starts_with('/') {
        return Err("the path is none".to_owned());
    }
    let hash = text("sourceHash");
    if hash.len() != 32 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("the hash is none".to_owned());
    }
    for format in body["fileFormats"].as_array().ok_or("no formats")? {
        if !FORMATS.contains(&format.as_str().unwrap_or_default()) {
            return Err(format!("{format} is no format"));
        }
    }
    if let Some(model) = body.get("dataModel") {
        let columns = model["columns"].as_array().ok_or("no columns")?;
        if !model["isPartitioned"].is_boolean() || columns.is_empty() {
            return Err("the data model is none".to_owned());
        }
        columns.iter().try_for_each(column)?;
    }
    for tag in body["tags"].as_array().into_iter().flatten() {
        let known =
            server.tags.iter().any(|(key, value)| tag["tagFQN"] == format!("{key}.{value}"));
        if !known || tag["labelType"] != "Automated" || tag["state"] != "Suggested" {
            return Err(format!("{tag} is no tag"));
        }
    }
    Ok(())
}

async fn put_container(State(shared): State<Shared>, Json(mut body): Json<Value>) -> Response {
    let mut server = shared.lock().unwrap();
    server.puts += 1;
    if let Err(why) = check(&server, &body) {
        return wrong(why);
    }
    let parent = body.get("parent").map(|parent| parent["id"].clone());
    let above = parent.and_then(|id| server.containers.values().find(|one| one["id"] == id));
    let above = match above {
        Some(above) => above["fullyQualifiedName"].as_str().unwrap_or_default().to_owned(),
        None => body["service"].as_str().unwrap_or_default().to_owned(),
    };
    let name = body["name"].as_str().unwrap_or_default();
    let quoted = if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() };
    let fqn = format!("{above}.{quoted}");
    let id = if let Some(known) = server.containers.get(&fqn) {
        known["id"].clone()
    } else {
        server.next += 1;
        format!("id-{}", server.next).into()
    };
    body["id"] = id;
    body["fullyQualifiedName"] = fqn.as_str().into();
    server.containers.insert(fqn, body.clone());
    Json(body).into_response()
}

async fn list(
    State(shared): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let server = shared.lock().unwrap();
    let after = query.get("after").cloned().unwrap_or_default();
    let there = server.containers.iter().filter(|(_, one)| one["deleted"] != true);
    // Small pages, whatever was asked for.
    let page: Vec<&Value> =
        there.filter(|(fqn, _)| **fqn > after).map(|(_, one)| one).take(3).collect();
    let next = if page.len() == 3 { page[2]["fullyQualifiedName"].clone() } else { Value::Null };
    Json(json!({ "data": page, "paging": { "after": next } })).into_response()
}

fn mark(server: &mut Server, fqn: &str) {
    let within = format!("{fqn}.");
    for (name, one) in &mut server.containers {
        if name == fqn || name.starts_with(&within) {
            one["deleted"] = true.into();
        }
    }
}

async fn delete_stale(State(shared): State<Shared>, Json(body): Json<Value>) -> Response {
    let mut server = shared.lock().unwrap();
    if !server.stale {
        return StatusCode::NOT_FOUND.into_response();
    }
    let seen: Vec<String> = serde_json::from_value(body["seenFqns"].clone()).unwrap_or_default();
    if body["scopeEntityType"] != "service" || body["recursive"] != true || seen.is_empty() {
        return wrong("nothing was seen");
    }
    let stale: Vec<String> =
        server.containers.keys().filter(|fqn| !seen.contains(fqn)).cloned().collect();
    for fqn in &stale {
        mark(&mut server, fqn);
    }
    server.seen.push(seen);
    Json(json!({})).into_response()
}

async fn delete_one(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let mut server = shared.lock().unwrap();
    if query.get("hardDelete").map(String::as_str) != Some("false") {
        return wrong("that would be for ever");
    }
    let found = server
        .containers
        .iter()
        .find(|(_, one)| one["id"] == id && one["deleted"] != true)
        .map(|(fqn, _)| fqn.clone());
    match found {
        Some(fqn) => {
            mark(&mut server, &fqn);
            Json(json!({})).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
