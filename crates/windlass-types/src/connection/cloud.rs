//! Connections to Azure Blob Storage and Google Cloud Storage: what was written, validated.

use super::remote::{required, url};
use super::{ConnectionKind, Pull, contradiction};
use crate::error::Result;
use crate::path::{Binding, check_bucket};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How a connection proves itself to Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AzureIdentity {
    /// By the account's key.
    Key,
    /// By a shared access signature.
    Signature,
    /// Not at all.
    Anonymous,
}

/// A validated connection to Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureBlobSpec {
    /// Name of the account.
    pub account: String,
    /// How it signs in.
    pub identity: AzureIdentity,
    /// URL of the blob service, without a trailing slash; an emulator's has a path.
    pub endpoint: String,
    /// Container and folder it is bound to.
    pub binding: Binding,
    /// PEM file of authorities.
    pub ca_file: Option<String>,
}

/// A validated connection to Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcsSpec {
    /// URL of the service, without a trailing slash.
    pub endpoint: String,
    /// Unsigned requests.
    pub anonymous: bool,
    /// Whether plain http is permitted, also where tokens are asked for.
    pub allow_http: bool,
    /// Whether instance metadata addresses are permitted, also there.
    pub allow_metadata: bool,
    /// Project of the buckets, where it is not that of the service account.
    pub project: Option<String>,
    /// Bucket and folder it is bound to.
    pub binding: Binding,
    /// PEM file of authorities.
    pub ca_file: Option<String>,
}

/// Checks the form of a secret value; the error never quotes it.
pub(super) fn check_secret(name: &str, text: &str) -> Result<()> {
    let control = text.chars().any(char::is_control);
    match name {
        "ACCOUNT_KEY" if control || STANDARD.decode(text).is_err() => Err(contradiction(
            "ACCOUNT_KEY is not base64",
            "copy one of the two keys of the account, without `AccountKey=` before it",
        )),
        "SAS_TOKEN" if control || !text.contains("sig=") || text.contains("://") => {
            Err(contradiction(
                "SAS_TOKEN is not a shared access signature",
                "give the signature alone, `sv=…&sig=…`, without a URL before it",
            ))
        }
        "SERVICE_ACCOUNT_JSON" => {
            let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
            let has = |field: &str| json.as_ref().is_some_and(|json| json[field].is_string());
            if has("client_email") && has("private_key") {
                return Ok(());
            }
            Err(contradiction(
                "SERVICE_ACCOUNT_JSON is not the text of a service account's key file",
                "give the text of the file, not its name: `CREATE SECRET k FROM FILE '…'`, then `SERVICE_ACCOUNT_JSON = SECRET k`",
            ))
        }
        _ => Ok(()),
    }
}

/// Bucket or container, and the folder of it.
fn binding(pull: &Pull<'_>, bucket: &str) -> Result<Binding> {
    let name = pull.text(bucket);
    if let Some(name) = &name {
        check_name(bucket, name)?;
    }
    let mut prefix = pull.text("PREFIX").unwrap_or_default();
    if !prefix.is_empty() {
        if name.is_none() {
            return Err(contradiction(
                format!("PREFIX without {bucket}"),
                format!("a folder is one of a {}; add {bucket}", bucket.to_lowercase()),
            ));
        }
        if prefix.starts_with('/') || prefix.contains("://") {
            return Err(contradiction(
                format!("PREFIX `{prefix}` is not a folder's key"),
                "write it without a leading `/`: `raw/orders/`",
            ));
        }
        if prefix.split('/').any(|level| matches!(level, "." | "..")) {
            return Err(contradiction(
                format!(
                    "PREFIX `{prefix}` holds `.` or `..`, which lead nowhere in a {}",
                    bucket.to_lowercase()
                ),
                "keys are plain text; write the folder's own key: `raw/orders/`",
            ));
        }
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
    }
    Ok(Binding { bucket: name, prefix })
}

fn check_name(option: &str, name: &str) -> Result<()> {
    if name.starts_with("arn:") || check_bucket(name).is_err() {
        return Err(contradiction(
            format!("{option} `{name}` is not a name"),
            "write the name alone, without a URL",
        ));
    }
    Ok(())
}

/// One identity of those that were given.
fn one_identity(given: &[(bool, &str)], kind: &str, hint: &str) -> Result<()> {
    let given: Vec<&str> = given.iter().filter_map(|(set, name)| set.then_some(*name)).collect();
    match given[..] {
        [_] => Ok(()),
        [first, second, ..] => Err(contradiction(
            format!("two identities: {first} and {second}"),
            "a connection acts as one identity; leave one of the two out",
        )),
        [] => Err(contradiction(format!("{kind} CONNECTION needs an identity"), hint)),
    }
}

pub(super) fn azure_blob(pull: &Pull<'_>) -> Result<AzureBlobSpec> {
    let kind = ConnectionKind::AzureBlob;
    let account = required(pull, kind, "ACCOUNT", "acmestore")?;
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !(3..=24).contains(&account.len()) || !account.bytes().all(lower) {
        return Err(contradiction(
            format!("ACCOUNT `{account}` is not a storage account"),
            "its name has 3 to 24 lower-case letters and digits; give it without a URL",
        ));
    }
    let (key, signature) =
        (pull.secret("ACCOUNT_KEY").is_some(), pull.secret("SAS_TOKEN").is_some());
    one_identity(
        &[(key, "ACCOUNT_KEY"), (signature, "SAS_TOKEN"), (pull.flag("ANONYMOUS"), "ANONYMOUS")],
        kind.as_str(),
        "add ACCOUNT_KEY or SAS_TOKEN, best as `SECRET name`, or `ANONYMOUS = TRUE` for public containers",
    )?;
    let identity = match (key, signature) {
        (true, _) => AzureIdentity::Key,
        (_, true) => AzureIdentity::Signature,
        _ => AzureIdentity::Anonymous,
    };
    let endpoint = match pull.text("ENDPOINT") {
        Some(text) => url(pull, &text)?,
        None => format!("https://{account}.blob.core.windows.net"),
    };
    let binding = binding(pull, "CONTAINER")?;
    Ok(AzureBlobSpec { account, identity, endpoint, binding, ca_file: pull.text("CA_FILE") })
}

pub(super) fn gcs(pull: &Pull<'_>) -> Result<GcsSpec> {
    let anonymous = pull.flag("ANONYMOUS");
    one_identity(
        &[
            (pull.secret("SERVICE_ACCOUNT_JSON").is_some(), "SERVICE_ACCOUNT_JSON"),
            (anonymous, "ANONYMOUS"),
        ],
        ConnectionKind::Gcs.as_str(),
        "add `SERVICE_ACCOUNT_JSON = SECRET name`, or `ANONYMOUS = TRUE` for public buckets",
    )?;
    let endpoint = match pull.text("ENDPOINT") {
        Some(text) => url(pull, &text)?,
        None => "https://storage.googleapis.com".to_owned(),
    };
    Ok(GcsSpec {
        endpoint,
        anonymous,
        allow_http: pull.flag("ALLOW_HTTP"),
        allow_metadata: pull.flag("ALLOW_METADATA_ENDPOINT"),
        project: pull.text("PROJECT"),
        binding: binding(pull, "BUCKET")?,
        ca_file: pull.text("CA_FILE"),
    })
}
