//! Storages that are neither S3 nor a folder of this machine, as [`windlass_s3::ObjectAccess`].
//!
//! Services of objects (Azure Blob Storage, Google Cloud Storage) are storages by themselves; what they
//! share is in `cloud`. Servers of files (SFTP, FTP, `WebDAV`, web servers) say what they can in `tree`; keys, folders,
//! atomic writes and uploads in parts are made of that once, in `store`. Trying again is not done
//! here: whoever moves bytes does.

mod azure;
mod bound;
mod cloud;
mod error;
mod ftp;
mod gcs;
mod http;
mod names;
mod probe;
mod secrets;
mod sftp;
mod store;
mod tree;
mod turns;
mod walk;
mod web;
mod webdav;
mod xml;

pub use probe::probe_remote;
pub use secrets::RemoteSecrets;

use secrecy::SecretString;
use std::sync::Arc;
use windlass_s3::Storage;
use windlass_types::connection::{RemoteService, RemoteSpec};
use windlass_types::{Name, Result};

/// An opened connection: the storage, with what its test needs.
#[derive(Debug, Clone)]
pub struct Remote {
    storage: Storage,
    spec: Arc<RemoteSpec>,
    secrets: Arc<RemoteSecrets>,
}

/// An HTTP connection, for other things than files.
pub struct WebClient {
    /// URL without a trailing slash.
    pub endpoint: String,
    /// Its requests carry the headers and the user of the connection, and follow no redirect.
    pub client: reqwest::Client,
    /// What a service may repeat of them, and nobody shall see.
    pub secrets: Vec<SecretString>,
}

impl Remote {
    /// Opens a connection. Checks what needs no network (keys that can be read, CA files); nothing
    /// is connected yet.
    pub fn open(name: Name, spec: RemoteSpec, secrets: RemoteSecrets) -> Result<Self> {
        let secrets = Arc::new(secrets);
        let tree: Arc<dyn tree::Tree> = match &spec.service {
            RemoteService::AzureBlob(azure) => {
                let storage = Arc::new(azure::AzureBlob::open(name, azure, &spec, &secrets)?);
                return Ok(Self { storage, spec: Arc::new(spec), secrets });
            }
            RemoteService::Gcs(gcs) => {
                let storage = Arc::new(gcs::Gcs::open(name, gcs, &spec, &secrets)?);
                return Ok(Self { storage, spec: Arc::new(spec), secrets });
            }
            RemoteService::Sftp(sftp) => Arc::new(sftp::Sftp::open(sftp, &spec, &secrets)?),
            RemoteService::Ftp(ftp) => Arc::new(ftp::Ftp::open(ftp, &spec, &secrets)?),
            RemoteService::WebDav(dav) => Arc::new(webdav::WebDav::open(dav, &spec, &secrets)?),
            RemoteService::Http(http) => Arc::new(web::Web::open(http, &spec, &secrets)?),
        };
        let storage = Arc::new(store::TreeStore::new(name, tree, &spec));
        Ok(Self { storage, spec: Arc::new(spec), secrets })
    }

    /// What an HTTP connection has for other things than files; None for other kinds.
    pub fn web_client(&self) -> Option<Result<WebClient>> {
        let RemoteService::Http(web) = &self.spec.service else { return None };
        let client = http::bare(web, &self.spec, &self.secrets);
        Some(client.map(|client| WebClient {
            endpoint: web.endpoint.clone(),
            client,
            secrets: self.secrets.texts(),
        }))
    }

    /// The storage.
    pub fn storage(&self) -> Storage {
        Arc::clone(&self.storage)
    }
}
