//! One version of an object, as a storage to read it from: whatever copies objects can then copy an
//! older one.

use crate::access::{
    GetOptions, ListOptions, ObjectAccess, ObjectBody, ObjectMeta, Part, PutOptions, PutResult,
    Storage, Upload, unsupported,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use windlass_types::path::Binding;
use windlass_types::{Entry, Location, Name, ObjectPath, Result};

/// A storage whose objects are read in this version; it can neither be listed nor written to.
#[derive(Debug)]
pub struct AtVersion {
    inner: Storage,
    version: String,
}

impl AtVersion {
    /// `version` of whatever object of `inner` is asked for.
    pub fn new(inner: Storage, version: String) -> Self {
        Self { inner, version }
    }
}

#[async_trait]
impl ObjectAccess for AtVersion {
    fn name(&self) -> &Name {
        self.inner.name()
    }

    fn binding(&self) -> &Binding {
        self.inner.binding()
    }

    fn read_only(&self) -> bool {
        true
    }

    fn slow_downs(&self) -> u64 {
        self.inner.slow_downs()
    }

    fn version(&self) -> Option<&str> {
        Some(&self.version)
    }

    fn list(&self, _: &Location, _: ListOptions) -> BoxStream<'static, Result<Entry>> {
        futures::stream::iter([Err(unsupported("listing what is of one version"))]).boxed()
    }

    async fn stat(&self, object: &ObjectPath, version: Option<&str>) -> Result<ObjectMeta> {
        self.inner.stat(object, Some(version.unwrap_or(&self.version))).await
    }

    async fn get(&self, object: &ObjectPath, options: GetOptions) -> Result<ObjectBody> {
        let version = options.version.or_else(|| Some(self.version.clone()));
        self.inner.get(object, GetOptions { version, ..options }).await
    }

    async fn tags(
        &self,
        object: &ObjectPath,
        version: Option<&str>,
    ) -> Result<BTreeMap<String, String>> {
        self.inner.tags(object, Some(version.unwrap_or(&self.version))).await
    }

    async fn put(&self, _: &ObjectPath, _: Bytes, _: PutOptions) -> Result<PutResult> {
        Err(unsupported("writing to a version"))
    }

    async fn create_upload(&self, _: &ObjectPath, _: PutOptions) -> Result<Upload> {
        Err(unsupported("writing to a version"))
    }

    async fn upload_part(&self, _: &Upload, _: i32, _: Bytes) -> Result<Part> {
        Err(unsupported("writing to a version"))
    }

    async fn complete_upload(&self, _: &Upload, _: &[Part], _: &PutOptions) -> Result<PutResult> {
        Err(unsupported("writing to a version"))
    }

    async fn abort_upload(&self, _: &Upload) -> Result<()> {
        Err(unsupported("writing to a version"))
    }

    async fn delete(&self, _: &ObjectPath) -> Result<()> {
        Err(unsupported("deleting one version in this way"))
    }

    async fn create_bucket(&self, _: &str) -> Result<()> {
        Err(unsupported("making a bucket from a version"))
    }

    async fn delete_bucket(&self, _: &str) -> Result<()> {
        Err(unsupported("removing a bucket from a version"))
    }
}
