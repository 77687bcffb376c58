//! Access tokens: what a service account signs is exchanged for one, which is kept until it ends.

use crate::error::failed;
use crate::http::Http;
use crate::names::segment;
use crate::secrets::RemoteSecrets;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use windlass_types::connection::{GcsSpec, RemoteSpec, check_address};
use windlass_types::{Error, ErrorCode, Result};

/// A token is renewed so long before it ends.
const EARLY: Duration = Duration::from_mins(2);

/// A service account, and the token it was given.
pub(super) struct Account {
    /// Its e-mail address.
    pub(super) email: String,
    /// Its project.
    pub(super) project: Option<String>,
    key_id: String,
    key: RsaKeyPair,
    address: String,
    scope: &'static str,
    http: Http,
    token: Mutex<Option<(SecretString, Instant)>>,
}

impl Account {
    /// Reads the key file; nothing is asked yet.
    pub(super) fn open(
        json: &str,
        gcs: &GcsSpec,
        spec: &RemoteSpec,
        secrets: &Arc<RemoteSecrets>,
    ) -> Result<Self> {
        let bad = |what: &str| {
            Error::new(ErrorCode::OptionInvalid, format!("SERVICE_ACCOUNT_JSON {what}"))
                .hint("give the text of the key file as Google Cloud made it")
        };
        let file: Value = serde_json::from_str(json).map_err(|_| bad("is not JSON"))?;
        let text = |field: &str| file[field].as_str().map(str::to_owned);
        let email = text("client_email").ok_or_else(|| bad("has no `client_email`"))?;
        let pem =
            SecretString::from(text("private_key").ok_or_else(|| bad("has no `private_key`"))?);
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose_secret().as_bytes())
            .map_err(|_| bad("has a `private_key` that is not PEM"))?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|_| bad("has a `private_key` that is no RSA key"))?;
        let address =
            text("token_uri").unwrap_or_else(|| "https://oauth2.googleapis.com/token".to_owned());
        // A key file comes from elsewhere: where it sends us passes the same door as ENDPOINT.
        let address = check_address("token_uri", &address, gcs.allow_http, gcs.allow_metadata)?;
        let scope = if spec.read_only {
            "https://www.googleapis.com/auth/devstorage.read_only"
        } else {
            "https://www.googleapis.com/auth/devstorage.read_write"
        };
        Ok(Self {
            email,
            project: text("project_id"),
            key_id: text("private_key_id").unwrap_or_default(),
            key,
            http: Http::open(&address, gcs.ca_file.as_deref(), spec, secrets, false)?,
            address,
            scope,
            token: Mutex::default(),
        })
    }

    /// Signs with SHA-256.
    pub(super) fn sign(&self, text: &[u8]) -> Result<Vec<u8>> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature)
            .map_err(|_| Error::new(ErrorCode::Internal, "signing failed"))?;
        Ok(signature)
    }

    /// What is exchanged for a token.
    fn assertion(&self, now: i64) -> Result<String> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let claims = json!({
            "iss": self.email,
            "scope": self.scope,
            "aud": self.address,
            "iat": now,
            "exp": now + 3600,
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", encode(&header), encode(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(text.as_bytes())?);
        Ok(format!("{text}.{signature}"))
    }

    /// The token to send; asks for one where there is none or it ends soon.
    pub(super) async fn token(&self) -> Result<SecretString> {
        // Held while one is asked for: those who wait shall not ask too.
        let mut kept = self.token.lock().await;
        if let Some((token, ends)) = &*kept
            && Instant::now() + EARLY < *ends
        {
            return Ok(token.clone());
        }
        let body = format!(
            "grant_type={}&assertion={}",
            segment("urn:ietf:params:oauth:grant-type:jwt-bearer"),
            self.assertion(chrono::Utc::now().timestamp())?
        );
        let request = self
            .http
            .request(Method::POST, &self.address)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let reply = self.http.send(request, 0).await?;
        let status = reply.status();
        let answer: Value = serde_json::from_str(&reply.text().await?).unwrap_or_default();
        let token = answer["access_token"].as_str().filter(|_| status.is_success());
        let Some(token) = token else {
            return Err(self.http.clean(refused(status.as_u16(), &answer)));
        };
        let token = SecretString::from(token.to_owned());
        let lasts = Duration::from_secs(answer["expires_in"].as_u64().unwrap_or(3600));
        *kept = Some((token.clone(), Instant::now() + lasts));
        Ok(token)
    }

    /// Forgets a token that was not accepted.
    pub(super) async fn forget(&self) {
        *self.token.lock().await = None;
    }
}

fn refused(status: u16, answer: &Value) -> Error {
    let code = answer["error"].as_str().unwrap_or_default();
    let told = answer["error_description"].as_str().unwrap_or_default();
    let cause = format!("HTTP {status}: {code} {told}");
    if matches!(status, 400 | 401 | 403) {
        return Error::new(
            ErrorCode::ConnectionCredentials,
            "the service account was given no token",
        )
        .source(cause.trim_end().to_owned())
        .hint("check that its key was not deleted or disabled, and this machine's clock");
    }
    failed("the service account was given no token").source(cause.trim_end().to_owned())
}
