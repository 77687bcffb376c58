//! Files of an FTP server, with or without TLS.
//!
//! A session does one thing at a time, so each is taken from a bounded pool for as long as needed,
//! and given back only when it ended well. Reading may take all but one of them, so that who reads
//! and writes through one connection never waits for itself. Servers with MLST say exactly what
//! there is; of others a file's size is all that is known of its state.

mod listing;
mod session;

use crate::error::{absent, changed, exists, failed, timeout};
use crate::names::{join, split};
use crate::secrets::RemoteSecrets;
use crate::tree::{Item, Reading, Sink, Tree, cut};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use listing::{Listed, facts, line, plain, time};
use rustls::ClientConfig;
use session::{Reply, Session};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use windlass_s3::ByteRange;
use windlass_types::connection::{FtpSpec, FtpTls, RemoteSpec};
use windlass_types::{Error, ErrorCode, Result};

/// A session idle for longer is asked whether it still lives.
const FRESH: Duration = Duration::from_secs(15);

/// Folders remembered as being there.
const REMEMBERED: usize = 4096;

/// An FTP server.
#[derive(Clone)]
pub(crate) struct Ftp(Arc<Inner>);

struct Inner {
    spec: FtpSpec,
    tls: Option<Arc<ClientConfig>>,
    secrets: Arc<RemoteSecrets>,
    timeout: Duration,
    idle: Mutex<Vec<Session>>,
    permits: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    folders: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for Ftp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ftp").field("spec", &self.0.spec).finish_non_exhaustive()
    }
}

/// A session while it is used.
struct Lease {
    ftp: Ftp,
    session: Session,
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

impl Lease {
    /// Gives the session back: it ended well.
    fn keep(self) {
        let Self { ftp, session, .. } = self;
        ftp.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}

fn tls(spec: &FtpSpec) -> Result<Option<Arc<ClientConfig>>> {
    if spec.tls == FtpTls::None {
        return Ok(None);
    }
    let internal = |error: rustls::Error| {
        Error::new(ErrorCode::Internal, "TLS cannot be set up").source(error)
    };
    let roots = match &spec.ca_file {
        Some(path) => crate::http::authority_certificates(path)?,
        None => Vec::new(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        rustls_platform_verifier::Verifier::new_with_extra_roots(roots, provider.clone())
            .map_err(internal)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(internal)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Some(Arc::new(config)))
}

impl Ftp {
    pub(crate) fn open(
        ftp: &FtpSpec,
        spec: &RemoteSpec,
        secrets: &Arc<RemoteSecrets>,
    ) -> Result<Self> {
        let most = spec.max_concurrency;
        Ok(Self(Arc::new(Inner {
            spec: ftp.clone(),
            tls: tls(ftp)?,
            secrets: Arc::clone(secrets),
            timeout: Duration::from_secs(spec.timeout),
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(most)),
            readers: Arc::new(Semaphore::new(most.saturating_sub(1).max(1))),
            folders: Mutex::default(),
        })))
    }

    /// Takes a session; `reading` for as long as somebody else pleases.
    async fn lease(&self, reading: bool) -> Result<Lease> {
        let take = |permits: &Arc<Semaphore>| {
            let permits = Arc::clone(permits);
            async move {
                // Longer than any one step takes, so that a full pool is waited for.
                let patience = self.0.timeout * 10;
                match tokio::time::timeout(patience, permits.acquire_owned()).await {
                    Ok(Ok(permit)) => Ok(permit),
                    _ => Err(timeout("waiting for a free session").hint("raise MAX_CONCURRENCY")),
                }
            }
        };
        let reader = if reading { Some(take(&self.0.readers).await?) } else { None };
        let permit = take(&self.0.permits).await?;
        let permits = [reader, Some(permit)];
        loop {
            let idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut session) = idle else { break };
            if session.used.elapsed() < FRESH
                || session.say("NOOP").await.is_ok_and(|reply| reply.is_good())
            {
                return Ok(Lease { ftp: self.clone(), session, _permits: permits });
            }
        }
        let Inner { spec, tls, secrets, timeout, .. } = &*self.0;
        let session = Session::connect(spec, tls.as_ref(), secrets, *timeout).await?;
        Ok(Lease { ftp: self.clone(), session, _permits: permits })
    }

