//! A folder as a storage: what a LOCAL connection, or a bare path of the command line, reaches.
//!
//! Keys are paths below the root; the bucket is always `.`. Nothing outside the root is read or
//! written, also not through links. Files appear whole or not at all.

mod blocks;
mod case;
mod here;
mod keys;
mod links;
mod stale;
mod uploads;
mod walk;
mod write;
mod writers;

pub use here::local_side;
pub use keys::{check_key, through_link};

use crate::access::{
    ByteRange, GetOptions, Links, ListOptions, ObjectAccess, ObjectBody, ObjectMeta, Part,
    PartRange, PutOptions, PutResult, See, Storage, StoredPart, Upload,
};
use crate::order::ListingOrder;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use keys::{Root, absent, disk};
use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use windlass_types::path::Binding;
use windlass_types::{Entry, Error, ErrorCode, LocalSpec, Location, Name, ObjectPath, Result};
use writers::Writers;

/// What stands for the bucket of a folder. No bucket can have this name.
pub const BUCKET: &str = ".";

/// Bytes read at once, of what is read in pieces.
const CHUNK: u64 = 1 << 20;

/// What is not larger is read at once: a part of an upload arrives in one piece.
const WHOLE: u64 = 8 << 20;

/// Rows handed over at once, at most.
const BATCH: usize = 256;

/// A folder seen as a storage.
#[derive(Debug, Clone)]
pub struct LocalStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: Name,
    binding: Binding,
    root: Root,
    read_only: bool,
    /// Made from a bare path: shown as paths, not as `CONN:PATH`.
    bare: bool,
    uploads: uploads::Uploads,
    writers: Arc<Writers>,
    links: Links,
    /// Listings show links that lead nowhere.
    shows_lost: bool,
    /// What the connection says of names that differ in case only; None: the folder is asked.
    case_sensitive: Option<bool>,
}

impl LocalStore {
    /// The storage of a LOCAL connection. Nothing is opened yet.
    pub fn open(name: Name, spec: LocalSpec) -> Result<Self> {
        let root = Root { path: spec.root, contained: true, bound: None };
        Ok(Self::new(name, root, spec.read_only, false, spec.case_sensitive))
    }

    /// The storage behind bare paths: all that this process may reach.
    fn here(root: PathBuf) -> Result<Self> {
        let root = Root { path: root, contained: false, bound: None };
        Ok(Self::new(Name::new("local")?, root, false, true, None))
    }

    fn new(
        name: Name,
        root: Root,
        read_only: bool,
        bare: bool,
        case_sensitive: Option<bool>,
    ) -> Self {
        let binding = Binding { bucket: Some(BUCKET.to_owned()), prefix: String::new() };
        Self(Arc::new(Inner {
            name,
            binding,
            root,
            read_only,
            bare,
            uploads: uploads::Uploads::default(),
            writers: Arc::default(),
            links: Links::Follow,
            shows_lost: false,
            case_sensitive,
        }))
    }

    /// The folder.
    pub fn root(&self) -> &std::path::Path {
        &self.0.root.path
    }

    fn check(&self, object: &ObjectPath) -> Result<()> {
        self.0.binding.check(&object.bucket, &object.key)
    }

    fn writable(&self, object: &ObjectPath) -> Result<()> {
        self.check(object)?;
        if self.0.read_only {
            return Err(Error::new(
                ErrorCode::ConnectionReadOnly,
                format!("connection `{}` is READ_ONLY", self.0.name),
            )
            .hint("write through another connection"));
        }
        Ok(())
    }

    /// Does what blocks on a thread that may.
    async fn blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> Result<T> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(stopped)?
    }

    /// The same for what writes: few at a time.
    async fn writing<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> Result<T> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        self.0.writers.run(move || work(&inner)).await
    }

    fn shown(&self) -> String {
        if !self.0.bare {
            return String::new();
        }
        let root = self.0.root.path.to_string_lossy();
        format!("{}/", root.trim_end_matches('/'))
    }
}

fn stopped(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorCode::Internal, "work on a local file stopped").source(error)
}

/// Changes whenever the file does, and never the same for two files.
fn etag(metadata: &Metadata) -> String {
    let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    format!("{:x}-{:x}-{modified:x}", metadata.ino(), metadata.len())
}

fn meta(metadata: &Metadata) -> ObjectMeta {
    ObjectMeta {
        size: if metadata.is_dir() { 0 } else { metadata.len() },
        last_modified: metadata.modified().ok().map(Into::into),
        etag: Some(etag(metadata)),
        link: metadata.is_symlink(),
        ..ObjectMeta::default()
    }
}

