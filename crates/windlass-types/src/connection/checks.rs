//! Checks of single options and of those that contradict each other.

use super::{Encryption, Identity, Pull, Role, contradiction};
use crate::error::Result;
use crate::options::{OptionMap, OptionValue};
use crate::path::{Binding, S3Url, check_bucket};
use base64::Engine as _;
use url::{Host, Url};

/// Checks secret values that are still in clear text, at creation. Errors never quote them.
pub(super) fn check_clear_secrets(options: &OptionMap) -> Result<()> {
    let text = |name: &str| match options.get(name) {
        Some(OptionValue::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        if text(name).is_some_and(|t| t.chars().any(|c| c.is_whitespace() || c.is_control())) {
            return Err(contradiction(
                format!("{name} has blanks or control characters in it"),
                "copy the value again without line ends and blanks",
            ));
        }
    }
    if let Some(key) = text("ENCRYPTION_CUSTOMER_MANAGED_KEY") {
        check_customer_key(key)?;
    }
    if let Some(proxy) = text("PROXY") {
        check_proxy(proxy)?;
    }
    for header in Pull(options).list("HEADERS") {
        check_header(&header)?;
    }
    Ok(())
}

/// Checks the base64 of an SSE-C key: 256 bits.
pub fn check_customer_key(text: &str) -> Result<Vec<u8>> {
    let hint = "make one with `openssl rand -base64 32`";
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|_| contradiction("ENCRYPTION_CUSTOMER_MANAGED_KEY is not base64", hint))?;
    if bytes.len() != 32 {
        return Err(contradiction(
            format!("ENCRYPTION_CUSTOMER_MANAGED_KEY is {} bits long, not 256", bytes.len() * 8),
            hint,
        ));
    }
    Ok(bytes)
}

/// Checks a proxy URL.
pub fn check_proxy(text: &str) -> Result<()> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Ok(()),
        _ => Err(contradiction("PROXY is not an http or https URL", "write `http://host:port`")),
    }
}

