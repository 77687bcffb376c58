//! Who a connection is: chain, profile, keys or nobody, and a role on top.
//!
//! Made at the first request, never at `open`. Keys that were given are the only identity then: the
//! environment, shared files and metadata service are not asked. With ENDPOINT nothing goes to AWS
//! but what the person's own profile or chain names.

use crate::error;
use crate::http::{self, Line};
use crate::keep::Kept;
use crate::secrets::Secrets;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
use aws_config::imds;
use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use windlass_types::connection::{Identity, Role};
use windlass_types::{Error, ErrorCode, Name, Result, S3Spec};

/// Attempts of every request, the first included.
pub(crate) const ATTEMPTS: u32 = 5;

/// How long the metadata service may take to answer at all: it is on the same machine or not there.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// The SDK's configuration of a connection, before and after its role.
#[derive(Debug)]
pub(crate) struct Wiring {
    /// As the identity itself: for STS.
    pub(crate) base: SdkConfig,
    /// As what the connection acts as: for S3 and CloudWatch.
    pub(crate) config: SdkConfig,
    /// Where to start.
    pub(crate) region: String,
    /// The way out, shared by all clients.
    pub(crate) line: Arc<Line>,
    /// What to sign with as what the connection acts as; None signs nothing.
    pub(crate) kept: Option<Kept>,
}