/// Metadata of what a key names; a folder only if the key ends in `/`, a link only if links are kept.
fn known(inner: &Inner, key: &str) -> Result<(PathBuf, Metadata)> {
    let root = &inner.root;
    if inner.links == Links::Keep
        && let Some(link) = links::at(root, key)?
    {
        return Ok(link);
    }
    if inner.links == Links::Skip && root.is_linked(key) {
        return Err(absent(&root.named(key)));
    }
    let path = root.existing(key)?;
    let metadata = fs::metadata(&path).map_err(|error| {
        if keys::is_absent(&error) { absent(&root.named(key)) } else { disk("read", &path, error) }
    })?;
    if metadata.is_dir() && !key.ends_with('/') {
        return Err(Error::new(
            ErrorCode::ObjectNotFound,
            format!("`{}` is a folder, not a file", root.named(key)),
        )
        .hint(format!("for everything in it write `{}/`", root.named(key))));
    }
    if metadata.is_file() == key.ends_with('/') {
        return Err(absent(&root.named(key)));
    }
    Ok((path, metadata))
}

/// First byte and number of bytes of a range of `size` bytes.
fn cut(range: Option<ByteRange>, size: u64) -> (u64, u64) {
    match range {
        None => (0, size),
        Some(ByteRange::Bounded(from, length)) => {
            let from = from.min(size);
            (from, length.min(size - from))
        }
        Some(ByteRange::From(from)) => (from.min(size), size - from.min(size)),
        Some(ByteRange::Last(length)) => (size - length.min(size), length.min(size)),
    }
}

/// What is there to be read.
enum Opened {
    File(Arc<File>),
    Link(Bytes),
    Folder,
}

fn read(
    file: Arc<File>,
    key: String,
    from: u64,
    length: u64,
    state: Option<String>,
) -> BoxStream<'static, Result<Bytes>> {
    async_stream::try_stream! {
        let mut done = 0;
        let at_once = if length <= WHOLE { WHOLE } else { CHUNK };
        while done < length {
            let want = at_once.min(length - done);
            let file = Arc::clone(&file);
            let chunk = tokio::task::spawn_blocking(move || {
                let mut chunk = crate::buffers::buffer(usize::try_from(want).unwrap_or(0));
                file.read_exact_at(&mut chunk, from + done).map(|()| chunk)
            })
            .await
            .map_err(stopped)?
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => write::changed(&key).source(error),
                _ => disk("read", key.as_ref(), error),
            })?;
            done += want;
            yield crate::buffers::bytes_of(chunk);
        }
        // A file that was written to meanwhile has not been read in one state.
        if let Some(state) = state
            && file.metadata().map_err(|error| disk("read", key.as_ref(), error)).map(|m| etag(&m))? != state
        {
            Err(write::changed(&key))?;
        }
    }
    .boxed()
}

#[async_trait]
impl ObjectAccess for LocalStore {
    fn name(&self) -> &Name {
        &self.0.name
    }

    fn binding(&self) -> &Binding {
        &self.0.binding
    }

    fn read_only(&self) -> bool {
        self.0.read_only
    }

    fn server_side_copy_group(&self) -> Option<String> {
        Some(format!("file {} {}", self.0.root.contained, self.0.root.path.display()))
    }

    fn address(&self, bucket: &str, key: &str) -> String {
        if self.0.bare {
            return format!("{}{key}", self.shown());
        }
        format!("{}:{}", self.0.name, self.0.binding.relative(bucket, key))
    }

    /// The walk sorts every level so that whole keys come in the order of their bytes.
    fn listing_order(&self, _bucket: &str) -> ListingOrder {
        ListingOrder::Bytes
    }

    fn promises_order(&self, _bucket: &str) -> bool {
        true
    }

    async fn tells_case_apart(&self, key: &str, may_write: bool) -> bool {
        if let Some(said) = self.0.case_sensitive {
            return said;
        }
        let (key, may_write) = (key.to_owned(), may_write && !self.0.read_only);
        let asked = self.blocking(move |inner| Ok(case::tells_apart(&inner.root, &key, may_write)));
        asked.await.unwrap_or(case::USUAL)
    }

    fn as_end(&self, links: Links, below: Option<&str>) -> Option<Storage> {
        let inner = &self.0;
        let root = Root {
            path: inner.root.path.clone(),
            contained: inner.root.contained,
            bound: below.map(keys::Bound::new),
        };
        Some(Arc::new(Self(Arc::new(Inner {
            name: inner.name.clone(),
            binding: inner.binding.clone(),
            root,
            read_only: inner.read_only,
            bare: inner.bare,
            uploads: uploads::Uploads::default(),
            writers: Arc::clone(&inner.writers),
            links,
            shows_lost: below.is_none(),
            case_sensitive: inner.case_sensitive,
        }))))
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        Some(self.0.root.path.join(key))
    }

