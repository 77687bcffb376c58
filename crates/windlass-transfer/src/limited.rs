//! A storage whose calls wait for their turn, so that no more requests are begun a second than may be.

use crate::pace::Rate;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use windlass_s3::{
    FileRange, GetOptions, Links, ListOptions, ListingOrder, ObjectAccess, ObjectBody, ObjectMeta,
    OpenUpload, Part, PartRange, PresignMethod, PutOptions, PutResult, See, Storage, StoredPart,
    Turns as _, Upload, VersionEntry,
};
use windlass_types::path::Binding;
use windlass_types::{Entry, Error, Location, Name, ObjectPath, Result};

/// Rows of one page of a listing.
pub(crate) const PAGE: usize = 1000;

/// A storage under a [`Rate`].
#[derive(Debug)]
pub(crate) struct Limited {
    inner: Storage,
    rate: Arc<Rate>,
}

impl Limited {
    /// The same storage, under a rate.
    pub(crate) fn storage(inner: Storage, rate: Arc<Rate>) -> Storage {
        Arc::new(Self { inner, rate })
    }

    async fn turn(&self) -> &dyn ObjectAccess {
        self.rate.turn().await;
        &*self.inner
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectAccess for Limited {
    fn name(&self) -> &Name {
        self.inner.name()
    }

    fn binding(&self) -> &Binding {
        self.inner.binding()
    }

    fn read_only(&self) -> bool {
        self.inner.read_only()
    }

    fn server_side_copy_group(&self) -> Option<String> {
        self.inner.server_side_copy_group()
    }

    fn service(&self) -> Option<String> {
        self.inner.service()
    }

    fn copying_from(&self, source: &dyn ObjectAccess) -> Option<Storage> {
        let inner = self.inner.copying_from(source)?;
        Some(Self::storage(inner, Arc::clone(&self.rate)))
    }

    fn address(&self, bucket: &str, key: &str) -> String {
        self.inner.address(bucket, key)
    }

    fn listing_order(&self, bucket: &str) -> ListingOrder {
        self.inner.listing_order(bucket)
    }

    fn promises_order(&self, bucket: &str) -> bool {
        self.inner.promises_order(bucket)
    }

    /// Asks the disk at most, so it waits for no turn.
    async fn tells_case_apart(&self, key: &str, may_write: bool) -> bool {
        self.inner.tells_case_apart(key, may_write).await
    }

    fn copies_any_size(&self) -> bool {
        self.inner.copies_any_size()
    }

    fn walks_folders(&self) -> bool {
        self.inner.walks_folders()
    }

    fn takes_turns(&self) -> bool {
        self.inner.takes_turns()
    }

    fn slow_downs(&self) -> u64 {
        self.inner.slow_downs()
    }

    fn version(&self) -> Option<&str> {
        self.inner.version()
    }

    fn check_name(&self, key: &str) -> Result<()> {
        self.inner.check_name(key)
    }

    fn holds_properties(&self) -> bool {
        self.inner.holds_properties()
    }

    fn storage_class(&self) -> Option<&str> {
        self.inner.storage_class()
    }

    async fn tags(
        &self,
        object: &ObjectPath,
        version: Option<&str>,
    ) -> Result<BTreeMap<String, String>> {
        self.turn().await.tags(object, version).await
    }

    fn as_end(&self, links: Links, below: Option<&str>) -> Option<Storage> {
        let inner = self.inner.as_end(links, below)?;
        Some(Self::storage(inner, Arc::clone(&self.rate)))
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.inner.local_path(key)
    }

    /// A turn for each request, or, where the storage cannot say when it makes one, for each page that
    /// is handed on: then pages that are read ahead wait when nobody takes their rows.
    fn list(
        &self,
        location: &Location,
        mut options: ListOptions,
    ) -> BoxStream<'static, Result<Entry>> {
        let rate = Arc::clone(&self.rate);
        if self.inner.takes_turns() {
            options.turns = Some(rate);
            return self.inner.list(location, options);
        }
        let rows = self.inner.list(location, options).enumerate();
        rows.then(move |(at, row)| {
            let rate = at.is_multiple_of(PAGE).then(|| Arc::clone(&rate));
            async move {
                if let Some(rate) = rate {
                    rate.turn().await;
                }
                row
            }
        })
        .boxed()
    }

    async fn stat(&self, object: &ObjectPath, version: Option<&str>) -> Result<ObjectMeta> {
        self.turn().await.stat(object, version).await
    }

    async fn part_length(
        &self,
        object: &ObjectPath,
        etag: &str,
        number: i32,
    ) -> Result<Option<u64>> {
        self.turn().await.part_length(object, etag, number).await
    }

    async fn get(&self, object: &ObjectPath, options: GetOptions) -> Result<ObjectBody> {
        self.turn().await.get(object, options).await
    }

    async fn put(
        &self,
        object: &ObjectPath,
        body: Bytes,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.turn().await.put(object, body, options).await
    }

    async fn create_upload(&self, object: &ObjectPath, options: PutOptions) -> Result<Upload> {
        self.turn().await.create_upload(object, options).await
    }

    async fn upload_part(&self, upload: &Upload, number: i32, body: Bytes) -> Result<Part> {
        self.turn().await.upload_part(upload, number, body).await
    }

    async fn upload_part_of(&self, upload: &Upload, number: i32, body: FileRange) -> Result<Part> {
        self.turn().await.upload_part_of(upload, number, body).await
    }

    async fn open_file(
        &self,
        object: &ObjectPath,
        if_match: Option<&str>,
    ) -> Result<Option<Arc<File>>> {
        self.inner.open_file(object, if_match).await
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<StoredPart>> {
        self.turn().await.list_parts(upload).await
    }

    fn placed_in(&self, upload: &Upload) -> Option<Arc<File>> {
        self.inner.placed_in(upload)
    }

    async fn write_part(
        &self,
        upload: &Upload,
        range: PartRange,
        bytes: BoxStream<'static, Result<Bytes>>,
        see: See,
    ) -> Result<Part> {
        self.turn().await.write_part(upload, range, bytes, see).await
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        options: &PutOptions,
    ) -> Result<PutResult> {
        self.turn().await.complete_upload(upload, parts, options).await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.turn().await.abort_upload(upload).await
    }

    fn list_uploads(&self, bucket: &str, prefix: &str) -> BoxStream<'static, Result<OpenUpload>> {
        self.inner.list_uploads(bucket, prefix)
    }

    async fn copy(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        if_match: Option<&str>,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.turn().await.copy(from, to, if_match, options).await
    }

    async fn copy_part(
        &self,
        from: &ObjectPath,
        offset: u64,
        length: u64,
        if_match: Option<&str>,
        upload: &Upload,
        number: i32,
    ) -> Result<Part> {
        self.turn().await.copy_part(from, offset, length, if_match, upload, number).await
    }

    async fn delete(&self, object: &ObjectPath) -> Result<()> {
        self.turn().await.delete(object).await
    }

    async fn delete_if(&self, object: &ObjectPath, etag: &str) -> Result<()> {
        self.turn().await.delete_if(object, etag).await
    }

    async fn restore(&self, object: &ObjectPath, days: u32) -> Result<()> {
        self.turn().await.restore(object, days).await
    }

    async fn delete_many(&self, bucket: &str, keys: &[String]) -> Result<Vec<(String, Error)>> {
        self.turn().await.delete_many(bucket, keys).await
    }

    async fn delete_many_if(
        &self,
        bucket: &str,
        objects: &[(String, String)],
    ) -> Result<Vec<(String, Error)>> {
        self.turn().await.delete_many_if(bucket, objects).await
    }

    fn list_versions(
        &self,
        location: &Location,
        recursive: bool,
    ) -> BoxStream<'static, Result<VersionEntry>> {
        self.inner.list_versions(location, recursive)
    }

