//! A server of files as a storage: keys are paths, writes are atomic, uploads come in parts.
//!
//! Bytes go to an unfinished file beside the target, whose size is checked and which is then
//! renamed. Whatever goes wrong, also that nobody waits any more, the unfinished file is removed.

use crate::bound::Bound;
use crate::error::{absent, changed, cut, exists, is_folder, read_only};
use crate::names::{random, split, unfinished};
use crate::tree::{Item, Sink, Tree};
use crate::turns::Turns;
use crate::walk::walk;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use windlass_s3::local::{BUCKET, check_key};
use windlass_s3::{
    GetOptions, Links, ListOptions, ListingOrder, ObjectAccess, ObjectBody, ObjectMeta, Part,
    PutOptions, PutResult, Storage, Upload,
};
use windlass_types::connection::RemoteSpec;
use windlass_types::path::Binding;
use windlass_types::{Entry, Error, ErrorCode, Location, Name, ObjectPath, Result};

/// A storage made of a tree of files.
#[derive(Debug)]
pub(crate) struct TreeStore {
    name: Name,
    binding: Binding,
    tree: Arc<dyn Tree>,
    read_only: bool,
    case_sensitive: bool,
    uploads: Mutex<HashMap<String, Arc<Begun>>>,
    /// Where this is the end that is written to.
    bound: Option<Bound>,
}

/// An upload that was begun. It lives and dies with the store.
struct Begun {
    file: Unfinished,
    sink: Box<dyn Sink>,
    turns: Turns,
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Begun").field("path", &self.file.path).finish_non_exhaustive()
    }
}

/// An unfinished file: removed when dropped before it got its name.
struct Unfinished {
    tree: Arc<dyn Tree>,
    path: String,
    named: Mutex<bool>,
}

impl Unfinished {
    fn done(&self) {
        *self.named.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if *self.named.lock().unwrap_or_else(PoisonError::into_inner) {
            return;
        }
        let (tree, path) = (Arc::clone(&self.tree), std::mem::take(&mut self.path));
        // Without a runtime the process is ending; `.windlass-*.part` is left then.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                for pause in [0, 200, 2000] {
                    // The server may still be closing the file that was given up.
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    match tree.remove(&path).await {
                        Ok(()) => return,
                        Err(error) if error.code() == ErrorCode::ObjectNotFound => return,
                        Err(error) => {
                            tracing::debug!(
                                path,
                                error = error.chain(),
                                "unfinished file not removed"
                            );
                        }
                    }
                }
            });
        }
    }
}

impl TreeStore {
    pub(crate) fn new(name: Name, tree: Arc<dyn Tree>, spec: &RemoteSpec) -> Self {
        Self {
            name,
            binding: Binding { bucket: Some(BUCKET.to_owned()), prefix: String::new() },
            tree,
            read_only: spec.read_only,
            case_sensitive: spec.case_sensitive,
            uploads: Mutex::default(),
            bound: None,
        }
    }

    /// The same for what an end of a copy writes: two keys are never one file.
    async fn held(&self, object: &ObjectPath) -> Result<()> {
        match &self.bound {
            Some(bound) => bound.hold(&*self.tree, &object.key).await,
            None => Ok(()),
        }
    }

    fn check(&self, object: &ObjectPath) -> Result<()> {
        self.binding.check(&object.bucket, &object.key)?;
        check_key(&object.key)?;
        self.tree.check(&object.key)
    }

    fn writable(&self, object: &ObjectPath) -> Result<()> {
        if self.read_only {
            return Err(read_only(&self.name));
        }
        self.check(object)?;
        self.tree.check_new(&object.key)
    }

    /// Asks for what a key names; a folder only if the key ends in `/`.
    async fn known(&self, key: &str) -> Result<Item> {
        let item = self.tree.stat(key.trim_end_matches('/')).await?.ok_or_else(|| absent(key))?;
        match (item.folder, key.ends_with('/')) {
            (true, true) | (false, false) => Ok(item),
            (true, false) => Err(Error::new(
                ErrorCode::ObjectNotFound,
                format!("`{key}` is a folder, not a file"),
            )
            .hint(format!("for everything in it write `{key}/`"))),
            (false, true) => Err(absent(key)),
        }
    }

