//! Jobs and runs: what statements say of them, for the scheduler; what the scheduler needs of us.

mod arrivals;
mod files;
pub(crate) mod journal;
mod kind;
mod logs;
mod mail;
mod one_off;
mod report;
mod spec;
mod statements;
mod tables;
pub(crate) mod write;

pub(crate) use kind::Here;
pub(crate) use logs::run_rows;
pub(crate) use one_off::ended;
pub(crate) use tables::{EVENTS, ITEMS, JOBS, RUNS};

use crate::windlass::{Inner, Windlass};
use async_trait::async_trait;
use secrecy::SecretString;
use std::sync::{Arc, Weak};
use windlass_jobs::{AlertSettings, Kinds, Scheduler, SchedulerOptions, SecretSource, SystemClock};
use windlass_types::{Error, ErrorCode, FabricId, Name, Result};

/// The word of the kind that moves files.
pub(crate) const FILES: &str = "files";

impl Windlass {
    /// The scheduler of this process, made at first use. Without [`Scheduler::run_until`] it runs
    /// only what this process itself begins.
    pub(crate) fn scheduler(&self) -> &Scheduler {
        self.inner.scheduler.get_or_init(|| {
            // The scheduler is part of the engine it calls: a strong reference would keep both.
            let engine = Arc::downgrade(&self.inner);
            let store = Arc::clone(&self.inner.store);
            let kinds = Kinds::new()
                .with(Arc::new(kind::FilesKind(engine.clone())))
                .with(Arc::new(write::WriteKind(engine.clone())))
                .with(Arc::new(crate::catalog::CrawlKind(engine.clone())));
            let mut options =
                SchedulerOptions::new(store, kinds, Arc::new(SystemClock), self.owner());
            options.arrivals = Some(Arc::new(arrivals::Folders(engine.clone())));
            options.alerts = AlertSettings {
                smtp: self.mail_server(),
                base_url: self.base_url(),
                secrets: Some(Arc::new(Vault(engine))),
            };
            options.seed = seed();
            Scheduler::new(options)
        })
    }

    /// The mail server for alerts. Without one, alerts by mail fail and say so.
    fn mail_server(&self) -> Option<windlass_jobs::Smtp> {
        let given =
            |name: &str| (self.inner.settings.environment)(name).filter(|text| !text.is_empty());
        match mail::smtp(&given("WINDLASS_SMTP_URL")?, given("WINDLASS_SMTP_FROM")) {
            Ok(smtp) => Some(smtp),
            Err(error) => {
                tracing::warn!(error = error.chain(), "no mail will be sent");
                None
            }
        }
    }

    /// Where people reach this installation: as whoever serves it has said, else as the settings do.
    /// Without it, alerts have no link.
    fn base_url(&self) -> Option<String> {
        if let Some(url) = self.inner.base_url.get() {
            return Some(url.clone());
        }
        let given = (self.inner.settings.environment)("WINDLASS_BASE_URL");
        let url = given.filter(|url| !url.is_empty())?;
        match windlass_jobs::check_base_url(&url) {
            Ok(()) => Some(url),
            Err(error) => {
                tracing::warn!(error = error.chain(), "alerts will have no link");
                None
            }
        }
    }

    /// Who this process is, for people: `host:process`.
    fn owner(&self) -> String {
        let host = (self.inner.settings.environment)("HOSTNAME")
            .filter(|host| !host.is_empty())
            .or_else(|| std::fs::read_to_string("/etc/hostname").ok())
            .unwrap_or_default();
        let host = host.trim();
        let host = if host.is_empty() { "localhost" } else { host };
        format!("{host}:{}", windlass_types::ProcessName::current())
    }
}

/// Jitter differs between processes; ids do too.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// The engine behind a weak reference.
pub(crate) fn engine(weak: &Weak<Inner>) -> Result<Windlass> {
    weak.upgrade()
        .map(|inner| Windlass { inner })
        .ok_or_else(|| Error::new(ErrorCode::Interrupted, "the engine was closed"))
}

/// Opens secrets for alerts.
struct Vault(Weak<Inner>);

#[async_trait]
impl SecretSource for Vault {
    async fn secret(&self, fabric: FabricId, name: &Name) -> Result<SecretString> {
        engine(&self.0)?.inner.store.open_secret(fabric, name).await
    }
}
