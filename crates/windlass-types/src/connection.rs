//! What a person wrote about a connection, validated.
//!
//! A spec holds no secret: where one belongs it says where the secret is ([`SecretSource`]).
//! [`S3Spec::build`] is the only place that validates; after it the type is the proof.

use crate::error::{Error, ErrorCode, Result};
use crate::name::Name;
use crate::options::{OptionMap, OptionValue};
use crate::path::{Binding, Location, S3Url, check_bucket};
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// What kind of storage a connection reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionKind {
    /// Amazon S3 or a compatible service.
    S3,
    /// A folder of this machine.
    Local,
}

impl ConnectionKind {
    /// `S3` or `LOCAL`, as statements write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::Local => "LOCAL",
        }
    }

    /// The options it takes.
    pub const fn options(self) -> &'static [crate::options::OptionDef] {
        match self {
            Self::S3 => crate::options::S3_OPTIONS,
            Self::Local => crate::options::LOCAL_OPTIONS,
        }
    }
}

/// Where a secret value of an option is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The secret of this name.
    Named(Name),
    /// Sealed with the connection, under the option's name.
    Sealed,
}

/// Who the connection acts as, before any role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The default AWS credential chain.
    Chain,
    /// A named profile of the shared files.
    Profile(String),
    /// Access keys, perhaps temporary.
    Keys {
        /// AWS_ACCESS_KEY_ID.
        access_key_id: SecretSource,
        /// AWS_SECRET_ACCESS_KEY.
        secret_access_key: SecretSource,
        /// AWS_SESSION_TOKEN.
        session_token: Option<SecretSource>,
    },
    /// Unsigned requests.
    Anonymous,
}

/// A role to assume on top of the identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// ARN of the role.
    pub arn: String,
    /// External id.
    pub external_id: Option<String>,
    /// Session name.
    pub session_name: String,
    /// Source identity.
    pub source_identity: Option<String>,
    /// Seconds a session lasts.
    pub duration: u64,
}

/// How the bucket stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressingStyle {
    /// In the path.
    Path,
    /// In the host name.
    Virtual,
}

/// Encryption asked for on writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// The bucket's default.
    Default,
    /// SSE-S3.
    Aes256,
    /// SSE-KMS with this key.
    Kms(String),
    /// SSE-C; the key is a secret.
    Customer(SecretSource),
}

/// Whether writes carry checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksums {
    /// Find out what the service takes.
    Auto,
    /// Always.
    Required,
    /// Only where the protocol demands one.
    None,
}

/// A validated S3 connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct S3Spec {
    /// Who we are.
    pub identity: Identity,
    /// Role on top.
    pub role: Option<Role>,
    /// Where roles are assumed; None: AWS, or nowhere with `endpoint`.
    pub sts_endpoint: Option<String>,
    /// Where metrics are read; None: AWS, or nowhere with `endpoint`.
    pub cloudwatch_endpoint: Option<String>,
    /// Region to start from.
    pub region: Option<String>,
    /// URL of the service, without a trailing slash; None: AWS.
    pub endpoint: Option<String>,
    /// Bucket in path or host; AUTO is already decided.
    pub addressing: AddressingStyle,
    /// PEM file of authorities.
    pub ca_file: Option<String>,
    /// Headers for every request; the list is sealed as one text, a header a line.
    pub headers: Option<SecretSource>,
    /// HTTP proxy.
    pub proxy: Option<SecretSource>,
    /// Dual-stack endpoints.
    pub dualstack: bool,
    /// FIPS endpoints.
    pub fips: bool,
    /// Transfer Acceleration.
    pub accelerate: bool,
    /// Bucket and folder it is bound to.
    pub binding: Binding,
    /// Where the test lists.
    pub verify: Option<Location>,
    /// What browsing shows; empty means everything.
    pub display_filters: Vec<S3Url>,
    /// No writes.
    pub read_only: bool,
    /// Encryption on writes (and reads, for SSE-C).
    pub encryption: Encryption,
    /// Checksums on writes.
    pub checksums: Checksums,
    /// Storage class of writes.
    pub storage_class: Option<String>,
    /// Canned ACL of writes.
    pub acl: Option<String>,
    /// Requester pays.
    pub requester_pays: bool,
    /// Requests started per second.
    pub max_requests_per_second: Option<u32>,
    /// Requests in flight.
    pub max_concurrency: u32,
    /// Seconds an attempt waits.
    pub timeout: u64,
}

/// A validated local connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSpec {
    /// Absolute folder.
    pub root: std::path::PathBuf,
    /// No writes.
    pub read_only: bool,
}