    /// Every path is absolute, so that it means the same in every session.
    fn path(&self, session: &Session, path: &str) -> String {
        let root = &self.0.spec.root;
        let base = if root.starts_with('/') {
            root.trim_end_matches('/').to_owned()
        } else {
            let home = &session.home;
            if root.is_empty() { home.clone() } else { format!("{home}/{root}") }
        };
        if path.is_empty() && !base.is_empty() { base } else { format!("{base}/{path}") }
    }

    /// Sends one command about a path.
    async fn command(&self, verb: &str, path: &str) -> Result<Reply> {
        let mut lease = self.lease(false).await?;
        let command = format!("{verb} {}", self.path(&lease.session, path));
        let reply = lease.session.say(&command).await?;
        lease.keep();
        Ok(reply)
    }

    fn refusal(&self, reply: &Reply, doing: &str, key: &str) -> Error {
        self.0.secrets.clean(reply.refusal(doing, key))
    }

    /// Asks for one file or folder.
    async fn ask(&self, session: &mut Session, path: &str) -> Result<Option<Item>> {
        let full = self.path(session, path);
        let name = split(path).1;
        if session.features.contains("MLST") {
            let reply = session.say(&format!("MLST {full}")).await?;
            return match reply.code {
                250 => {
                    let found = reply.lines.iter().find_map(|line| known(line));
                    Ok(found.map(|item| Item { name: name.to_owned(), ..item }))
                }
                550 | 501 | 450 => match self.refusal(&reply, "find", path) {
                    error if error.code() == ErrorCode::ConnectionDenied => Err(error),
                    _ => Ok(None),
                },
                _ => Err(self.refusal(&reply, "find", path)),
            };
        }
        let size = session.say(&format!("SIZE {full}")).await?;
        if size.code == 213
            && let Some(size) = size.lines.first().and_then(|text| text.trim().parse().ok())
        {
            let reply = session.say(&format!("MDTM {full}")).await?;
            let modified = reply.lines.first().and_then(|text| time(text.trim()));
            return Ok(Some(Item { modified, ..plain(name, false, size) }));
        }
        let folder = session.say(&format!("CWD {full}")).await?;
        Ok(folder.is_good().then(|| plain(name, true, 0)))
    }

    /// The lines of a folder; None if there is no such folder.
    async fn lines(&self, session: &mut Session, folder: &str) -> Result<Option<String>> {
        let full = self.path(session, folder);
        let exact = session.features.contains("MLST") || session.features.contains("MLSD");
        let mut commands = vec![format!("MLSD {full}")];
        if !exact {
            // Arguments of LIST are options to some servers: the folder is gone to instead.
            if !session.say(&format!("CWD {full}")).await?.is_good() {
                return Ok(None);
            }
            commands = vec!["LIST -a".to_owned(), "LIST".to_owned()];
        }
        let mut refused = None;
        for command in commands {
            match session.transfer(None, &command).await? {
                Ok(mut data) => {
                    let text = data.text().await?;
                    session.ended(data, "list", folder).await?;
                    return Ok(Some(text));
                }
                Err(reply) => refused = Some(reply),
            }
        }
        let Some(reply) = refused else { return Ok(None) };
        match self.refusal(&reply, "list", folder) {
            error if error.code() == ErrorCode::ConnectionDenied => Err(error),
            error => match self.ask(session, folder).await? {
                Some(item) if item.folder => Err(error),
                _ => Ok(None),
            },
        }
    }
}

/// MLST of a folder may call it `cdir`.
fn known(line: &str) -> Option<Item> {
    facts(line).or_else(|| {
        let lower = line.to_ascii_lowercase();
        (lower.contains("type=cdir;") || lower.contains("type=pdir;")).then(|| plain("", true, 0))
    })
}

#[async_trait]
impl Tree for Ftp {
    fn check(&self, key: &str) -> Result<()> {
        if key.chars().any(char::is_control) {
            return Err(Error::new(
                ErrorCode::PathInvalid,
                format!(
                    "`{}` holds a control character, which FTP cannot send",
                    key.escape_default()
                ),
            ));
        }
        Ok(())
    }