    async fn delete_versions(
        &self,
        bucket: &str,
        versions: &[(String, String)],
    ) -> Result<Vec<(String, Error)>> {
        self.turn().await.delete_versions(bucket, versions).await
    }

    async fn create_bucket(&self, bucket: &str) -> Result<()> {
        self.turn().await.create_bucket(bucket).await
    }

    async fn delete_bucket(&self, bucket: &str) -> Result<()> {
        self.turn().await.delete_bucket(bucket).await
    }

    async fn presign(
        &self,
        object: &ObjectPath,
        method: PresignMethod,
        expires: Duration,
    ) -> Result<String> {
        self.inner.presign(object, method, expires).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use futures::TryStreamExt;

    #[tokio::test]
    async fn a_storage_that_takes_turns_is_given_them() {
        for takes in [false, true] {
            let fake = Fake::with("one", |fake| fake.takes_turns = takes);
            fake.set("a", "1");
            let limited = Limited::storage(fake.clone(), Arc::new(Rate::new(1000)));
            let location = Location { bucket: Some("b".into()), key: String::new() };
            let rows: Vec<Entry> =
                limited.list(&location, ListOptions::default()).try_collect().await.unwrap();
            assert_eq!(rows.len(), 1);
            assert_eq!(fake.count("turns"), usize::from(takes));
        }
    }
}
