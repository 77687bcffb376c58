//! Files of a server reached over SSH.
//!
//! A session carries many requests at once, so sessions are shared: a request takes the least busy
//! one, and opens another while there may be more. Reading and writing keep several requests on
//! their way. Servers give times in whole seconds, so a file changed within a second, keeping its
//! size, looks the same.

mod handle;
mod session;

use crate::error::{absent, changed, exists, failed, timeout, unsupported};
use crate::names::{join, split};
use crate::secrets::RemoteSecrets;
use crate::tree::{Item, Reading, Sink, Tree, cut};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use handle::{IN_FLIGHT, Open, pieces};
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, StatusCode};
use session::{Proof, Session, connect};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use windlass_s3::ByteRange;
use windlass_types::connection::{RemoteSpec, SftpSpec};
use windlass_types::{Error, ErrorCode, Result};

/// Folders remembered as lying inside the root.
const REMEMBERED: usize = 4096;

/// An SFTP server.
#[derive(Clone)]
pub(crate) struct Sftp(Arc<Inner>);

struct Inner {
    spec: SftpSpec,
    proof: Proof,
    timeout: Duration,
    most: usize,
    sessions: Mutex<Vec<Arc<Session>>>,
    opening: tokio::sync::Mutex<()>,
    real_root: OnceCell<String>,
    /// Folders that are known to lie really inside the root.
    inside: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for Sftp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sftp").field("spec", &self.0.spec).finish_non_exhaustive()
    }
}

