//! Who are we, and may we become the role?

use super::diagnose::{Facts, Finding, Scene, diagnose, diagnose_error};
use super::silence::no_credentials;
use super::{Row, Session, Verdict, domain, masked};
use crate::policy::Verb;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::error::SdkError;
use windlass_types::Error;
use windlass_types::connection::{Identity, S3Spec, SecretSource};

/// Where STS is asked: nowhere, when the service is not AWS and has none.
fn sts_url(spec: &S3Spec) -> Option<String> {
    let region = spec.region.as_deref().unwrap_or("us-east-1");
    match (&spec.sts_endpoint, &spec.endpoint) {
        (Some(sts), _) => Some(sts.clone()),
        (None, Some(_)) => None,
        (None, None) => Some(format!("https://sts.{region}.{}", domain(region))),
    }
}

/// Where the credentials came from, for people.
fn origin(spec: &S3Spec, credentials: &Credentials) -> String {
    match &spec.identity {
        Identity::Keys { access_key_id: SecretSource::Named(name), .. } => {
            format!("the secret `{name}`")
        }
        Identity::Keys { .. } => "the connection's options".to_owned(),
        Identity::Profile(profile) => format!("the profile `{profile}`"),
        Identity::Anonymous => "nowhere".to_owned(),
        Identity::Chain => match provider(credentials) {
            Some(provider) => format!("the default chain ({provider})"),
            None => "the default chain".to_owned(),
        },
    }
}

/// The name of the provider, which only the redacted debug text tells.
fn provider(credentials: &Credentials) -> Option<String> {
    let text = format!("{credentials:?}");
    let rest = text.split("provider_name: \"").nth(1)?;
    rest.split('"').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

impl Session {
    /// Resolves the credentials, and asks STS whose they are where there is one.
    pub(super) async fn identity(&mut self) {
        let row = Row::required("resolve identity", Some(Verb::Identify));
        let spec = self.store.spec().clone();
        let store = self.store.clone();
        let limits = self.limits;
        let mut scene = self.scene(Verb::Identify, None, "");
        scene.endpoint = sts_url(&spec).unwrap_or(scene.endpoint);
        let late = Finding::new(
            "timeout: no credentials came in time",
            "a credential source hangs: the instance metadata service, a credential process or single sign-on; give AWS_PROFILE or keys",
        );
        let work = async {
            if spec.identity == Identity::Anonymous {
                return Verdict::Passed(None, "anonymous: requests are not signed".to_owned());
            }
            let config = match store.identity_config().await {
                Ok(config) => config,
                Err(error) => return Verdict::Failed(diagnose_error(&error, &scene)),
            };
            let Some(source) = config.credentials_provider() else {
                return Verdict::Failed(no_credentials(&scene));
            };
            let credentials = match source.provide_credentials().await {
                Ok(credentials) => credentials,
                Err(error) => return Verdict::Failed(of_credentials(&error, &scene)),
            };
            let id = masked(credentials.access_key_id());
            let whose = format!("access key id `{id}` from {}", origin(&spec, &credentials));
            let client = match store.sts_client(true).await {
                Ok(Some(client)) => client,
                Ok(None) => return Verdict::Passed(Some(id), whose),
                Err(error) => return Verdict::Failed(diagnose_error(&error, &scene)),
            };
            let timeouts = TimeoutConfig::builder().operation_timeout(limits.step / 2).build();
            let config = client
                .config()
                .to_builder()
                .retry_config(RetryConfig::standard().with_max_attempts(2))
                .timeout_config(timeouts);
            let client = aws_sdk_sts::Client::from_conf(config.build());
            scene.key_id = Some(id.clone());
            match client.get_caller_identity().send().await {
                Ok(who) => {
                    let arn = who.arn().unwrap_or("somebody").to_owned();
                    Verdict::Passed(Some(id), format!("`{arn}`, {whose}"))
                }
                Err(error) => {
                    let finding = diagnose(&Facts::of(&error), &scene);
                    if finding.fatal {
                        return Verdict::Failed(finding);
                    }
                    // Not knowing who we are does not keep us from working.
                    let message =
                        format!("{whose}; STS did not say who that is: {}", finding.message);
                    let answered = matches!(error, SdkError::ServiceError(_));
                    if answered {
                        Verdict::Passed(Some(id), message)
                    } else {
                        Verdict::Warning(Some(Some(id)), Finding { message, ..finding })
                    }
                }
            }
        };
        let id = self.step(row, late, work).await;
        self.key_id = id.flatten();
    }

    /// Assumes the role, if there is one.
    pub(super) async fn role(&mut self) {
        let row = Row::required("assume role", Some(Verb::AssumeRole));
        let spec = self.store.spec().clone();
        let Some(role) = &spec.role else {
            self.skip(&row, "the connection has no AWS_ROLE");
            return;
        };
        let store = self.store.clone();
        let mut scene = self.scene(Verb::AssumeRole, None, "");
        scene.place.clone_from(&role.arn);
        scene.endpoint = sts_url(&spec).unwrap_or_default();
        let late = super::silence::silent(&scene, None);
        let work = async {
            let config = match store.sdk_config().await {
                Ok(config) => config,
                Err(error) => return Verdict::Failed(diagnose_error(&error, &scene)),
            };
            let Some(source) = config.credentials_provider() else {
                return Verdict::Failed(no_credentials(&scene));
            };
            match source.provide_credentials().await {
                Ok(credentials) => {
                    let until = credentials
                        .expiry()
                        .map(|time| {
                            let time = chrono::DateTime::<chrono::Utc>::from(time);
                            format!(", until {}", time.format("%H:%M:%SZ"))
                        })
                        .unwrap_or_default();
                    let message =
                        format!("`{}` as session `{}`{until}", role.arn, role.session_name);
                    Verdict::Passed(masked(credentials.access_key_id()), message)
                }
                Err(error) => Verdict::Failed(of_credentials(&error, &scene)),
            }
        };
        // From here on the role's own key id is the one that requests carry.
        if let Some(id) = self.step(row, late, work).await {
            self.key_id = Some(id);
        }
    }
}

/// Says why no credentials came.
fn of_credentials(error: &CredentialsError, scene: &Scene) -> Finding {
    if matches!(error, CredentialsError::CredentialsNotLoaded(_)) && scene.verb == Verb::Identify {
        return no_credentials(scene);
    }
    if let Some(ours) = crate::error::find::<Error>(error) {
        return diagnose_error(ours, scene);
    }
    let facts = Facts::of_chain(error);
    let finding = diagnose(&facts, scene);
    if let CredentialsError::InvalidConfiguration(_) = error {
        return Finding::new(
            format!("credentials cannot be resolved: {}", super::diagnose::chain(error)),
            "check AWS_PROFILE and the files `~/.aws/config` and `~/.aws/credentials`",
        );
    }
    if finding.message.starts_with("no answer") {
        return Finding::new(
            format!("credentials cannot be resolved: {}", super::diagnose::chain(error)),
            "check the identity options of the connection, or the profile it names",
        );
    }
    finding
}
