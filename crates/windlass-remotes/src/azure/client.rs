//! Requests to Azure: addresses, signatures, and what refusals mean.

use super::sign::{Signed, blob_signature};
use super::xml::{self, Page};
use crate::cloud::{corrupt, no_bucket};
use crate::error::{absent, changed, exists, failed};
use crate::http::{Http, Reply};
use crate::names::{segment, segments};
use crate::secrets::RemoteSecrets;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::Method;
use std::sync::Arc;
use windlass_types::connection::{AzureBlobSpec, AzureIdentity, RemoteSpec};
use windlass_types::{Error, ErrorCode, Name, ObjectPath, Result};

/// Version of the protocol. Azurite and the service know it.
const VERSION: &str = "2021-12-02";

/// What is asked of the service.
#[derive(Debug)]
pub(super) struct Call {
    method: &'static str,
    /// For messages: the blob, or the container where there is none.
    object: ObjectPath,
    query: Vec<(&'static str, String)>,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    fn new(method: &'static str, object: &ObjectPath) -> Self {
        let object = object.clone();
        Self { method, object, query: Vec::new(), headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn get(object: &ObjectPath) -> Self {
        Self::new("GET", object)
    }

    pub(super) fn head(object: &ObjectPath) -> Self {
        Self::new("HEAD", object)
    }

    pub(super) fn put(object: &ObjectPath) -> Self {
        Self::new("PUT", object)
    }

    pub(super) fn delete(object: &ObjectPath) -> Self {
        Self::new("DELETE", object)
    }

    /// About a whole container; about the account where its name is empty.
    pub(super) fn container(method: &'static str, bucket: &str) -> Self {
        let object = ObjectPath { bucket: bucket.to_owned(), key: String::new() };
        let call = Self::new(method, &object);
        if bucket.is_empty() { call } else { call.query("restype", "container".to_owned()) }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(super) fn version(self, version: Option<&str>) -> Self {
        match version {
            Some(version) => self.query("versionid", version),
            None => self,
        }
    }

    /// Adds a header; `name` in lower case.
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

/// A client of one account.
#[derive(Clone)]
pub(super) struct Client {
    http: Http,
    endpoint: String,
    account: String,
    identity: AzureIdentity,
    secrets: Arc<RemoteSecrets>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn open(
        azure: &AzureBlobSpec,
        spec: &RemoteSpec,
        secrets: &Arc<RemoteSecrets>,
    ) -> Result<Self> {
        let http = Http::open(&azure.endpoint, azure.ca_file.as_deref(), spec, secrets, false)?;
        Ok(Self {
            http,
            endpoint: azure.endpoint.clone(),
            account: azure.account.clone(),
            identity: azure.identity,
            secrets: Arc::clone(secrets),
        })
    }

    /// Two connections with the key may copy from each other; what a signature allows is not known.
    pub(super) fn copy_group(&self, name: &Name) -> Option<String> {
        let who = match self.identity {
            AzureIdentity::Key => "key",
            AzureIdentity::Signature => name.as_str(),
            AzureIdentity::Anonymous => return None,
        };
        Some(format!("azure_blob {} {} {who}", self.endpoint, self.account))
    }

    /// Address of a blob, container or the account, without query.
    fn url(&self, object: &ObjectPath) -> String {
        let mut url = format!("{}/{}", self.endpoint, segment(&object.bucket));
        if !object.key.is_empty() {
            url.push('/');
            url.push_str(&segments(&object.key));
        }
        url
    }

    /// Address with what a shared access signature adds.
    pub(super) fn own_url(&self, object: &ObjectPath) -> String {
        let url = self.url(object);
        match self.token() {
            Some(token) => format!("{url}?{token}"),
            None => url,
        }
    }

    fn token(&self) -> Option<&str> {
        self.secrets.get("SAS_TOKEN").map(|token| token.trim_start_matches('?'))
    }

    /// Address that whoever has it may use; None where there is no key to sign with.
    pub(super) fn signed_url(
        &self,
        object: &ObjectPath,
        permissions: &str,
        expires: DateTime<Utc>,
    ) -> Result<Option<String>> {
        let Some(key) = self.secrets.get("ACCOUNT_KEY") else { return Ok(None) };
        let blob = (object.bucket.as_str(), object.key.as_str());
        let signature = blob_signature(&self.account, key, blob, permissions, expires)?;
        Ok(Some(format!("{}?{signature}", self.url(object))))
    }

    /// Address from which the service itself can read.
    pub(super) fn readable_url(&self, object: &ObjectPath, until: DateTime<Utc>) -> Result<String> {
        Ok(self.signed_url(object, "r", until)?.unwrap_or_else(|| self.own_url(object)))
    }

    /// Sends; answers whatever the service answered.
    pub(super) async fn ask(&self, call: Call) -> Result<Reply> {
        let Call { method, object, query, mut headers, body } = call;
        headers.push(("x-ms-version".to_owned(), VERSION.to_owned()));
        let mut url = self.url(&object);
        let mut mark = '?';
        for (name, value) in &query {
            url = format!("{url}{mark}{name}={}", segment(value));
            mark = '&';
        }
        let bad =
            |error| Error::new(ErrorCode::Internal, "an address cannot be made").source(error);
        match self.identity {
            AzureIdentity::Key => {
                let date = Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
                headers.push(("x-ms-date".to_owned(), date));
                let parsed = url::Url::parse(&url).map_err(bad)?;
                let (path, length) = (parsed.path(), body.len());
                let signed = Signed { method, path, query: &query, headers: &headers, length };
                let key = self.secrets.get("ACCOUNT_KEY").unwrap_or_default();
                let value = signed.authorization(&self.account, key)?;
                headers.push(("authorization".to_owned(), value));
            }
            AzureIdentity::Signature => {
                url = format!("{url}{mark}{}", self.token().unwrap_or_default());
            }
            AzureIdentity::Anonymous => {}
        }
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|error| Error::new(ErrorCode::Internal, "no such method").source(error))?;
        let mut request = self.http.request(method.clone(), &url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let length = body.len() as u64;
        if method == Method::PUT {
            request = request.header("content-length", length).body(body);
        }
        self.http.send(request, length).await
    }

    /// Sends; answers only if the service did it.
    pub(super) async fn send(&self, call: Call, doing: &str) -> Result<Reply> {
        let object = call.object.clone();
        let reply = self.ask(call).await?;
        self.good(reply, doing, &object).await
    }

    /// The answer if it is a good one; else what it means.
    pub(super) async fn good(
        &self,
        reply: Reply,
        doing: &str,
        object: &ObjectPath,
    ) -> Result<Reply> {
        if reply.status().is_success() {
            return Ok(reply);
        }
        let code = reply.header("x-ms-error-code").unwrap_or_default().to_owned();
        let known = meaning(&code, doing, object);
        match known {
            Some(error) => Err(error.source(format!("HTTP {}: {code}", reply.status().as_u16()))),
            None if reply.status() == reqwest::StatusCode::NOT_FOUND && object.key.is_empty() => {
                Err(no_bucket(&object.bucket))
            }
            None => Err(reply.refusal(doing, shown(object)).await),
        }
    }

    /// Lists one page: blobs of a container, or containers.
    pub(super) async fn page(
        &self,
        bucket: Option<&str>,
        prefix: &str,
        levels: bool,
        rows: &'static str,
        marker: Option<&str>,
    ) -> Result<Page> {
        let mut call = Call::container("GET", bucket.unwrap_or_default())
            .query("comp", "list")
            .query("maxresults", rows);
        if bucket.is_some() && levels {
            call = call.query("delimiter", "/");
        }
        if !prefix.is_empty() {
            call = call.query("prefix", prefix);
        }
        if let Some(marker) = marker {
            call = call.query("marker", marker);
        }
        self.read_page(call).await
    }

    /// Whether a container holds nothing at all.
    pub(super) async fn is_empty(&self, bucket: &str) -> Result<bool> {
        let call = Call::container("GET", bucket)
            .query("comp", "list")
            .query("include", "snapshots,uncommittedblobs,versions")
            .query("maxresults", "1");
        let page = self.read_page(call).await?;
        Ok(page.found.is_empty() && page.next.is_none())
    }

    async fn read_page(&self, call: Call) -> Result<Page> {
        let text = self.send(call, "list").await?.text().await?;
        xml::read(&text).map_err(|error| {
            failed("the service's listing cannot be read")
                .source(error)
                .hint("check that ENDPOINT is the address of a blob service")
        })
    }
}

fn shown(object: &ObjectPath) -> &str {
    if object.key.is_empty() { &object.bucket } else { &object.key }
}

/// What a code of the service means; None where its status says enough.
fn meaning(code: &str, doing: &str, object: &ObjectPath) -> Option<Error> {
    let key = shown(object);
    let error = |code, message: String| Some(Error::new(code, message));
    match code {
        "AuthenticationFailed" | "InvalidAuthenticationInfo" | "NoAuthenticationInformation" => {
            error(
                ErrorCode::ConnectionCredentials,
                "the service does not accept the credentials".to_owned(),
            )
            .map(|error| {
                error.hint("check ACCOUNT, ACCOUNT_KEY or SAS_TOKEN (it may have expired or been replaced), and this machine's clock")
            })
        }
        "AuthorizationFailure" => {
            error(ErrorCode::ConnectionDenied, format!("no permission to {doing} `{key}`")).map(
                |error| {
                    error.hint("check ACCOUNT, ACCOUNT_KEY or SAS_TOKEN, and the account's network rules")
                },
            )
        }
        "AuthorizationPermissionMismatch"
        | "AuthorizationProtocolMismatch"
        | "AuthorizationResourceTypeMismatch"
        | "AuthorizationServiceMismatch"
        | "AuthorizationSourceIPMismatch"
        | "AccountIsDisabled"
        | "InsufficientAccountPermissions"
        | "PublicAccessNotPermitted"
        | "BlobImmutableDueToPolicy" => {
            error(ErrorCode::ConnectionDenied, format!("no permission to {doing} `{key}`"))
                .map(|error| error.hint("ask for the right, or use other credentials"))
        }
        "ContainerNotFound" => Some(no_bucket(&object.bucket)),
        "BlobNotFound" | "CannotVerifyCopySource" => Some(absent(key)),
        "BlobAlreadyExists" | "ContainerAlreadyExists" => Some(exists(key)),
        "ConditionNotMet" | "SourceConditionNotMet" | "TargetConditionNotMet" => {
            Some(changed(key))
        }
        // Blocks go when somebody else commits the blob.
        "InvalidBlockList" => Some(changed(key)),
        "BlobArchived" | "BlobBeingRehydrated" => {
            error(ErrorCode::ObjectArchived, format!("`{key}` is archived"))
                .map(|error| error.hint("change its access tier and wait until it is readable"))
        }
        "Md5Mismatch" => Some(corrupt(key)),
        "SnapshotsPresent" => error(
            ErrorCode::ConnectionRejected,
            format!("`{key}` has snapshots, which would go with it"),
        )
        .map(|error| error.hint("delete the snapshots first")),
        "LeaseIdMissing" | "LeaseIdMismatchWithBlobOperation" | "LeaseAlreadyPresent" => {
            error(ErrorCode::ConnectionBusy, format!("`{key}` is leased by somebody"))
        }
        "ContainerBeingDeleted" | "ServerBusy" | "OperationTimedOut" | "InternalError" => error(
            ErrorCode::ConnectionBusy,
            format!("the service is busy and cannot {doing} `{key}`"),
        ),
        "InvalidResourceName" => error(
            ErrorCode::PathInvalid,
            format!("`{}` or `{key}` is not a name the service takes", object.bucket),
        ),
        "InvalidMetadata" | "EmptyMetadataKey" | "MetadataTooLarge" => {
            error(ErrorCode::OptionInvalid, format!("Azure cannot hold the metadata of `{key}`"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_service_become_ours() {
        let object = ObjectPath { bucket: "box".to_owned(), key: "a/b".to_owned() };
        let said = |code: &str| meaning(code, "write", &object).map(|error| error.code());
        assert_eq!(said("AuthenticationFailed"), Some(ErrorCode::ConnectionCredentials));
        assert_eq!(said("AuthorizationPermissionMismatch"), Some(ErrorCode::ConnectionDenied));
        assert_eq!(said("ContainerNotFound"), Some(ErrorCode::BucketNotFound));
        assert_eq!(said("InvalidBlockList"), Some(ErrorCode::ObjectChanged));
        assert_eq!(said("Md5Mismatch"), Some(ErrorCode::ObjectCorrupt));
        assert_eq!(said("SomethingNew"), None);
    }
}