    async fn list(&self, folder: &str) -> Result<Option<Vec<Item>>> {
        let mut lease = self.lease(false).await?;
        let Some(text) = self.lines(&mut lease.session, folder).await? else {
            lease.keep();
            return Ok(None);
        };
        let exact =
            lease.session.features.contains("MLST") || lease.session.features.contains("MLSD");
        let mut items = Vec::new();
        for text in text.lines().filter(|text| !text.is_empty()) {
            if exact {
                items.extend(facts(text.trim_end_matches('\r')));
                continue;
            }
            match line(text) {
                Some(Listed::Item(item)) => items.push(item),
                // A link to a folder may lead in a circle, and nothing would show it.
                Some(Listed::Link(name)) => {
                    let found = self.ask(&mut lease.session, &join(folder, &name)).await?;
                    items.extend(found.filter(|item| !item.folder));
                }
                None => {}
            }
        }
        lease.keep();
        // A path in place of a name is how some servers answer.
        for item in &mut items {
            if let Some((_, name)) = item.name.rsplit_once('/') {
                item.name = name.to_owned();
            }
        }
        items.retain(|item| !matches!(item.name.as_str(), "" | "." | ".."));
        Ok(Some(items))
    }

    async fn stat(&self, path: &str) -> Result<Option<Item>> {
        let mut lease = self.lease(false).await?;
        let found = self.ask(&mut lease.session, path).await?;
        lease.keep();
        Ok(found)
    }

    async fn read(
        &self,
        path: &str,
        range: Option<ByteRange>,
        state: Option<&str>,
    ) -> Result<Option<Reading>> {
        let mut lease = self.lease(true).await?;
        let Some(item) = self.ask(&mut lease.session, path).await?.filter(|item| !item.folder)
        else {
            lease.keep();
            return Ok(None);
        };
        if state.is_some() && state != item.etag.as_deref() {
            lease.keep();
            return Err(changed(path));
        }
        let (from, length) = cut(range, item.size);
        let size = item.size;
        let (ftp, path, watched) = (self.clone(), path.to_owned(), state.map(str::to_owned));
        let stream = async_stream::try_stream! {
            if length == 0 {
                lease.keep();
                return;
            }
            let full = ftp.path(&lease.session, &path);
            let begin = (from > 0).then(|| format!("REST {from}"));
            let started = lease.session.transfer(begin, &format!("RETR {full}")).await?;
            let mut data = match started {
                Ok(data) => data,
                Err(reply) => Err(ftp.refusal(&reply, "read", &path))?,
            };
            let mut left = length;
            while left > 0 {
                let mut chunk = data.read().await?;
                if chunk.is_empty() {
                    break;
                }
                chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                left -= chunk.len() as u64;
                yield chunk;
            }
            if left > 0 {
                // Too short: whoever reads learns it from the length.
                return;
            }
            if from + length < size {
                lease.session.cut_off(data).await?;
            } else {
                data.read().await?;
                lease.session.ended(data, "read", &path).await?;
            }
            if let Some(state) = watched {
                let now = ftp.ask(&mut lease.session, &path).await?;
                if now.and_then(|item| item.etag) != Some(state) {
                    Err(changed(&path))?;
                }
            }
            lease.keep();
        };
        Ok(Some(Reading { item, length, stream: stream.boxed() }))
    }