/// A validated connection of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionSpec {
    /// S3.
    S3(Box<S3Spec>),
    /// Local folder.
    Local(LocalSpec),
}

impl ConnectionSpec {
    /// Validates options of either kind.
    pub fn build(kind: ConnectionKind, options: &OptionMap) -> Result<Self> {
        match kind {
            ConnectionKind::S3 => S3Spec::build(options).map(|spec| Self::S3(Box::new(spec))),
            ConnectionKind::Local => LocalSpec::build(options).map(Self::Local),
        }
    }
}

fn contradiction(message: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(ErrorCode::OptionInvalid, message).hint(hint)
}

/// Reads typed values out of options that [`crate::options::check`] has passed.
struct Pull<'a>(&'a OptionMap);

impl Pull<'_> {
    fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name) {
            Some(OptionValue::Text(text) | OptionValue::Word(text)) if !text.is_empty() => {
                Some(text.clone())
            }
            _ => None,
        }
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(OptionValue::Bool(true)))
    }

    fn integer(&self, name: &str) -> Option<u32> {
        match self.0.get(name) {
            Some(OptionValue::Integer(number)) => u32::try_from(*number).ok(),
            _ => None,
        }
    }

    fn seconds(&self, name: &str) -> Option<u64> {
        match self.0.get(name) {
            Some(OptionValue::Interval(seconds)) => Some(*seconds),
            Some(OptionValue::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// A value still in clear text (not yet sealed) counts as sealed: sealing comes after this.
    fn secret(&self, name: &str) -> Option<SecretSource> {
        match self.0.get(name)? {
            OptionValue::Secret(name) => Some(SecretSource::Named(name.clone())),
            OptionValue::Text(text) if text.is_empty() => None,
            _ => Some(SecretSource::Sealed),
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(OptionValue::List(items)) => items
                .iter()
                .filter_map(|item| match item {
                    OptionValue::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            Some(OptionValue::Text(text)) => vec![text.clone()],
            _ => Vec::new(),
        }
    }
}

impl LocalSpec {
    /// Validates options of a local connection.
    pub fn build(options: &OptionMap) -> Result<Self> {
        let pull = Pull(options);
        let root = pull.text("ROOT").ok_or_else(|| {
            contradiction("a LOCAL connection needs ROOT", "add `ROOT = '/absolute/folder'`")
        })?;
        let root = std::path::PathBuf::from(root);
        if !root.is_absolute()
            || root.components().any(|c| matches!(c, std::path::Component::ParentDir))
        {
            return Err(contradiction(
                format!("ROOT `{}` is not an absolute path", root.display()),
                "write the whole path from `/`, without `..`",
            ));
        }
        Ok(Self { root, read_only: pull.flag("READ_ONLY") })
    }
}

impl S3Spec {
    /// Validates options: contradictions are errors that say which and why.
    pub fn build(options: &OptionMap) -> Result<Self> {
        let pull = Pull(options);
        check_clear_secrets(options)?;
        let identity = identity(&pull)?;
        let role = role(&pull, &identity)?;
        let http = pull.flag("ALLOW_HTTP");
        let metadata = pull.flag("ALLOW_METADATA_ENDPOINT");
        let endpoint = |name: &str| {
            pull.text(name).map(|text| check_endpoint(name, &text, http, metadata)).transpose()
        };
        let (main, sts, cloudwatch) =
            (endpoint("ENDPOINT")?, endpoint("STS_ENDPOINT")?, endpoint("CLOUDWATCH_ENDPOINT")?);
        if role.is_some() && main.is_some() && sts.is_none() {
            return Err(contradiction(
                "AWS_ROLE with ENDPOINT needs STS_ENDPOINT",
                "nothing is sent to AWS when ENDPOINT is set; name where the role is assumed, for AWS itself `STS_ENDPOINT = 'https://sts.REGION.amazonaws.com'`",
            ));
        }
        let (dualstack, fips, accelerate) =
            (pull.flag("DUALSTACK"), pull.flag("FIPS"), pull.flag("ACCELERATE"));
        for (set, name) in [(dualstack, "DUALSTACK"), (fips, "FIPS"), (accelerate, "ACCELERATE")] {
            if set && main.is_some() {
                return Err(contradiction(
                    format!("{name} and ENDPOINT contradict each other"),
                    format!("{name} chooses among the endpoints of AWS; leave one of the two out"),
                ));
            }
        }
        if fips && accelerate {
            return Err(contradiction(
                "FIPS and ACCELERATE contradict each other",
                "S3 has no accelerated FIPS endpoints; leave one out",
            ));
        }
        let addressing = match (pull.text("ADDRESSING_STYLE").as_deref(), &main) {
            (Some("PATH"), _) => AddressingStyle::Path,
            (Some("VIRTUAL"), _) => AddressingStyle::Virtual,
            (_, Some(_)) => AddressingStyle::Path,
            (_, None) => AddressingStyle::Virtual,
        };
        if accelerate && pull.text("ADDRESSING_STYLE").as_deref() == Some("PATH") {
            return Err(contradiction(
                "ACCELERATE and ADDRESSING_STYLE = PATH contradict each other",
                "accelerated buckets are named in the host; leave one out",
            ));
        }
        if let Some(region) = pull.text("REGION")
            && main.is_none()
        {
            check_region(&region)?;
        }
        let binding = binding(&pull)?;
        let verify = pull
            .text("VERIFY_PATH")
            .map(|text| {
                let location = binding.resolve_any(&text)?;
                location.need_bucket()?;
                Ok::<_, Error>(location)
            })
            .transpose()
            .map_err(|error| {
                contradiction(
                    format!("VERIFY_PATH cannot be used: {error}"),
                    error.hint_text().unwrap_or("write `s3://bucket/folder/`").to_owned(),
                )
            })?;
        Ok(Self {
            identity,
            role,
            sts_endpoint: sts,
            cloudwatch_endpoint: cloudwatch,
            region: pull.text("REGION"),
            endpoint: main,
            addressing,
            ca_file: pull.text("CA_FILE"),
            headers: pull.secret("HEADERS"),
            proxy: pull.secret("PROXY"),
            dualstack,
            fips,
            accelerate,
            display_filters: display_filters(&pull, &binding)?,
            binding,
            verify,
            read_only: pull.flag("READ_ONLY"),
            encryption: encryption(&pull)?,
            checksums: match pull.text("CHECKSUMS").as_deref() {
                Some("REQUIRED") => Checksums::Required,
                Some("NONE") => Checksums::None,
                _ => Checksums::Auto,
            },
            storage_class: pull.text("STORAGE_CLASS"),
            acl: pull.text("ACL"),
            requester_pays: pull.flag("REQUESTER_PAYS"),
            max_requests_per_second: pull.integer("MAX_REQUESTS_PER_SECOND"),
            max_concurrency: pull.integer("MAX_CONCURRENCY").unwrap_or(64),
            timeout: pull.seconds("TIMEOUT").unwrap_or(60),
        })
    }
}

/// Checks secret values that are still in clear text, at creation. Errors never quote them.
fn check_clear_secrets(options: &OptionMap) -> Result<()> {
    let text = |name: &str| match options.get(name) {
        Some(OptionValue::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        if text(name).is_some_and(|t| t.trim() != t || t.chars().any(char::is_control)) {
            return Err(contradiction(
                format!("{name} has blanks or control characters at its ends or inside"),
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

fn identity(pull: &Pull<'_>) -> Result<Identity> {
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

fn role(pull: &Pull<'_>, identity: &Identity) -> Result<Option<Role>> {
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
fn check_endpoint(name: &str, text: &str, http: bool, metadata: bool) -> Result<String> {
    let url = Url::parse(text).ok().filter(|url| url.host().is_some()).ok_or_else(|| {
        contradiction(format!("{name} is not a URL"), "write `https://host` or `https://host:port`")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(contradiction(
            format!("{name} has credentials in it"),
            "leave them out of the URL; give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ));
    }
    match url.scheme() {
        "https" => {}
        "http" if http => {}
        "http" => {
            return Err(contradiction(
                format!("{name} `{text}` is not https"),
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
            format!("{name} `{text}` has a path or query in it"),
            "give only scheme, host and port; a bucket goes into BUCKET, a folder into PREFIX",
        ));
    }
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
            format!("{name} `{text}` is a link-local or instance metadata address"),
            "requests there can reveal the machine's own credentials; add `ALLOW_METADATA_ENDPOINT = TRUE` to mean it",
        ));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn check_region(region: &str) -> Result<()> {
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

fn binding(pull: &Pull<'_>) -> Result<Binding> {
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
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
    }
    Ok(Binding { bucket, prefix })
}

fn display_filters(pull: &Pull<'_>, binding: &Binding) -> Result<Vec<S3Url>> {
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

fn encryption(pull: &Pull<'_>) -> Result<Encryption> {
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

#[cfg(test)]
mod tests;