impl Sftp {
    pub(crate) fn open(
        sftp: &SftpSpec,
        spec: &RemoteSpec,
        secrets: &Arc<RemoteSecrets>,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            spec: sftp.clone(),
            proof: Proof::read(secrets)?,
            timeout: Duration::from_secs(spec.timeout),
            most: spec.max_concurrency,
            sessions: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            real_root: OnceCell::new(),
            inside: Mutex::default(),
        })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Session>>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The least busy session; with `idle` only one that nobody uses, while more may be opened.
    fn free(&self, idle: bool) -> Option<Arc<Session>> {
        let mut sessions = self.lock();
        sessions.retain(|session| !session.is_closed());
        let full = sessions.len() >= self.0.most;
        let least = sessions.iter().min_by_key(|session| Arc::strong_count(session))?;
        (!idle || full || Arc::strong_count(least) == 1).then(|| Arc::clone(least))
    }

    /// A session, opened if there may be one more.
    async fn session(&self) -> Result<Arc<Session>> {
        if let Some(session) = self.free(true) {
            return Ok(session);
        }
        let _opening = match self.0.opening.try_lock() {
            Ok(opening) => opening,
            // Somebody is opening one: what is there serves meanwhile.
            Err(_) => match self.free(false) {
                Some(session) => return Ok(session),
                None => self.0.opening.lock().await,
            },
        };
        if let Some(session) = self.free(true) {
            return Ok(session);
        }
        match connect(&self.0.spec, &self.0.proof, self.0.timeout).await {
            Ok(session) => {
                let session = Arc::new(session);
                self.lock().push(Arc::clone(&session));
                Ok(session)
            }
            // A server may take fewer sessions than we would open.
            Err(error) => self.free(false).ok_or(error),
        }
    }

    fn path(&self, path: &str) -> String {
        match join(&self.0.spec.root, path) {
            joined if joined.is_empty() => ".".to_owned(),
            joined => joined,
        }
    }

    /// An error in our words; a session that is no session any more is left.
    fn error(&self, session: &Arc<Session>, doing: &str, key: &str, error: SftpError) -> Error {
        let status = match &error {
            SftpError::Status(status) => Some(status.status_code),
            SftpError::Limited(_) => {
                return Error::new(ErrorCode::ConnectionBusy, "too many files are open at once")
                    .source(error)
                    .hint("raise MAX_CONCURRENCY");
            }
            _ => None,
        };
        let error = match status {
            Some(StatusCode::NoSuchFile) => absent(key).source(error),
            Some(StatusCode::PermissionDenied) => {
                Error::new(ErrorCode::ConnectionDenied, format!("no permission to {doing} `{key}`"))
                    .source(error)
                    .hint(format!("give user `{}` the right on the server", self.0.spec.user))
            }
            Some(StatusCode::OpUnsupported) => unsupported(doing).source(error),
            Some(_) => failed(format!("the server cannot {doing} `{key}`")).source(error),
            None => {
                self.lock().retain(|other| !Arc::ptr_eq(other, session));
                match error {
                    SftpError::Timeout => timeout(&format!("waiting to {doing} `{key}`")),
                    error => {
                        failed(format!("the connection broke off while asked to {doing} `{key}`"))
                            .source(error)
                    }
                }
            }
        };
        self.0.proof.secrets.clean(error)
    }

    async fn ask_real(&self, path: &str, key: &str) -> Result<Option<String>> {
        let session = self.session().await?;
        match session.sftp.realpath(path).await {
            Ok(name) => Ok(name.files.into_iter().next().map(|file| file.filename)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.error(&session, "find", key, error)),
        }
    }

    async fn root(&self) -> Result<&str> {
        let root = self.0.real_root.get_or_try_init(|| async {
            let path = self.path("");
            self.ask_real(&path, "the root").await?.ok_or_else(|| {
                Error::new(ErrorCode::BucketNotFound, format!("there is no folder `{path}`"))
                    .hint("create it, or correct ROOT")
            })
        });
        root.await.map(String::as_str)
    }

    /// Only a connection with a ROOT is kept inside of it.
    fn contained(&self) -> bool {
        !self.0.spec.root.is_empty() && self.0.spec.root != "/"
    }

    /// An error if an existing path leads outside the root; whether it is there.
    async fn check_real(&self, path: &str) -> Result<bool> {
        if !self.contained() {
            return Ok(true);
        }
        let Some(real) = self.ask_real(&self.path(path), path).await? else { return Ok(false) };
        let root = self.root().await?;
        if is_inside(root, &real) {
            return Ok(true);
        }
        Err(Error::new(
            ErrorCode::PathOutside,
            format!(
                "`{path}` is a link that leads outside `{root}`, to which the connection is bound"
            ),
        ))
    }

    /// The same for the folder in which something is written; asked once per folder.
    async fn check_folder(&self, path: &str) -> Result<()> {
        let folder = split(path).0;
        let known = |inside: &Mutex<HashSet<String>>| {
            inside.lock().unwrap_or_else(PoisonError::into_inner).contains(folder)
        };
        if !self.contained() || folder.is_empty() || known(&self.0.inside) {
            return Ok(());
        }
        if self.check_real(folder).await? {
            let mut inside = self.0.inside.lock().unwrap_or_else(PoisonError::into_inner);
            if inside.len() >= REMEMBERED {
                inside.clear();
            }
            inside.insert(folder.to_owned());
        }
        Ok(())
    }

    /// What a link in a listing leads to; None when nowhere, or outside.
    async fn follow(&self, path: &str, name: String) -> Result<Option<Item>> {
        let session = self.session().await?;
        let attributes = match session.sftp.stat(self.path(path)).await {
            Ok(found) => found.attrs,
            Err(SftpError::Status(_)) => return Ok(None),
            Err(error) => return Err(self.error(&session, "find", path, error)),
        };
        let Some(real) = self.ask_real(&self.path(path), path).await? else { return Ok(None) };
        if self.contained() && !is_inside(self.root().await?, &real) {
            tracing::debug!(path, "a link leads outside the root; not listed");
            return Ok(None);
        }
        let real = attributes.is_dir().then_some(real);
        Ok(Some(Item { real, ..item(name, &attributes) }))
    }
}

