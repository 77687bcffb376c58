//! Credentials, kept until shortly before they end: one place for the SDK's clients and our own.
//!
//! The wire client signs thousands of requests a second, so looking is a lock and a clone; fetching is
//! done by one task while the others wait. Who provides them is [`crate::credentials`]'s business.

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Credentials that name no end are asked for again after this time: files and environments change.
const UNDATED: Duration = Duration::from_mins(15);

/// Credentials are renewed this long before their end, or up to half of it later, so that many
/// processes do not ask at once.
const BEFORE: Duration = Duration::from_secs(10);

/// How long nobody asks after new ones were refused while the old ones still work.
const AGAIN: Duration = Duration::from_secs(1);

/// A provider and what it gave last. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Kept(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    provider: SharedCredentialsProvider,
    patience: Duration,
    held: Mutex<Option<Held>>,
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Held {
    credentials: Credentials,
    renew: SystemTime,
}

impl Kept {
    /// Keeps what `provider` gives; waits for it at most `patience`.
    pub(crate) fn new(provider: SharedCredentialsProvider, patience: Duration) -> Self {
        Self(Arc::new(Inner {
            provider,
            patience,
            held: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }))
    }

    /// Gives the credentials to sign with now; asks for them where that is due.
    pub(crate) async fn get(&self) -> provider::Result {
        if let Some(credentials) = self.fresh(SystemTime::now()) {
            return Ok(credentials);
        }
        Box::pin(self.fetch()).await
    }

    async fn fetch(&self) -> provider::Result {
        let _alone = self.0.fetching.lock().await;
        if let Some(credentials) = self.fresh(SystemTime::now()) {
            return Ok(credentials);
        }
        let asked = tokio::time::timeout(self.0.patience, self.0.provider.provide_credentials());
        let fetched = asked
            .await
            .unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(self.0.patience)));
        let now = SystemTime::now();
        match fetched {
            Ok(credentials) => {
                let mut byte = [0];
                let _ = getrandom::fill(&mut byte);
                let later = BEFORE / 2 * u32::from(byte[0]) / 256;
                let renew = match credentials.expiry() {
                    Some(end) => end.checked_sub(BEFORE.saturating_sub(later)).unwrap_or(now),
                    None => now + UNDATED,
                };
                *self.held() = Some(Held { credentials: credentials.clone(), renew });
                Ok(credentials)
            }
            // What still works is better than a service that does not answer just now.
            Err(error) => match self.held().as_mut() {
                Some(held) if held.credentials.expiry().is_some_and(|end| end > now) => {
                    held.renew = now + AGAIN;
                    Ok(held.credentials.clone())
                }
                _ => Err(error),
            },
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, now: SystemTime) -> Option<Credentials> {
        self.held().as_ref().filter(|held| held.renew > now).map(|held| held.credentials.clone())
    }
}

impl ProvideCredentials for Kept {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Gives a new session at every call, and none after the second.
    #[derive(Debug)]
    struct Sessions(Arc<AtomicU32>, Duration);

    impl ProvideCredentials for Sessions {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            future::ProvideCredentials::ready(if number < 2 {
                let end = SystemTime::now() + self.1;
                Ok(Credentials::new(format!("AKIA{number}"), "secret", None, Some(end), "test"))
            } else {
                Err(CredentialsError::not_loaded("gone"))
            })
        }
    }

    fn kept(lifetime: Duration) -> (Kept, Arc<AtomicU32>) {
        let calls = Arc::new(AtomicU32::new(0));
        let provider = SharedCredentialsProvider::new(Sessions(Arc::clone(&calls), lifetime));
        (Kept::new(provider, Duration::from_secs(1)), calls)
    }

    #[tokio::test]
    async fn credentials_are_fetched_once_until_shortly_before_their_end() {
        let (kept, calls) = kept(Duration::from_hours(1));
        let all = futures::future::join_all((0..50).map(|_| kept.get())).await;
        assert!(all.iter().all(|it| it.as_ref().unwrap().access_key_id() == "AKIA0"));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_still_works_is_used_while_no_new_ones_are_to_be_had() {
        let (kept, calls) = kept(Duration::from_secs(4));
        for expected in ["AKIA0", "AKIA1", "AKIA1"] {
            assert_eq!(kept.get().await.unwrap().access_key_id(), expected);
        }
        assert_eq!(kept.get().await.unwrap().access_key_id(), "AKIA1");
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }
}
