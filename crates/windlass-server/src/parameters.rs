//! Refuses query parameters that a path does not have: a slip must not silently change what is done.

use crate::reply::Failure;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};
use windlass_types::{Error, ErrorCode};

/// Names of query parameters by method and path, as the document has them.
pub(crate) type Known = Arc<HashMap<(String, String), Vec<String>>>;

/// Reads them from the document.
pub(crate) fn known(document: &OpenApi) -> Known {
    let mut known = HashMap::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in operations(item) {
            let names = operation.parameters.iter().flatten();
            let names = names
                .filter_map(|parameter| match parameter {
                    RefOr::T(parameter) => Some(parameter),
                    RefOr::Ref(_) => None,
                })
                .filter(|parameter| parameter.parameter_in == ParameterIn::Query)
                .map(|parameter| parameter.name.clone());
            known.insert((method.to_owned(), path.clone()), names.collect());
        }
    }
    Arc::new(known)
}

fn operations(
    item: &utoipa::openapi::PathItem,
) -> impl Iterator<Item = (&'static str, &Operation)> {
    [
        ("GET", &item.get),
        ("HEAD", &item.head),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// The layer.
pub(crate) async fn check(State(known): State<Known>, request: Request, next: Next) -> Response {
    match unknown(&known, &request) {
        None => next.run(request).await,
        Some(error) => Failure(error).into_response(),
    }
}

fn unknown(known: &Known, request: &Request) -> Option<Error> {
    let query = request.uri().query()?;
    let path = request.extensions().get::<MatchedPath>()?.as_str().to_owned();
    let names = known.get(&(request.method().to_string(), path))?;
    let given = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| !names.iter().any(|known| known == name))?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let near = windlass_types::options::nearest(&given.0, &names)
        .map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    let listed = if names.is_empty() {
        "there are none".to_owned()
    } else {
        format!("known are {}", names.join(", "))
    };
    Some(
        Error::new(ErrorCode::UsageInvalid, format!("unknown query parameter `{}`", given.0))
            .hint(format!("{near}{listed}")),
    )
}
