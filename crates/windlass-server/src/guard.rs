//! Keeps web pages of other origins out: without sign-in, a browser is the way in.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use windlass_types::{Error, ErrorCode};

use crate::reply::Failure;

/// Refuses requests whose `Host` is not loopback (DNS rebinding) or whose `Origin` is another site.
pub(crate) async fn same_origin(request: Request, next: Next) -> Response {
    match check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => Failure(error).into_response(),
    }
}

fn check(headers: &HeaderMap) -> Result<(), Error> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if !is_loopback(host) {
        return Err(Error::new(
            ErrorCode::ConnectionDenied,
            format!("the host `{host}` is not this machine"),
        )
        .hint("use `http://127.0.0.1:PORT` or `http://localhost:PORT`"));
    }
    if let Some(origin) = text(header::ORIGIN) {
        let same = origin.split_once("://").is_some_and(|(_, rest)| rest == host);
        if !same {
            return Err(Error::new(
                ErrorCode::ConnectionDenied,
                "requests from other web pages are refused",
            )
            .hint("call the API from the server's own origin or from a program"));
        }
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_and_its_own_pages_may_ask() {
        let with = |host: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            check(&headers).is_ok()
        };
        assert!(
            with("127.0.0.1:8650", None) && with("localhost", None) && with("[::1]:8650", None)
        );
        assert!(with("localhost:8650", Some("http://localhost:8650")));
        assert!(!with("evil.example", None) && !with("10.0.0.1:8650", None));
        assert!(!with("localhost:8650", Some("http://evil.example")));
        assert!(!with("localhost:8650", Some("null")));
    }
}