/// Reads `CA_FILE` and the shared files, and asks for the region where only the machine knows it.
pub(crate) async fn wire(name: &Name, spec: &S3Spec, secrets: &Secrets) -> Result<Wiring> {
    let line = Arc::new(Line::new(spec, secrets).await?);
    let client = http::client(&line)?;
    let region = start_region(spec).await;
    let identity = identity(name, spec, secrets, &client, &region)?;
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(client)
        .region(Region::new(region.clone()))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        // Time limits are the connection's own, in its HTTP client and its reads.
        .timeout_config(TimeoutConfig::builder().build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // They are kept here, for the SDK's clients and ours together.
        .identity_cache(IdentityCache::no_cache());
    if spec.endpoint.is_none() {
        builder = builder.use_dual_stack(spec.dualstack).use_fips(spec.fips);
    }
    let mut kept = identity.map(|provider| Kept::new(provider, Duration::from_secs(20)));
    builder.set_credentials_provider(kept.clone().map(SharedCredentialsProvider::new));
    let base = builder.build();
    let config = match &spec.role {
        None => base.clone(),
        Some(role) => {
            let provider = RoleProvider {
                connection: name.clone(),
                role: role.clone(),
                client: sts(&base, spec),
            };
            let role = Kept::new(SharedCredentialsProvider::new(provider), Duration::from_secs(40));
            kept = Some(role.clone());
            base.to_builder().credentials_provider(SharedCredentialsProvider::new(role)).build()
        }
    };
    Ok(Wiring { base, config, region, line, kept })
}

/// An STS client: `STS_ENDPOINT` if given, else that of the region.
pub(crate) fn sts(config: &SdkConfig, spec: &S3Spec) -> aws_sdk_sts::Client {
    let mut builder = aws_sdk_sts::config::Builder::from(config);
    if let Some(endpoint) = &spec.sts_endpoint {
        builder = builder.endpoint_url(endpoint).use_fips(false).use_dual_stack(false);
    }
    if spec.endpoint.is_some() && spec.region.is_none() {
        builder = builder.region(Region::new("us-east-1"));
    }
    aws_sdk_sts::Client::from_conf(builder.build())
}

/// Who we are before any role; None signs nothing.
fn identity(
    name: &Name,
    spec: &S3Spec,
    secrets: &Secrets,
    client: &SharedHttpClient,
    region: &str,
) -> Result<Option<SharedCredentialsProvider>> {
    Ok(match &spec.identity {
        Identity::Anonymous => None,
        Identity::Keys { session_token, .. } => {
            let need = |secret: &Option<SecretString>, option: &str| {
                secret.as_ref().map(|text| text.expose_secret().to_owned()).ok_or_else(|| {
                    Error::new(
                        ErrorCode::ConnectionCredentials,
                        format!("connection `{name}` has no value for {option}"),
                    )
                    .hint(format!("alter the connection: `SET {option} = SECRET name`"))
                })
            };
            let token = match session_token {
                Some(_) => Some(need(&secrets.session_token, "AWS_SESSION_TOKEN")?),
                None => None,
            };
            Some(SharedCredentialsProvider::new(Credentials::new(
                need(&secrets.access_key_id, "AWS_ACCESS_KEY_ID")?,
                need(&secrets.secret_access_key, "AWS_SECRET_ACCESS_KEY")?,
                token,
                None,
                "connection",
            )))
        }
        Identity::Profile(profile) => {
            let config = providers(client, region);
            Some(SharedCredentialsProvider::new(
                ProfileFileCredentialsProvider::builder()
                    .profile_name(profile)
                    .configure(&config)
                    .build(),
            ))
        }
        Identity::Chain => {
            Some(SharedCredentialsProvider::new(Chain::new(providers(client, region), region)))
        }
    })
}

fn providers(client: &SharedHttpClient, region: &str) -> ProviderConfig {
    ProviderConfig::default()
        .with_http_client(client.clone())
        .with_region(Some(Region::new(region.to_owned())))
}

/// The metadata client: one try, a second, and not through any proxy.
fn metadata() -> imds::Client {
    imds::Client::builder()
        .configure(&ProviderConfig::default().with_http_client(http::metadata_client()))
        .max_attempts(1)
        .connect_timeout(METADATA_TIMEOUT)
        .read_timeout(METADATA_TIMEOUT)
        .operation_attempt_timeout(METADATA_TIMEOUT)
        .operation_timeout(METADATA_TIMEOUT * 3)
        .build()
}

/// Where to begin: REGION; with ENDPOINT the region most services take; else what the chain says.
async fn start_region(spec: &S3Spec) -> String {
    const FALLBACK: &str = "us-east-1";
    if let Some(region) = &spec.region {
        return region.clone();
    }
    if spec.endpoint.is_some() {
        return FALLBACK.to_owned();
    }
    let found = match &spec.identity {
        Identity::Keys { .. } | Identity::Anonymous => None,
        Identity::Profile(profile) => {
            ProfileFileRegionProvider::builder().profile_name(profile).build().region().await
        }
        Identity::Chain => {
            let environment = EnvironmentVariableRegionProvider::new().region().await;
            match environment {
                Some(region) => Some(region),
                None => {
                    if let Some(region) =
                        ProfileFileRegionProvider::builder().build().region().await
                    {
                        Some(region)
                    } else {
                        let machine = imds::region::ImdsRegionProvider::builder()
                            .imds_client(metadata())
                            .build();
                        // Off EC2 there is nobody to answer; buckets' own regions are found anyway.
                        tokio::time::timeout(METADATA_TIMEOUT, machine.region())
                            .await
                            .unwrap_or_default()
                    }
                }
            }
        }
    };
    found.map_or_else(|| FALLBACK.to_owned(), |region| region.to_string())
}

/// The default chain, built when first asked.
#[derive(Debug)]
struct Chain {
    config: ProviderConfig,
    region: Region,
    built:
        tokio::sync::OnceCell<aws_config::default_provider::credentials::DefaultCredentialsChain>,
}

impl Chain {
    fn new(config: ProviderConfig, region: &str) -> Self {
        Self { config, region: Region::new(region.to_owned()), built: tokio::sync::OnceCell::new() }
    }

    async fn credentials(&self) -> provider::Result {
        let chain = self
            .built
            .get_or_init(|| async {
                aws_config::default_provider::credentials::DefaultCredentialsChain::builder()
                    .configure(self.config.clone())
                    .region(self.region.clone())
                    .imds_client(metadata())
                    .build()
                    .await
            })
            .await;
        chain.provide_credentials().await
    }
}

impl ProvideCredentials for Chain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

/// Assumes a role. The SDK's own provider knows no source identity.
#[derive(Debug)]
struct RoleProvider {
    connection: Name,
    role: Role,
    client: aws_sdk_sts::Client,
}

impl RoleProvider {
    async fn credentials(&self) -> provider::Result {
        let role = &self.role;
        let answer = self
            .client
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(&role.session_name)
            .set_external_id(role.external_id.clone())
            .set_source_identity(role.source_identity.clone())
            .duration_seconds(i32::try_from(role.duration).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|failure| {
                let error = error::map("AssumeRole", &role.arn, &self.connection, failure);
                CredentialsError::provider_error(error)
            })?;
        let session = answer
            .credentials
            .ok_or_else(|| CredentialsError::unhandled("the answer holds no credentials"))?;
        let expiry =
            SystemTime::try_from(session.expiration).map_err(CredentialsError::unhandled)?;
        tracing::debug!(connection = %self.connection, role = %role.arn, "role assumed");
        Ok(Credentials::new(
            session.access_key_id,
            session.secret_access_key,
            Some(session.session_token),
            Some(expiry),
            "role",
        ))
    }
}

impl ProvideCredentials for RoleProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