/// Whether a real path lies below the root.
fn is_inside(root: &str, real: &str) -> bool {
    let root = root.trim_end_matches('/');
    real.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_absent(error: &SftpError) -> bool {
    matches!(error, SftpError::Status(status) if status.status_code == StatusCode::NoSuchFile)
}

fn item(name: String, attributes: &FileAttributes) -> Item {
    let folder = attributes.is_dir();
    let size = if folder { 0 } else { attributes.size.unwrap_or_default() };
    let modified = attributes.mtime.map(i64::from);
    Item {
        name,
        folder,
        size,
        modified: modified.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
        etag: (!folder).then(|| format!("{size:x}-{:x}", modified.unwrap_or_default())),
        real: None,
        content_type: None,
    }
}

#[async_trait]
impl Tree for Sftp {
    fn copy_group(&self) -> Option<String> {
        let SftpSpec { host, port, user, root, .. } = &self.0.spec;
        Some(format!("sftp {user}@{host}:{port} {root}"))
    }

    async fn real_root(&self) -> Result<Option<String>> {
        self.root().await.map(|root| Some(root.to_owned()))
    }

    async fn real(&self, path: &str) -> Result<Option<String>> {
        self.ask_real(&self.path(path), path).await
    }

    async fn list(&self, folder: &str) -> Result<Option<Vec<Item>>> {
        if !self.check_real(folder).await? {
            return Ok(None);
        }
        let session = self.session().await?;
        let failed = |error| self.error(&session, "list", folder, error);
        let handle = match session.sftp.opendir(self.path(folder)).await {
            Ok(handle) => handle.handle,
            Err(error) if is_absent(&error) => return Ok(None),
            // Of a file: some servers only say that it failed.
            Err(error @ SftpError::Status(_)) => {
                return match self.stat(folder).await {
                    Ok(Some(item)) if !item.folder => Ok(None),
                    _ => Err(failed(error)),
                };
            }
            Err(error) => return Err(failed(error)),
        };
        let open = Open::of(self, &session, handle, folder);
        let (mut items, mut links) = (Vec::new(), Vec::new());
        loop {
            match session.sftp.readdir(open.handle.as_str()).await {
                Ok(names) => {
                    for file in names.files {
                        if matches!(file.filename.as_str(), "." | "..") {
                            continue;
                        }
                        if file.attrs.file_type().is_symlink() {
                            links.push(file.filename);
                        } else if file.attrs.is_dir() || file.attrs.file_type().is_file() {
                            items.push(item(file.filename, &file.attrs));
                        }
                    }
                }
                Err(SftpError::Status(status)) if status.status_code == StatusCode::Eof => break,
                // Some servers look only now whether the folder is there.
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(failed(error)),
            }
        }
        open.close().await?;
        let followed: Vec<Option<Item>> = futures::stream::iter(links)
            .map(|name| async move { self.follow(&join(folder, &name), name).await })
            .buffered(16)
            .try_collect()
            .await?;
        items.extend(followed.into_iter().flatten());
        Ok(Some(items))
    }

    async fn stat(&self, path: &str) -> Result<Option<Item>> {
        if !self.check_real(path).await? {
            return Ok(None);
        }
        let session = self.session().await?;
        match session.sftp.stat(self.path(path)).await {
            Ok(found) => Ok(Some(item(split(path).1.to_owned(), &found.attrs))),
            Err(error) if is_absent(&error) => Ok(None),
            // A level above it is a file.
            Err(SftpError::Status(status)) if status.status_code == StatusCode::Failure => Ok(None),
            Err(error) => Err(self.error(&session, "find", path, error)),
        }
    }

    async fn read(
        &self,
        path: &str,
        range: Option<ByteRange>,
        state: Option<&str>,
    ) -> Result<Option<Reading>> {
        if !self.check_real(path).await? {
            return Ok(None);
        }
        let open = match Open::new(self, path, OpenFlags::READ).await {
            Ok(open) => open,
            Err(error) if error.code() == ErrorCode::ObjectNotFound => return Ok(None),
            Err(error) => match self.stat(path).await {
                Ok(None) => return Ok(None),
                Ok(Some(item)) if item.folder => return Ok(None),
                _ => return Err(error),
            },
        };
        let item = open.state().await?;
        if item.folder {
            return Ok(None);
        }
        if state.is_some() && state != item.etag.as_deref() {
            return Err(changed(path));
        }
        let (from, length) = cut(range, item.size);
        let watched = state.map(str::to_owned);
        let stream = async_stream::try_stream! {
            {
                let reads = pieces(from, length).map(|(at, length)| open.exactly(at, length));
                let mut chunks = futures::stream::iter(reads).buffered(IN_FLIGHT);
                while let Some(chunk) = chunks.next().await {
                    yield chunk?;
                }
            }
            if let Some(state) = watched
                && open.state().await?.etag != Some(state)
            {
                Err(changed(&open.path))?;
            }
            open.close().await?;
        };
        Ok(Some(Reading { item, length, stream: stream.boxed() }))
    }

    async fn create(&self, path: &str, _size: Option<u64>) -> Result<Box<dyn Sink>> {
        self.check_folder(path).await?;
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        Ok(Box::new(Open::new(self, path, flags).await?))
    }

    async fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        self.check_folder(to).await?;
        let session = self.session().await?;
        let (old, new) = (self.path(from), self.path(to));
        let failed = |error| self.error(&session, "write", to, error);
        if !replace {
            if self.stat(to).await?.is_some() {
                return Err(exists(to));
            }
            return session.sftp.rename(old, new).await.map(drop).map_err(failed);
        }
        if session.extensions.contains("posix-rename@openssh.com") {
            let data = strings(&[old.as_bytes(), new.as_bytes()]);
            let answer = session.sftp.extended("posix-rename@openssh.com", data).await;
            return status(answer).map_err(failed);
        }
        // Without it a name in use must be freed first: for a moment there is neither file.
        match session.sftp.rename(old.as_str(), new.as_str()).await {
            Ok(_) => Ok(()),
            Err(SftpError::Status(_)) => {
                session.sftp.remove(new.as_str()).await.map_err(failed)?;
                session.sftp.rename(old, new).await.map(drop).map_err(failed)
            }
            Err(error) => Err(failed(error)),
        }
    }

    async fn copy(&self, from: &str, to: &str) -> Result<()> {
        let session = self.session().await?;
        if !session.extensions.contains("copy-data") {
            return Err(unsupported("copying inside the service"));
        }
        if !self.check_real(from).await? {
            return Err(absent(from));
        }
        self.check_folder(to).await?;
        let failed = |error| self.error(&session, "copy", from, error);
        let open =
            |path: &str, flags| session.sftp.open(self.path(path), flags, FileAttributes::empty());
        let keep = |path: &str, handle| Open::of(self, &session, handle, path);
        let source = open(from, OpenFlags::READ).await.map_err(failed)?;
        let source = keep(from, source.handle);
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        let target =
            open(to, flags).await.map_err(|error| self.error(&session, "write", to, error))?;
        let target = keep(to, target.handle);
        let size = source.state().await?.size;
        // In steps, so that no answer takes longer than TIMEOUT.
        let mut done = 0;
        while done < size {
            let length = (64 << 20).min(size - done);
            let mut data = strings(&[source.handle.as_bytes()]);
            data.extend(done.to_be_bytes());
            data.extend(length.to_be_bytes());
            data.extend(strings(&[target.handle.as_bytes()]));
            data.extend(done.to_be_bytes());
            let answer = session.sftp.extended("copy-data", data).await;
            status(answer).map_err(failed)?;
            done += length;
        }
        target.close().await?;
        source.close().await
    }

    async fn make_folder(&self, path: &str) -> Result<()> {
        self.check_folder(path).await?;
        let session = self.session().await?;
        let made = session.sftp.mkdir(self.path(path), FileAttributes::empty()).await;
        made.map(drop).map_err(|error| self.error(&session, "make the folder", path, error))
    }

    async fn remove(&self, path: &str) -> Result<()> {
        self.check_folder(path).await?;
        let session = self.session().await?;
        let removed = session.sftp.remove(self.path(path)).await;
        removed.map(drop).map_err(|error| self.error(&session, "delete", path, error))
    }

    async fn remove_folder(&self, path: &str) -> Result<()> {
        self.check_folder(path).await?;
        let session = self.session().await?;
        let removed = session.sftp.rmdir(self.path(path)).await;
        removed.map(drop).map_err(|error| self.error(&session, "delete the folder", path, error))
    }

    async fn set_modified(&self, path: &str, time: DateTime<Utc>) -> Result<bool> {
        let Ok(seconds) = u32::try_from(time.timestamp()) else { return Ok(false) };
        let session = self.session().await?;
        let attributes = FileAttributes {
            atime: Some(seconds),
            mtime: Some(seconds),
            ..FileAttributes::empty()
        };
        match session.sftp.setstat(self.path(path), attributes).await {
            Ok(_) => Ok(true),
            // A server that forbids it keeps the file all the same.
            Err(SftpError::Status(_)) => Ok(false),
            Err(error) => Err(self.error(&session, "set the time of", path, error)),
        }
    }
}

/// Texts as SSH writes them: length, then bytes.
fn strings(texts: &[&[u8]]) -> Vec<u8> {
    let mut data = Vec::new();
    for text in texts {
        data.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        data.extend(*text);
    }
    data
}

fn status(answer: std::result::Result<Packet, SftpError>) -> std::result::Result<(), SftpError> {
    match answer? {
        Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
        Packet::Status(status) => Err(SftpError::Status(status)),
        _ => Err(SftpError::UnexpectedPacket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_path_is_inside_only_below_whole_names() {
        assert!(is_inside("/srv", "/srv") && is_inside("/srv", "/srv/a"));
        assert!(!is_inside("/srv", "/srvx") && !is_inside("/srv", "/"));
        assert!(is_inside("/", "/any"));
    }
}