    fn list(&self, location: &Location, options: ListOptions) -> BoxStream<'static, Result<Entry>> {
        let store = self.clone();
        let location = location.clone();
        async_stream::try_stream! {
            if let Some(bucket) = &location.bucket {
                store.0.binding.check(bucket, &location.key)?;
            }
            if location.key.starts_with('/') {
                keys::check_key(&location.key)?;
            }
            let (sender, mut receiver) = tokio::sync::mpsc::channel::<Vec<Entry>>(4);
            let shown = store.shown();
            let walk = tokio::task::spawn_blocking(move || {
                let mut batch = Vec::new();
                let mut size = 1;
                walk::Walk {
                    root: &store.0.root,
                    links: store.0.links,
                    lost: store.0.shows_lost,
                    prefix: &location.key,
                    recursive: options.recursive,
                    start_after: options.start_after.as_deref(),
                    shown: &shown,
                }
                .run(|entry| {
                    batch.push(entry);
                    // Small batches first: the first rows are shown at once.
                    if batch.len() < size {
                        return true;
                    }
                    size = (size * 2).min(BATCH);
                    sender.blocking_send(std::mem::take(&mut batch)).is_ok()
                })?;
                let _ = sender.blocking_send(batch);
                Ok::<(), Error>(())
            });
            while let Some(batch) = receiver.recv().await {
                for entry in batch {
                    yield entry;
                }
            }
            walk.await.map_err(stopped)??;
        }
        .boxed()
    }

    async fn stat(&self, object: &ObjectPath, _version: Option<&str>) -> Result<ObjectMeta> {
        self.check(object)?;
        let key = object.key.clone();
        self.blocking(move |inner| known(inner, &key).map(|(_, metadata)| meta(&metadata))).await
    }

    async fn get(&self, object: &ObjectPath, options: GetOptions) -> Result<ObjectBody> {
        self.check(object)?;
        let key = object.key.clone();
        let (file, meta) = self
            .blocking(move |inner| {
                let (path, metadata) = known(inner, &key)?;
                if metadata.is_dir() {
                    return Ok((Opened::Folder, meta(&metadata)));
                }
                if metadata.is_symlink() {
                    return Ok((Opened::Link(links::target(&path)?), meta(&metadata)));
                }
                let file = File::open(&path).map_err(|error| disk("read", &path, error))?;
                let metadata = file.metadata().map_err(|error| disk("read", &path, error))?;
                Ok((Opened::File(Arc::new(file)), meta(&metadata)))
            })
            .await?;
        if options.if_match.is_some() && options.if_match != meta.etag {
            return Err(write::changed(&self.0.root.named(&object.key)));
        }
        let (from, length) = cut(options.range, meta.size);
        let stream = match file {
            Opened::File(file) => {
                read(file, self.0.root.named(&object.key), from, length, options.if_match)
            }
            Opened::Link(target) => futures::stream::iter([Ok(target)]).boxed(),
            Opened::Folder => futures::stream::empty().boxed(),
        };
        Ok(ObjectBody { meta, length, stream })
    }

    async fn put(
        &self,
        object: &ObjectPath,
        body: Bytes,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.writable(object)?;
        let key = object.key.clone();
        self.writing(move |inner| write::put(&inner.root, &key, &body, &options)).await
    }

    async fn create_upload(&self, object: &ObjectPath, options: PutOptions) -> Result<Upload> {
        self.writable(object)?;
        let key = object.key.clone();
        let id = self
            .blocking(move |inner| {
                inner.uploads.create(&inner.root, &key, options.token.as_deref())
            })
            .await?;
        Ok(Upload { bucket: object.bucket.clone(), key: object.key.clone(), id })
    }

    async fn upload_part(&self, upload: &Upload, number: i32, body: Bytes) -> Result<Part> {
        let id = upload.id.clone();
        self.writing(move |inner| inner.uploads.part(&id, number, &body)).await
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<StoredPart>> {
        Ok(self.0.uploads.parts(&upload.id))
    }

    fn placed_in(&self, upload: &Upload) -> Option<Arc<File>> {
        self.0.uploads.data(&upload.id)
    }

    async fn write_part(
        &self,
        upload: &Upload,
        range: PartRange,
        bytes: BoxStream<'static, Result<Bytes>>,
        see: See,
    ) -> Result<Part> {
        let (store, id, key) = (self.clone(), upload.id.clone(), upload.key.clone());
        self.0.uploads.receive(&id, &key, range, bytes, see).await?;
        self.blocking(move |_| store.0.uploads.placed(&id, range)).await
    }

    async fn open_file(
        &self,
        object: &ObjectPath,
        if_match: Option<&str>,
    ) -> Result<Option<Arc<File>>> {
        let if_match = if_match.map(str::to_owned);
        self.check(object)?;
        let key = object.key.clone();
        self.blocking(move |inner| {
            let (path, metadata) = known(inner, &key)?;
            if metadata.is_dir() || metadata.is_symlink() {
                return Ok(None);
            }
            let file = File::open(&path).map_err(|error| disk("read", &path, error))?;
            let metadata = file.metadata().map_err(|error| disk("read", &path, error))?;
            if if_match.is_some_and(|expected| expected != etag(&metadata)) {
                return Err(write::changed(&inner.root.named(&key)));
            }
            Ok(Some(Arc::new(file)))
        })
        .await
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        options: &PutOptions,
    ) -> Result<PutResult> {
        let (upload, parts, options) = (upload.clone(), parts.to_vec(), options.clone());
        self.writing(move |inner| inner.uploads.complete(&upload.id, &upload.key, &parts, &options))
            .await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        let id = upload.id.clone();
        self.blocking(move |inner| {
            inner.uploads.abort(&id);
            Ok(())
        })
        .await
    }

    async fn copy(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        if_match: Option<&str>,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.check(from)?;
        self.writable(to)?;
        let (from, to) = (from.key.clone(), to.key.clone());
        let if_match = if_match.map(str::to_owned);
        self.writing(move |inner| {
            if inner.links == Links::Keep
                && let Some(link) = links::at(&inner.root, &from)?
            {
                return links::copy(&inner.root, link, &to, if_match.as_deref(), options);
            }
            write::copy(&inner.root, &from, &to, if_match.as_deref(), options)
        })
        .await
    }

    async fn delete(&self, object: &ObjectPath) -> Result<()> {
        self.writable(object)?;
        let key = object.key.clone();
        self.blocking(move |inner| remove(&inner.root, &key)).await
    }

    async fn delete_if(&self, object: &ObjectPath, etag: &str) -> Result<()> {
        self.writable(object)?;
        let (key, expected) = (object.key.clone(), etag.to_owned());
        self.blocking(move |inner| {
            let (_, metadata) = known(inner, &key)?;
            if self::etag(&metadata) != expected {
                return Err(write::changed(&inner.root.named(&key)));
            }
            remove(&inner.root, &key)
        })
        .await
    }

    async fn delete_many_if(
        &self,
        bucket: &str,
        objects: &[(String, String)],
    ) -> Result<Vec<(String, Error)>> {
        let mut failed = Vec::new();
        for (key, etag) in objects {
            let object = ObjectPath { bucket: bucket.to_owned(), key: key.clone() };
            match self.delete_if(&object, etag).await {
                Err(error) if error.code() != ErrorCode::ObjectNotFound => {
                    failed.push((object.key, error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(failed)
    }

    async fn create_bucket(&self, _bucket: &str) -> Result<()> {
        Err(no_buckets(&self.0.name))
    }

    async fn delete_bucket(&self, _bucket: &str) -> Result<()> {
        Err(no_buckets(&self.0.name))
    }
}

/// Removes a file or link, or an empty folder if the key ends in `/`. A link is removed, never what
/// it leads to.
fn remove(root: &Root, key: &str) -> Result<()> {
    check_key(key)?;
    let plain = key.strip_suffix('/').unwrap_or(key);
    let (above, name) = plain.rsplit_once('/').map_or(("", plain), |(above, name)| (above, name));
    let above = if above.is_empty() { String::new() } else { format!("{above}/") };
    let gone = || match absent(key) {
        error if error.code() == ErrorCode::ObjectNotFound => Ok(()),
        error => Err(error),
    };
    let Some(folder) = root.folder(&above)? else { return gone() };
    root.folder_held(key)?;
    let path = folder.join(name);
    let Ok(metadata) = fs::symlink_metadata(&path) else { return gone() };
    let removed = match (metadata.is_dir(), key.ends_with('/')) {
        // What a killed process left unfinished is no reason to keep a folder.
        (true, true) => fs::remove_dir(&path).or_else(|_| {
            stale::sweep(&path);
            fs::remove_dir(&path)
        }),
        (false, false) => fs::remove_file(&path),
        _ => return Ok(()),
    };
    match removed {
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Ok(())
        }
        other => other.map_err(|error| disk("delete", &path, error)),
    }
}

fn no_buckets(name: &Name) -> Error {
    Error::new(ErrorCode::UsageInvalid, format!("`{name}` is a folder, which has no buckets"))
        .hint("folders are made by writing into them")
}

#[cfg(test)]
mod tests;