/// Checks a `Name: value` header line and splits it.
pub fn check_header(line: &str) -> Result<(String, String)> {
    let hint = "write each header as `'Name: value'`";
    let (name, value) =
        line.split_once(':').ok_or_else(|| contradiction("a text in HEADERS has no `:`", hint))?;
    let (name, value) = (name.trim(), value.trim());
    if http::HeaderName::from_bytes(name.as_bytes()).is_err()
        || http::HeaderValue::from_str(value).is_err()
    {
        return Err(contradiction("a text in HEADERS is not a valid header", hint));
    }
    if [
        "authorization",
        "host",
        "content-length",
        "x-amz-date",
        "x-amz-content-sha256",
        "x-amz-security-token",
    ]
    .contains(&name.to_ascii_lowercase().as_str())
    {
        return Err(contradiction(
            format!("HEADERS may not set `{name}`"),
            "it is part of the request's signature",
        ));
    }
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn identity(pull: &Pull<'_>) -> Result<Identity> {
    let (id, secret, token) = (
        pull.secret("AWS_ACCESS_KEY_ID"),
        pull.secret("AWS_SECRET_ACCESS_KEY"),
        pull.secret("AWS_SESSION_TOKEN"),
    );
    let profile = pull.text("AWS_PROFILE");
    let anonymous = pull.flag("ANONYMOUS");
    let given: Vec<&str> = [
        (id.is_some() || secret.is_some() || token.is_some(), "access keys"),
        (profile.is_some(), "AWS_PROFILE"),
        (anonymous, "ANONYMOUS"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect();
    if let [first, second, ..] = given[..] {
        return Err(contradiction(
            format!("two identities: {first} and {second}"),
            "a connection acts as one identity; leave one of the two out",
        ));
    }
    match (id, secret, token) {
        (Some(access_key_id), Some(secret_access_key), session_token) => {
            Ok(Identity::Keys { access_key_id, secret_access_key, session_token })
        }
        (None, None, Some(_)) => Err(contradiction(
            "AWS_SESSION_TOKEN without access keys",
            "add AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the same session",
        )),
        (Some(_), None, _) => Err(contradiction(
            "AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY",
            "a key pair needs both halves",
        )),
        (None, Some(_), _) => Err(contradiction(
            "AWS_SECRET_ACCESS_KEY without AWS_ACCESS_KEY_ID",
            "a key pair needs both halves",
        )),
        (None, None, None) => Ok(match profile {
            Some(profile) => Identity::Profile(profile),
            None if anonymous => Identity::Anonymous,
            None => Identity::Chain,
        }),
    }
}

pub(super) fn role(pull: &Pull<'_>, identity: &Identity) -> Result<Option<Role>> {
    let Some(arn) = pull.text("AWS_ROLE") else {
        for name in ["EXTERNAL_ID", "ROLE_SESSION_NAME", "ROLE_SOURCE_IDENTITY", "ROLE_DURATION"] {
            if pull.0.contains_key(name) {
                return Err(contradiction(
                    format!("{name} without AWS_ROLE"),
                    "it is used only when a role is assumed; add AWS_ROLE",
                ));
            }
        }
        return Ok(None);
    };
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let good = matches!(parts[..], ["arn", partition, "iam", "", account, name]
        if partition.starts_with("aws") && account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
            && name.strip_prefix("role/").is_some_and(|n| !n.is_empty()));
    if !good {
        return Err(contradiction(
            format!("AWS_ROLE `{arn}` is not the ARN of a role"),
            "a role's ARN is `arn:aws:iam::123456789012:role/name`",
        ));
    }
    if *identity == Identity::Anonymous {
        return Err(contradiction(
            "AWS_ROLE and ANONYMOUS contradict each other",
            "assuming a role needs an identity; leave one of the two out",
        ));
    }
    let session_name =
        pull.text("ROLE_SESSION_NAME").unwrap_or_else(|| "WindlassSession".to_owned());
    for (name, text) in [
        ("ROLE_SESSION_NAME", Some(&session_name)),
        ("ROLE_SOURCE_IDENTITY", pull.text("ROLE_SOURCE_IDENTITY").as_ref()),
    ] {
        let valid = text.is_none_or(|t| {
            (2..=64).contains(&t.len())
                && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"_=,.@-".contains(&b))
        });
        if !valid {
            return Err(contradiction(
                format!("{name} is not valid"),
                "it has 2 to 64 letters, digits and `_=,.@-`",
            ));
        }
    }
    Ok(Some(Role {
        arn,
        external_id: pull.text("EXTERNAL_ID"),
        session_name,
        source_identity: pull.text("ROLE_SOURCE_IDENTITY"),
        duration: pull.seconds("ROLE_DURATION").unwrap_or(3600),
    }))
}

/// Checks a service URL: https unless plain http is meant; no credentials, path, query; no
/// metadata address, since a request there would leak instance credentials.
pub(super) fn check_endpoint(name: &str, text: &str, http: bool, metadata: bool) -> Result<String> {
    let url = Url::parse(text).ok().filter(|url| url.host().is_some()).ok_or_else(|| {
        contradiction(format!("{name} is not a URL"), "write `https://host` or `https://host:port`")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(contradiction(
            format!("{name} has credentials in it"),
            "leave them out of the URL; give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ));
    }
    // A query may hold a key: it is not repeated.
    let shown = match text.find(['?', '#']) {
        Some(at) => format!("{}***", &text[..=at]),
        None => text.to_owned(),
    };
    match url.scheme() {
        "https" => {}
        "http" if http => {}
        "http" => {
            return Err(contradiction(
                format!("{name} `{shown}` is not https"),
                "data and signatures would travel in clear text; add `ALLOW_HTTP = TRUE` to mean it",
            ));
        }
        other => {
            return Err(contradiction(
                format!("{name} has the scheme `{other}`"),
                "write `https://host` or `https://host:port`",
            ));
        }
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(contradiction(
            format!("{name} `{shown}` has a path or query in it"),
            "give only scheme, host and port; a bucket goes into BUCKET, a folder into PREFIX",
        ));
    }
    check_host(name, &url, metadata)?;
    Ok(text.trim_end_matches('/').to_owned())
}

/// Refuses a URL of an address from which machines get credentials, unless that is meant.
pub(super) fn check_host(name: &str, url: &Url, metadata: bool) -> Result<()> {
    let forbidden = match url.host() {
        Some(Host::Ipv4(ip)) => {
            ip.is_link_local() || ip.is_unspecified() || ip.octets() == [100, 100, 100, 200]
        }
        Some(Host::Ipv6(ip)) => {
            ip.is_unicast_link_local()
                || ip.segments()[..2] == [0xfd00, 0x0ec2]
                || ip.to_ipv4_mapped().is_some_and(|v4| v4.is_link_local())
        }
        Some(Host::Domain(domain)) => domain.starts_with("metadata.") || domain == "instance-data",
        None => false,
    };
    if forbidden && !metadata {
        return Err(contradiction(
            format!("{name} `{url}` is a link-local or instance metadata address"),
            "requests there can reveal the machine's own credentials; add `ALLOW_METADATA_ENDPOINT = TRUE` to mean it",
        ));
    }
    Ok(())
}

pub(super) fn check_region(region: &str) -> Result<()> {
    let zone = region.len() > 2
        && region.ends_with(|c: char| c.is_ascii_lowercase())
        && region[..region.len() - 1].ends_with(|c: char| c.is_ascii_digit());
    if zone {
        return Err(contradiction(
            format!("REGION `{region}` is an availability zone"),
            format!("the region is `{}`", &region[..region.len() - 1]),
        ));
    }
    let good = region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && region.matches('-').count() >= 2;
    if good {
        return Ok(());
    }
    Err(contradiction(
        format!("REGION `{region}` is not an AWS region"),
        "a region is like `eu-west-1`; leave it out to have it found; with ENDPOINT any text is fine",
    ))
}

pub(super) fn binding(pull: &Pull<'_>) -> Result<Binding> {
    let bucket = pull.text("BUCKET");
    if let Some(bucket) = &bucket {
        check_bucket(bucket).map_err(|error| {
            contradiction(
                format!("BUCKET: {error}"),
                error.hint_text().unwrap_or_default().to_owned(),
            )
        })?;
    }
    let mut prefix = pull.text("PREFIX").unwrap_or_default();
    if !prefix.is_empty() {
        if bucket.is_none() {
            return Err(contradiction(
                "PREFIX without BUCKET",
                "a folder is one of a bucket; add BUCKET",
            ));
        }
        if prefix.starts_with('/') || prefix.starts_with("s3://") {
            return Err(contradiction(
                format!("PREFIX `{prefix}` is not a folder's key"),
                "write it without a leading `/` and without the bucket: `raw/orders/`",
            ));
        }
        if prefix.split('/').any(|level| matches!(level, "." | "..")) {
            return Err(contradiction(
                format!("PREFIX `{prefix}` holds `.` or `..`, which lead nowhere in a bucket"),
                "keys are plain text; write the folder's own key: `raw/orders/`",
            ));
        }
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
    }
    Ok(Binding { bucket, prefix })
}

/// Access points are AWS's own: only its private endpoints serve them under an ENDPOINT.
pub(super) fn check_access_point(binding: &Binding, endpoint: Option<&str>) -> Result<()> {
    let host = endpoint
        .and_then(|text| Url::parse(text).ok())
        .and_then(|url| url.host_str().map(|host| host.trim_end_matches('.').to_ascii_lowercase()));
    match (&binding.bucket, host) {
        (Some(bucket), Some(host))
            if bucket.starts_with("arn:")
                && !host.ends_with(".amazonaws.com")
                && !host.ends_with(".amazonaws.com.cn") =>
        {
            Err(contradiction(
                format!(
                    "BUCKET `{bucket}` is an access point of AWS, and ENDPOINT another service"
                ),
                "leave ENDPOINT out, or give the name of a bucket on it",
            ))
        }
        _ => Ok(()),
    }
}

pub(super) fn display_filters(pull: &Pull<'_>, binding: &Binding) -> Result<Vec<S3Url>> {
    if pull.text("PATH_DISPLAY_FILTER").is_some() && pull.0.contains_key("PATH_DISPLAY_FILTERS") {
        return Err(contradiction(
            "PATH_DISPLAY_FILTER and PATH_DISPLAY_FILTERS are both given",
            "put all of them into PATH_DISPLAY_FILTERS",
        ));
    }
    let mut texts = pull.list("PATH_DISPLAY_FILTERS");
    texts.extend(pull.text("PATH_DISPLAY_FILTER"));
    texts
        .iter()
        .map(|text| {
            let url = S3Url::parse(text).map_err(|error| {
                contradiction(
                    format!("a path display filter cannot be used: {error}"),
                    "write `s3://bucket/prefix`",
                )
            })?;
            let inside = binding.bucket.as_ref().is_none_or(|bucket| {
                *bucket == url.bucket
                    && (url.key.starts_with(&binding.prefix)
                        || binding.prefix.starts_with(&url.key))
            });
            if inside {
                return Ok(url);
            }
            Err(contradiction(
                format!("the path display filter `{text}` is outside BUCKET and PREFIX"),
                "nothing there can be shown; give a filter inside them",
            ))
        })
        .collect()
}

pub(super) fn encryption(pull: &Pull<'_>) -> Result<Encryption> {
    let kms = pull.text("ENCRYPTION_KMS_KEY");
    let customer = pull.secret("ENCRYPTION_CUSTOMER_MANAGED_KEY");
    let aes = pull.text("ENCRYPTION").is_some();
    let given: Vec<&str> = [
        (kms.is_some(), "ENCRYPTION_KMS_KEY"),
        (customer.is_some(), "ENCRYPTION_CUSTOMER_MANAGED_KEY"),
        (aes, "ENCRYPTION"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect();
    if let [first, second, ..] = given[..] {
        return Err(contradiction(
            format!("{first} and {second} contradict each other"),
            "an object is encrypted in one way; leave one of the two out",
        ));
    }
    if let Some(key) = &kms {
        let arn = key.starts_with("arn:");
        let good = if arn {
            let parts: Vec<&str> = key.splitn(6, ':').collect();
            matches!(parts[..], ["arn", _, "kms", region, account, name]
                if !region.is_empty() && account.len() == 12 && (name.starts_with("key/") || name.starts_with("alias/")))
        } else {
            key.starts_with("alias/") || key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !good {
            return Err(contradiction(
                format!("ENCRYPTION_KMS_KEY `{key}` is not a KMS key"),
                "write a key's id, `alias/name`, or `arn:aws:kms:REGION:ACCOUNT:key/ID`",
            ));
        }
    }
    Ok(match (kms, customer, aes) {
        (Some(key), ..) => Encryption::Kms(key),
        (_, Some(source), _) => Encryption::Customer(source),
        (_, _, true) => Encryption::Aes256,
        _ => Encryption::Default,
    })
}
