//! What a person wrote about a connection, validated.
//!
//! A spec holds no secret: where one belongs it says where the secret is ([`SecretSource`]).
//! [`S3Spec::build`] is the only place that validates; after it the type is the proof.

mod checks;
mod cloud;
mod remote;

use checks::{
    binding, check_access_point, check_clear_secrets, check_endpoint, check_region,
    display_filters, encryption, identity, role,
};
pub use checks::{check_customer_key, check_header, check_proxy};
pub use cloud::{AzureBlobSpec, AzureIdentity, GcsSpec};
pub use remote::{
    FtpSpec, FtpTls, HostKeys, HttpSpec, RemoteService, RemoteSpec, SftpSpec, WebDavSpec,
    check_address, check_secret,
};

use crate::error::{Error, ErrorCode, Result};
use crate::name::Name;
use crate::options::{OptionMap, OptionValue};
use crate::path::{Binding, Location, S3Url};
use serde::{Deserialize, Serialize};

/// What kind of storage a connection reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionKind {
    /// Amazon S3 or a compatible service.
    S3,
    /// A folder of this machine.
    Local,
    /// Files of a server reached over SSH.
    Sftp,
    /// Files of an FTP server, with or without TLS.
    Ftp,
    /// Files of a `WebDAV` server.
    WebDav,
    /// Files of a web server, for reading.
    Http,
    /// Azure Blob Storage.
    #[serde(rename = "azure_blob")]
    AzureBlob,
    /// Google Cloud Storage.
    Gcs,
}

impl ConnectionKind {
    /// Every kind, in the order of the reference.
    pub const ALL: &'static [Self] = &[
        Self::S3,
        Self::AzureBlob,
        Self::Gcs,
        Self::Local,
        Self::Sftp,
        Self::Ftp,
        Self::WebDav,
        Self::Http,
    ];

    /// `S3`, `SFTP` and so on, as statements write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::Local => "LOCAL",
            Self::Sftp => "SFTP",
            Self::Ftp => "FTP",
            Self::WebDav => "WEBDAV",
            Self::Http => "HTTP",
            Self::AzureBlob => "AZURE_BLOB",
            Self::Gcs => "GCS",
        }
    }

    /// The options it takes.
    pub const fn options(self) -> &'static [crate::options::OptionDef] {
        match self {
            Self::S3 => crate::options::S3_OPTIONS,
            Self::Local => crate::options::LOCAL_OPTIONS,
            Self::Sftp => crate::options::SFTP_OPTIONS,
            Self::Ftp => crate::options::FTP_OPTIONS,
            Self::WebDav => crate::options::WEBDAV_OPTIONS,
            Self::Http => crate::options::HTTP_OPTIONS,
            Self::AzureBlob => crate::options::AZURE_BLOB_OPTIONS,
            Self::Gcs => crate::options::GCS_OPTIONS,
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
        /// `AWS_ACCESS_KEY_ID`.
        access_key_id: SecretSource,
        /// `AWS_SECRET_ACCESS_KEY`.
        secret_access_key: SecretSource,
        /// `AWS_SESSION_TOKEN`.
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
    /// Whether names that differ in case only are two files; None: found out where it matters.
    pub case_sensitive: Option<bool>,
}

/// A validated connection of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionSpec {
    /// S3.
    S3(Box<S3Spec>),
    /// Local folder.
    Local(LocalSpec),
    /// Any other storage.
    Remote(Box<RemoteSpec>),
}

impl ConnectionSpec {
    /// Validates options of any kind.
    pub fn build(kind: ConnectionKind, options: &OptionMap) -> Result<Self> {
        match kind {
            ConnectionKind::S3 => S3Spec::build(options).map(|spec| Self::S3(Box::new(spec))),
            ConnectionKind::Local => LocalSpec::build(options).map(Self::Local),
            _ => RemoteSpec::build(kind, options).map(|spec| Self::Remote(Box::new(spec))),
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
        self.said(name) == Some(true)
    }

    /// What was written, for a flag whose default is no fixed value.
    fn said(&self, name: &str) -> Option<bool> {
        match self.0.get(name) {
            Some(OptionValue::Bool(said)) => Some(*said),
            _ => None,
        }
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
        Ok(Self {
            root,
            read_only: pull.flag("READ_ONLY"),
            case_sensitive: pull.said("CASE_SENSITIVE"),
        })
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
            (Some("PATH"), _) | (None | Some("AUTO"), Some(_)) => AddressingStyle::Path,
            _ => AddressingStyle::Virtual,
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
        check_access_point(&binding, main.as_deref())?;
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

#[cfg(test)]
mod tests;