    async fn create(&self, path: &str, size: Option<u64>) -> Result<Box<dyn Sink>> {
        // Asked first, since what a server says of a missing folder looks like a missing right.
        let folder = split(path).0;
        let known = |folders: &Mutex<HashSet<String>>| {
            folders.lock().unwrap_or_else(PoisonError::into_inner).contains(folder)
        };
        if !folder.is_empty() && !known(&self.0.folders) {
            if !self.stat(folder).await?.is_some_and(|item| item.folder) {
                return Err(absent(folder));
            }
            let mut folders = self.0.folders.lock().unwrap_or_else(PoisonError::into_inner);
            if folders.len() >= REMEMBERED {
                folders.clear();
            }
            folders.insert(folder.to_owned());
        }
        let sink = Writing { ftp: self.clone(), path: path.to_owned() };
        if size.is_none_or(|size| size == 0) {
            sink.write(0, Bytes::new()).await?;
        }
        Ok(Box::new(sink))
    }

    async fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        let there = if replace { None } else { self.stat(to).await? };
        if there.is_some() {
            return Err(exists(to));
        }
        let mut lease = self.lease(false).await?;
        let (old, new) = (self.path(&lease.session, from), self.path(&lease.session, to));
        let session = &mut lease.session;
        let mut reply = session.say(&format!("RNFR {old}")).await?;
        if reply.code == 350 {
            reply = session.say(&format!("RNTO {new}")).await?;
            // Some servers do not rename over a file: for a moment there is neither.
            if !reply.is_good()
                && replace
                && session.say(&format!("DELE {new}")).await?.is_good()
                && session.say(&format!("RNFR {old}")).await?.code == 350
            {
                reply = session.say(&format!("RNTO {new}")).await?;
            }
        }
        lease.keep();
        if reply.is_good() { Ok(()) } else { Err(self.refusal(&reply, "write", to)) }
    }

    async fn make_folder(&self, path: &str) -> Result<()> {
        let reply = self.command("MKD", path).await?;
        if reply.is_good() { Ok(()) } else { Err(self.refusal(&reply, "make the folder", path)) }
    }

    async fn remove(&self, path: &str) -> Result<()> {
        let reply = self.command("DELE", path).await?;
        if reply.is_good() { Ok(()) } else { Err(told(self.refusal(&reply, "delete", path))) }
    }

    async fn remove_folder(&self, path: &str) -> Result<()> {
        self.0.folders.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let reply = self.command("RMD", path).await?;
        if reply.is_good() {
            return Ok(());
        }
        Err(told(self.refusal(&reply, "delete the folder", path)))
    }

    async fn set_modified(&self, path: &str, time: DateTime<Utc>) -> Result<bool> {
        let mut lease = self.lease(false).await?;
        let can = lease.session.features.contains("MFMT");
        if !can {
            lease.keep();
            return Ok(false);
        }
        let full = self.path(&lease.session, path);
        let reply =
            lease.session.say(&format!("MFMT {} {full}", time.format("%Y%m%d%H%M%S"))).await?;
        lease.keep();
        // A server that forbids it keeps the file all the same.
        Ok(reply.is_good())
    }
}

/// 550 says that it is not there, or why it cannot go: only a look tells.
fn told(error: Error) -> Error {
    if error.code() == ErrorCode::ObjectNotFound {
        return failed("the server does not delete it").source(error);
    }
    error
}

/// A file on its way: every write is a transfer of its own, the first makes the file.
struct Writing {
    ftp: Ftp,
    path: String,
}

#[async_trait]
impl Sink for Writing {
    fn ordered(&self) -> bool {
        true
    }

    async fn write(&self, offset: u64, body: Bytes) -> Result<()> {
        let mut lease = self.ftp.lease(false).await?;
        let full = self.ftp.path(&lease.session, &self.path);
        let verb = if offset == 0 { "STOR" } else { "APPE" };
        match lease.session.transfer(None, &format!("{verb} {full}")).await? {
            Ok(mut data) => {
                data.write(body).await?;
                lease.session.stored(data, &self.path).await?;
                lease.keep();
                Ok(())
            }
            Err(reply) => {
                let error = self.ftp.refusal(&reply, "write", &self.path);
                lease.keep();
                Err(error)
            }
        }
    }

    async fn finish(&self) -> Result<()> {
        Ok(())
    }
}
