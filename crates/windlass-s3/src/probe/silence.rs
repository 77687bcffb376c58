//! Why no answer came: name, connection, TLS, proxy, time. The SDK's types for it are private, so the
//! words of the causes decide.

use super::diagnose::{Facts, Finding, Scene};
use windlass_types::connection::Identity;

/// The host and port of a URL.
pub(crate) fn authority(endpoint: &str) -> String {
    match url::Url::parse(endpoint) {
        Ok(url) => {
            let port = url.port_or_known_default().unwrap_or(443);
            format!("{}:{port}", url.host_str().unwrap_or_default())
        }
        Err(_) => endpoint.to_owned(),
    }
}

fn host(endpoint: &str) -> String {
    let authority = authority(endpoint);
    authority.rsplit_once(':').map_or(authority.clone(), |(host, _)| host.to_owned())
}

/// No answer at all.
pub(crate) fn network(facts: &Facts, scene: &Scene) -> Finding {
    let endpoint = &scene.endpoint;
    let text = facts.chain.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let proxied = scene.spec.proxy.is_some();
    if any(&[
        "no credentials",
        "credentials provider was not enabled",
        "no providers in chain",
        "did not provide credentials",
    ]) {
        return no_credentials(scene);
    }
    if any(&["invalid peer certificate", "certificate"]) {
        return certificate(&text, scene);
    }
    if any(&["corrupt message", "invalidcontenttype", "wrong version number"]) {
        return Finding::new(
            format!("TLS to a plain port: `{endpoint}` does not speak TLS there"),
            "use the port the service has for https, or write `http://` and `ALLOW_HTTP = TRUE`",
        );
    }
    if endpoint.starts_with("http://")
        && any(&["invalid http version", "invalid http response", "parse(version)"])
    {
        return plain_to_tls(scene);
    }
    if any(&["connection refused"]) {
        return refused(scene);
    }
    if proxied && any(&["proxy", "tunnel"]) {
        return Finding::new(
            "proxy: it does not let the connection through",
            "check PROXY: host, port, user and password, and that it allows CONNECT to the service",
        );
    }
    if any(&[
        "dns error",
        "failed to lookup",
        "name or service not known",
        "name resolution",
        "resolve dns",
        "nodename nor servname",
    ]) {
        return unknown_host(&host(endpoint), scene);
    }
    if facts.timeout || any(&["timed out", "timeout"]) {
        return silent(scene, None);
    }
    if any(&["no route to host", "network is unreachable", "host is unreachable"]) {
        return Finding::new(
            format!("no route: the network has no way to `{}`", host(endpoint)),
            "check the network, VPN and firewall of this machine",
        );
    }
    if any(&[
        "connection closed",
        "incompletemessage",
        "connection reset",
        "broken pipe",
        "unexpected eof",
        "end of file",
        "handshake eof",
    ]) {
        return Finding::new(
            format!("connection closed: `{}` ended it without an answer", authority(endpoint)),
            format!(
                "a firewall or another kind of service may be there; check host, port and scheme of {}",
                scene.option()
            ),
        );
    }
    Finding::new(
        format!("no answer from `{}`: {}", authority(endpoint), facts.chain),
        format!("check {} and the network of this machine", scene.option()),
    )
}

pub(crate) fn no_credentials(scene: &Scene) -> Finding {
    match &scene.spec.identity {
        Identity::Profile(profile) => Finding::new(
            format!("no credentials: the profile `{profile}` gives none"),
            "check AWS_PROFILE against `aws configure list-profiles`; for a single sign-on profile run `aws sso login`",
        ),
        _ => Finding::new(
            "no credentials: environment, shared files, single sign-on, web identity, container and instance have none",
            "give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (options of the connection, or the environment), name a profile with AWS_PROFILE, sign in with `aws sso login`, or set `ANONYMOUS = TRUE` for a public bucket",
        ),
    }
}

fn certificate(text: &str, scene: &Scene) -> Finding {
    let endpoint = &scene.endpoint;
    if text.contains("notvalidforname") || text.contains("not valid for name") {
        return Finding::new(
            format!("certificate: that of `{endpoint}` is for another host name"),
            "use the host name in the certificate as ENDPOINT; with ADDRESSING_STYLE = VIRTUAL it must cover `*.host` too",
        );
    }
    if text.contains("expired") || text.contains("notvalidyet") || text.contains("not valid yet") {
        return Finding::new(
            format!("certificate: that of `{endpoint}` is expired or not valid yet"),
            "renew it; if it is valid, this machine's clock is wrong",
        );
    }
    Finding::new(
        format!("certificate: that of `{endpoint}` is not trusted"),
        match &scene.spec.ca_file {
            Some(file) => format!("the authority that signed it is not in CA_FILE `{file}`"),
            None => "set CA_FILE to a PEM file with the authority that signed it".to_owned(),
        },
    )
}

pub(crate) fn plain_to_tls(scene: &Scene) -> Finding {
    Finding::new(
        format!("plain http to a TLS port: `{}` wants https", scene.endpoint),
        "write `https://` in ENDPOINT and leave ALLOW_HTTP out",
    )
}

/// The name of the host does not resolve.
pub(crate) fn unknown_host(host: &str, scene: &Scene) -> Finding {
    Finding::new(
        format!("unknown host: no address for `{host}`"),
        match (&scene.spec.endpoint, &scene.spec.proxy) {
            _ if scene.option() != "ENDPOINT" => {
                return Finding::new(
                    format!("unknown host: no address for `{host}`"),
                    format!(
                        "check the host in {}, and this machine's name service (DNS)",
                        scene.option()
                    ),
                );
            }
            (_, Some(_)) => "check the host in PROXY and ENDPOINT, and the name service (DNS)",
            (Some(_), None) => {
                "check the host in ENDPOINT, and this machine's name service (DNS); with ADDRESSING_STYLE = VIRTUAL the bucket is part of the host"
            }
            (None, None) => "check REGION, and this machine's name service (DNS)",
        },
    )
}

/// Nobody listens.
pub(crate) fn refused(scene: &Scene) -> Finding {
    if scene.spec.proxy.is_some() {
        return Finding::new(
            "proxy: the connection to it is refused",
            "check host and port in PROXY, and that the proxy runs",
        );
    }
    Finding::new(
        format!("refused: nothing listens at `{}`", authority(&scene.endpoint)),
        format!("check the port in {}, and that the service runs", scene.option()),
    )
}

/// Nothing came back in time. `connected` tells whether TCP was established, if that is known.
pub(crate) fn silent(scene: &Scene, connected: Option<bool>) -> Finding {
    let at = authority(&scene.endpoint);
    match connected {
        Some(true) => Finding::new(
            format!("timeout: `{at}` accepts connections but does not answer"),
            format!(
                "the service hangs, or something else listens there; check {} and the service's log",
                scene.option()
            ),
        ),
        Some(false) => Finding::new(
            format!("timeout: no connection to `{at}`"),
            format!(
                "a firewall may drop packets, or the address is wrong; check {}, VPN and PROXY",
                scene.option()
            ),
        ),
        None => Finding::new(
            format!("timeout: no answer from `{at}`"),
            format!(
                "the service or the network is slow or blocked; check {}, VPN and PROXY, then try again",
                scene.option()
            ),
        ),
    }
}
