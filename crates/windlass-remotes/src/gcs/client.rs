//! Requests to Google Cloud Storage: addresses, tokens, and what refusals mean.

use super::token::Account;
use crate::cloud::no_bucket;
use crate::error::{absent, failed};
use crate::http::{Http, Reply, meaning, said};
use crate::names::{segment, segments};
use crate::secrets::RemoteSecrets;
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use std::sync::Arc;
use windlass_types::connection::{GcsSpec, RemoteSpec};
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// A client of one service account, or of nobody.
#[derive(Clone)]
pub(super) struct Client {
    http: Http,
    endpoint: String,
    account: Option<Arc<Account>>,
    project: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn open(
        gcs: &GcsSpec,
        spec: &RemoteSpec,
        secrets: &Arc<RemoteSecrets>,
    ) -> Result<Self> {
        let account = match secrets.get("SERVICE_ACCOUNT_JSON") {
            Some(json) if !gcs.anonymous => {
                Some(Arc::new(Account::open(json, gcs, spec, secrets)?))
            }
            _ => None,
        };
        let known = account.as_ref().and_then(|account| account.project.clone());
        Ok(Self {
            http: Http::open(&gcs.endpoint, gcs.ca_file.as_deref(), spec, secrets, false)?,
            endpoint: gcs.endpoint.clone(),
            account,
            project: gcs.project.clone().or(known),
        })
    }

    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_deref()
    }

    /// What connections have in common that can copy from each other.
    pub(super) fn copy_group(&self) -> Option<String> {
        let account = self.account.as_ref()?;
        Some(format!("gcs {} {}", self.endpoint, account.email))
    }

    /// The project whose buckets are meant.
    pub(super) fn project(&self) -> Result<&str> {
        self.project.as_deref().ok_or_else(|| {
            Error::new(ErrorCode::UsageInvalid, "buckets belong to a project, and none is named")
                .hint("set PROJECT, or name a bucket")
        })
    }

    /// Scheme, host and port of the service.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Address of the buckets.
    pub(super) fn buckets(&self) -> String {
        format!("{}/storage/v1/b", self.endpoint)
    }

    /// Address of the objects of a bucket.
    pub(super) fn objects(&self, bucket: &str) -> String {
        format!("{}/{}/o", self.buckets(), segment(bucket))
    }

    /// Address of what is known of an object.
    pub(super) fn object(&self, object: &ObjectPath) -> String {
        format!("{}/{}", self.objects(&object.bucket), segment(&object.key))
    }

    /// Address of an object's bytes, from which all its metadata comes too.
    pub(super) fn bytes(&self, object: &ObjectPath) -> String {
        // Levels of dots would be taken for steps in the address.
        let dots = object.key.split('/').any(|level| matches!(level, "." | ".."));
        let key = if dots { segment(&object.key) } else { segments(&object.key) };
        format!("{}/{}/{key}", self.endpoint, segment(&object.bucket))
    }

    /// Address to which new objects are sent.
    pub(super) fn uploads(&self, bucket: &str) -> String {
        format!("{}/upload/storage/v1/b/{}/o", self.endpoint, segment(bucket))
    }

    /// A request to be filled, with a token where there is an account.
    pub(super) async fn request(&self, method: Method, url: &str) -> Result<RequestBuilder> {
        let request = self.http.request(method, url);
        Ok(match &self.account {
            Some(account) => request.bearer_auth(account.token().await?.expose_secret()),
            None => request,
        })
    }

    /// Sends; answers whatever the service answered. `length` is that of the body.
    pub(super) async fn send(&self, request: RequestBuilder, length: u64) -> Result<Reply> {
        let reply = self.http.send(request, length).await?;
        if reply.status() == StatusCode::UNAUTHORIZED
            && let Some(account) = &self.account
        {
            account.forget().await;
        }
        Ok(reply)
    }

    /// Sends a request with a small body or none; answers the JSON of a good answer.
    pub(super) async fn json(
        &self,
        method: Method,
        url: &str,
        body: Option<Value>,
        doing: &str,
        object: &ObjectPath,
    ) -> Result<Value> {
        let request = self.request(method.clone(), url).await?;
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None if method == Method::POST => request.header("content-length", 0),
            None => request,
        };
        let reply = self.send(request, 0).await?;
        self.answer(reply, doing, object).await
    }

    /// The JSON of a good answer; null of an empty one.
    pub(super) async fn answer(
        &self,
        reply: Reply,
        doing: &str,
        object: &ObjectPath,
    ) -> Result<Value> {
        if !reply.status().is_success() {
            return Err(self.refusal(reply, doing, object).await);
        }
        let text = reply.text().await?;
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|error| {
            failed("the service's answer cannot be read")
                .source(error)
                .hint("check that ENDPOINT is the address of Google Cloud Storage")
        })
    }

    /// What a refusal means.
    pub(super) async fn refusal(&self, reply: Reply, doing: &str, object: &ObjectPath) -> Error {
        let status = reply.status();
        let text = reply.text().await.unwrap_or_default();
        let said = said(&text).unwrap_or_default();
        let shown = if object.key.is_empty() { &object.bucket } else { &object.key };
        let error = if status == StatusCode::NOT_FOUND {
            let bucket = object.key.is_empty()
                || said == "NoSuchBucket"
                || said.contains("bucket does not exist");
            let cause = format!("HTTP 404: {said}");
            if bucket { no_bucket(&object.bucket) } else { absent(shown) }.source(cause)
        } else {
            meaning(status, &said, doing, shown)
        };
        self.http.clean(error)
    }

    /// Deletes an object that was stored wrong, if it is still the one that was written.
    pub(super) async fn discard(&self, object: &ObjectPath, written: &Value) {
        let Some(generation) = written["generation"].as_str() else { return };
        let url = format!("{}?ifGenerationMatch={generation}", self.object(object));
        if let Err(error) = self.json(Method::DELETE, &url, None, "delete", object).await {
            tracing::warn!(%object, error = error.chain(), "a corrupt object could not be removed");
        }
    }
}