    /// Makes a folder and those above it.
    async fn make_folders(&self, path: &str) -> Result<()> {
        if path.is_empty() {
            return Ok(());
        }
        if let Some(item) = self.tree.stat(path).await? {
            return if item.folder { Ok(()) } else { Err(blocked(path)) };
        }
        Box::pin(self.make_folders(split(path).0)).await?;
        match self.tree.make_folder(path).await {
            Ok(()) => Ok(()),
            // Somebody else may have made it meanwhile.
            Err(error) => match self.tree.stat(path).await? {
                Some(item) if item.folder => Ok(()),
                Some(_) => Err(blocked(path)),
                None => Err(error),
            },
        }
    }

    /// Begins the file that will become `key`, making its folder where that is missing.
    async fn begin(&self, key: &str, size: Option<u64>) -> Result<(Unfinished, Box<dyn Sink>)> {
        let path = unfinished(key);
        let file = Unfinished { tree: Arc::clone(&self.tree), path, named: Mutex::new(false) };
        match self.tree.create(&file.path, size).await {
            Ok(sink) => Ok((file, sink)),
            Err(error)
                if matches!(
                    error.code(),
                    ErrorCode::ObjectNotFound | ErrorCode::ConnectionDenied
                ) =>
            {
                let folder = split(key).0;
                if folder.is_empty() {
                    file.done();
                    return Err(error);
                }
                if let Err(error) = self.make_folders(folder).await {
                    file.done();
                    return Err(error);
                }
                let sink = self.tree.create(&file.path, size).await?;
                Ok((file, sink))
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a finished file of `size` bytes its name. Conditions are checked just before: by the
    /// server for "not there yet", by us for "still this one", with a moment in between.
    async fn publish(
        &self,
        file: &Unfinished,
        key: &str,
        size: u64,
        options: &PutOptions,
    ) -> Result<PutResult> {
        if let Some(time) = options.modified {
            self.tree.set_modified(&file.path, time).await?;
        }
        let stored = self.tree.stat(&file.path).await?.ok_or_else(|| cut(key, size, 0))?;
        if stored.size != size {
            return Err(cut(key, size, stored.size));
        }
        if let Some(expected) = &options.if_match {
            let now = self.known(key).await?;
            if now.etag.as_ref() != Some(expected) {
                return Err(changed(key));
            }
        }
        if let Err(error) = self.tree.rename(&file.path, key, !options.if_none_match).await {
            return Err(match self.tree.stat(key).await {
                Ok(Some(item)) if item.folder => is_folder(key),
                Ok(Some(_)) if options.if_none_match => exists(key),
                _ => error,
            });
        }
        file.done();
        if self.tree.renaming_keeps_state() {
            return Ok(PutResult { etag: stored.etag, version: None, proven: false });
        }
        let now = self.tree.stat(key).await?.ok_or_else(|| cut(key, size, 0))?;
        if now.size != size {
            return Err(cut(key, size, now.size));
        }
        Ok(PutResult { etag: now.etag, version: None, proven: false })
    }

    fn upload(&self, upload: &Upload) -> Result<Arc<Begun>> {
        let uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.get(&upload.id).cloned().ok_or_else(|| unknown(&upload.id))
    }

    fn forget(&self, id: &str) -> Option<Arc<Begun>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}

/// An upload nobody here began.
pub(crate) fn unknown(id: &str) -> Error {
    Error::new(ErrorCode::ObjectNotFound, format!("there is no unfinished upload `{id}`"))
}

fn blocked(path: &str) -> Error {
    Error::new(
        ErrorCode::PathInvalid,
        format!("nothing can be written below `{path}`: it is a file"),
    )
}

fn no_buckets(name: &Name) -> Error {
    Error::new(ErrorCode::UsageInvalid, format!("`{name}` has folders, not buckets"))
        .hint("folders are made by writing into them")
}

fn meta(item: &Item) -> ObjectMeta {
    ObjectMeta {
        size: item.size,
        last_modified: item.modified,
        etag: item.etag.clone(),
        content_type: item.content_type.clone(),
        ..ObjectMeta::default()
    }
}

#[async_trait]
impl ObjectAccess for TreeStore {
    fn name(&self) -> &Name {
        &self.name
    }

    fn binding(&self) -> &Binding {
        &self.binding
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn server_side_copy_group(&self) -> Option<String> {
        self.tree.copy_group()
    }

    fn listing_order(&self, _bucket: &str) -> ListingOrder {
        ListingOrder::Bytes
    }

    fn promises_order(&self, _bucket: &str) -> bool {
        true
    }

    fn check_name(&self, key: &str) -> Result<()> {
        self.tree.check(key)?;
        self.tree.check_new(key)
    }

    fn walks_folders(&self) -> bool {
        true
    }

    /// Asking the server would need a file of ours there, so its connection says it.
    async fn tells_case_apart(&self, _key: &str, _may_write: bool) -> bool {
        self.case_sensitive
    }

    fn list(&self, location: &Location, options: ListOptions) -> BoxStream<'static, Result<Entry>> {
        if let Some(bucket) = &location.bucket
            && let Err(error) = self.binding.check(bucket, &location.key)
        {
            return futures::stream::once(async { Err(error) }).boxed();
        }
        walk(Arc::clone(&self.tree), location.key.clone(), options, self.bound.is_none())
    }

    fn as_end(&self, _links: Links, below: Option<&str>) -> Option<Storage> {
        Some(Arc::new(Self {
            name: self.name.clone(),
            binding: self.binding.clone(),
            tree: Arc::clone(&self.tree),
            read_only: self.read_only,
            case_sensitive: self.case_sensitive,
            uploads: Mutex::default(),
            bound: Some(Bound::new(below?)),
        }))
    }

    async fn stat(&self, object: &ObjectPath, _version: Option<&str>) -> Result<ObjectMeta> {
        self.check(object)?;
        self.known(&object.key).await.map(|item| meta(&item))
    }

    async fn get(&self, object: &ObjectPath, options: GetOptions) -> Result<ObjectBody> {
        self.check(object)?;
        let key = object.key.as_str();
        if key.ends_with('/') {
            let meta = meta(&self.known(key).await?);
            return Ok(ObjectBody { meta, length: 0, stream: futures::stream::empty().boxed() });
        }
        let read = self.tree.read(key, options.range, options.if_match.as_deref()).await?;
        let Some(reading) = read else {
            // Not there, or a folder: the reason differs.
            return Err(self.known(key).await.err().unwrap_or_else(|| changed(key)));
        };
        if options.if_match.is_some() && options.if_match != reading.item.etag {
            return Err(changed(key));
        }
        let stream = whole(reading.stream, reading.length, key.to_owned());
        Ok(ObjectBody { meta: meta(&reading.item), length: reading.length, stream })
    }

    async fn put(
        &self,
        object: &ObjectPath,
        body: Bytes,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.writable(object)?;
        self.held(object).await?;
        let key = object.key.as_str();
        if let Some(folder) = key.strip_suffix('/') {
            if !body.is_empty() {
                return Err(Error::new(
                    ErrorCode::PathInvalid,
                    format!(
                        "`{key}` would be a folder here, which cannot hold {} bytes",
                        body.len()
                    ),
                ));
            }
            self.make_folders(folder).await?;
            return Ok(PutResult::default());
        }
        let size = body.len() as u64;
        let (file, sink) = self.begin(key, Some(size)).await?;
        if size > 0 {
            sink.write(0, body).await?;
        }
        sink.finish().await?;
        self.publish(&file, key, size, &options).await
    }

    async fn create_upload(&self, object: &ObjectPath, _options: PutOptions) -> Result<Upload> {
        self.writable(object)?;
        self.held(object).await?;
        if object.key.ends_with('/') {
            return Err(Error::new(
                ErrorCode::PathInvalid,
                format!("`{}` names a folder", object.key),
            ));
        }
        let (file, sink) = self.begin(&object.key, None).await?;
        let id = random();
        let begun = Arc::new(Begun { file, sink, turns: Turns::new() });
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), begun);
        Ok(Upload { bucket: object.bucket.clone(), key: object.key.clone(), id })
    }

    async fn upload_part(&self, upload: &Upload, number: i32, body: Bytes) -> Result<Part> {
        let begun = self.upload(upload)?;
        let length = body.len();
        begun.turns.part(&*begun.sink, number, body).await?;
        Ok(Part {
            number,
            etag: format!("{number}-{length:x}"),
            checksums: BTreeMap::new(),
            proven: false,
        })
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        options: &PutOptions,
    ) -> Result<PutResult> {
        let begun = self.upload(upload)?;
        let numbers: Vec<i32> = parts.iter().map(|part| part.number).collect();
        let size = begun.turns.whole(&numbers)?;
        // From here on a failure gives the upload up: the sink has ended.
        self.forget(&upload.id);
        begun.sink.finish().await?;
        self.publish(&begun.file, &upload.key, size, options).await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        // Dropping it removes the file, once no part is being written any more.
        drop(self.forget(&upload.id));
        Ok(())
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
        self.held(to).await?;
        if from.key.ends_with('/') || to.key.ends_with('/') || options.if_none_match {
            return Err(crate::error::unsupported("copying this inside the service"));
        }
        let before = self.known(&from.key).await?;
        if if_match.is_some() && if_match != before.etag.as_deref() {
            return Err(changed(&from.key));
        }
        let path = unfinished(&to.key);
        let file = Unfinished { tree: Arc::clone(&self.tree), path, named: Mutex::new(false) };
        self.make_folders(split(&to.key).0).await?;
        self.tree.copy(&from.key, &file.path).await?;
        if self.known(&from.key).await?.etag != before.etag {
            return Err(changed(&from.key));
        }
        let modified = options.modified.or(before.modified);
        let options = PutOptions { modified, ..options };
        self.publish(&file, &to.key, before.size, &options).await
    }

    async fn delete(&self, object: &ObjectPath) -> Result<()> {
        self.writable(object)?;
        self.held(object).await?;
        let key = object.key.as_str();
        let path = key.trim_end_matches('/');
        let removed = if key.ends_with('/') {
            self.tree.remove_folder(path).await
        } else {
            self.tree.remove(path).await
        };
        let Err(error) = removed else { return Ok(()) };
        if error.code() == ErrorCode::ObjectNotFound {
            return Ok(());
        }
        // Servers of files say little: what is not there, is of the other kind, or is a folder with
        // something in it is left as it is.
        match self.tree.stat(path).await {
            Ok(None) => Ok(()),
            Ok(Some(item)) if item.folder != key.ends_with('/') => Ok(()),
            Ok(Some(item)) if item.folder => match self.tree.list(path).await {
                Ok(Some(items)) if !items.is_empty() => Ok(()),
                _ => Err(error),
            },
            _ => Err(error),
        }
    }

    async fn create_bucket(&self, _bucket: &str) -> Result<()> {
        Err(no_buckets(&self.name))
    }

    async fn delete_bucket(&self, _bucket: &str) -> Result<()> {
        Err(no_buckets(&self.name))
    }
}

/// The same stream, failing rather than ending early or late.
pub(crate) fn whole(
    mut stream: BoxStream<'static, Result<Bytes>>,
    length: u64,
    key: String,
) -> BoxStream<'static, Result<Bytes>> {
    async_stream::try_stream! {
        let mut done = 0;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            done += chunk.len() as u64;
            if done > length {
                Err(changed(&key))?;
            }
            yield chunk;
        }
        if done < length {
            Err(crate::error::short(&key, length, done))?;
        }
    }
    .boxed()
}
