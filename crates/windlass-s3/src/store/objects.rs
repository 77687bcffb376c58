//! An S3 connection as a storage: what is checked before a verb, and who does it.

use super::S3Store;
use crate::access::{
    FileRange, GetOptions, ListOptions, ObjectAccess, ObjectBody, ObjectMeta, OpenUpload, Part,
    PresignMethod, PutOptions, PutResult, Storage, StoredPart, Upload, VersionEntry,
};
use crate::order::ListingOrder;
use crate::payload::Payload;
use crate::write::Doomed;
use crate::{lifecycle, list, presign, read, tags, uploads, versions, write};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;
use windlass_types::connection::{Encryption, Identity};
use windlass_types::path::Binding;
use windlass_types::{Entry, Error, Location, Name, ObjectPath, Result};

#[async_trait]
impl ObjectAccess for S3Store {
    fn name(&self) -> &Name {
        &self.0.name
    }

    fn binding(&self) -> &Binding {
        &self.0.spec.binding
    }

    fn read_only(&self) -> bool {
        self.0.spec.read_only
    }

    /// Same service, same identity and the same SSE-C key: what a copy is signed and sent with. What
    /// its ends may name is looked at apart ([`ObjectAccess::copying_from`]). The digest says nothing
    /// about what went into it.
    fn server_side_copy_group(&self) -> Option<String> {
        let spec = &self.0.spec;
        let mut hasher = DefaultHasher::new();
        match &spec.identity {
            Identity::Anonymous => return None,
            Identity::Chain => "chain".hash(&mut hasher),
            Identity::Profile(profile) => ("profile", profile).hash(&mut hasher),
            Identity::Keys { .. } => {
                let id = self.0.secrets.access_key_id.as_ref();
                ("keys", id.map(secrecy::ExposeSecret::expose_secret)).hash(&mut hasher);
            }
        }
        spec.role.as_ref().map(|role| &role.arn).hash(&mut hasher);
        if let Encryption::Customer(_) = spec.encryption {
            self.0
                .secrets
                .customer_key
                .as_ref()
                .map(secrecy::ExposeSecret::expose_secret)
                .hash(&mut hasher);
        }
        let service = spec.endpoint.as_deref().unwrap_or("aws");
        Some(format!("{service} {:016x}", hasher.finish()))
    }

    /// Names of buckets are unique within a partition of AWS, and at any other endpoint.
    fn service(&self) -> Option<String> {
        let spec = &self.0.spec;
        let partition = match spec.region.as_deref() {
            Some(region) if region.starts_with("cn-") => "aws-cn",
            Some(region) if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        Some(spec.endpoint.as_deref().unwrap_or(partition).to_owned())
    }

    fn copying_from(&self, source: &dyn ObjectAccess) -> Option<Storage> {
        Some(Arc::new(Self(Arc::clone(&self.0), Some(source.binding().clone()))))
    }

    fn listing_order(&self, bucket: &str) -> ListingOrder {
        let known = self.promised_order(bucket).or_else(|| self.orders().found());
        known.unwrap_or(ListingOrder::None)
    }

    fn promises_order(&self, bucket: &str) -> bool {
        self.promised_order(bucket).is_some_and(|order| order != ListingOrder::None)
    }

    fn takes_turns(&self) -> bool {
        true
    }

    fn slow_downs(&self) -> u64 {
        self.0.wiring.get().map_or(0, |wiring| wiring.line.busy())
    }

    fn list(&self, location: &Location, options: ListOptions) -> BoxStream<'static, Result<Entry>> {
        list::list(self, location, options)
    }

    fn holds_properties(&self) -> bool {
        true
    }

    fn storage_class(&self) -> Option<&str> {
        self.0.spec.storage_class.as_deref()
    }

    async fn tags(
        &self,
        object: &ObjectPath,
        version: Option<&str>,
    ) -> Result<BTreeMap<String, String>> {
        self.check(&object.bucket, &object.key)?;
        tags::of(self, object, version).await
    }

    async fn stat(&self, object: &ObjectPath, version: Option<&str>) -> Result<ObjectMeta> {
        self.check(&object.bucket, &object.key)?;
        match read::stat(self, object, version).await {
            Ok(meta) => self.check_marker(object, meta.size).await.map(|()| meta),
            Err(error) => Err(self.or_no_bucket(&object.bucket, error).await),
        }
    }

    async fn part_length(
        &self,
        object: &ObjectPath,
        etag: &str,
        number: i32,
    ) -> Result<Option<u64>> {
        self.check(&object.bucket, &object.key)?;
        read::part_length(self, object, etag, number).await
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<StoredPart>> {
        self.check(&upload.bucket, &upload.key)?;
        crate::uploads::list_parts(self, upload).await
    }

    async fn get(&self, object: &ObjectPath, options: GetOptions) -> Result<ObjectBody> {
        self.check(&object.bucket, &object.key)?;
        let body = read::get(self, object, options).await?;
        self.check_marker(object, body.meta.size).await?;
        Ok(body)
    }

    async fn put(
        &self,
        object: &ObjectPath,
        body: Bytes,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.check(&object.bucket, &object.key)?;
        write::put(self, object, body, &options).await
    }

    async fn create_upload(&self, object: &ObjectPath, options: PutOptions) -> Result<Upload> {
        self.check(&object.bucket, &object.key)?;
        write::create_upload(self, object, &options).await
    }

    async fn upload_part(&self, upload: &Upload, number: i32, body: Bytes) -> Result<Part> {
        self.check(&upload.bucket, &upload.key)?;
        write::upload_part(self, upload, number, body.into()).await
    }

    async fn upload_part_of(&self, upload: &Upload, number: i32, body: FileRange) -> Result<Part> {
        self.check(&upload.bucket, &upload.key)?;
        write::upload_part(self, upload, number, Payload::File(body)).await
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        options: &PutOptions,
    ) -> Result<PutResult> {
        self.check(&upload.bucket, &upload.key)?;
        write::complete_upload(self, upload, parts, options).await
    }

    fn list_uploads(&self, bucket: &str, prefix: &str) -> BoxStream<'static, Result<OpenUpload>> {
        uploads::list(self, bucket, prefix)
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.check(&upload.bucket, &upload.key)?;
        write::abort_upload(self, upload).await
    }

    async fn copy(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        if_match: Option<&str>,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.check_source(from)?;
        self.check(&to.bucket, &to.key)?;
        write::copy(self, from, to, if_match, &options).await
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
        self.check_source(from)?;
        self.check(&upload.bucket, &upload.key)?;
        write::copy_part(self, from, offset, length, if_match, upload, number).await
    }

    async fn delete(&self, object: &ObjectPath) -> Result<()> {
        self.check(&object.bucket, &object.key)?;
        write::delete(self, object).await
    }

    async fn delete_if(&self, object: &ObjectPath, etag: &str) -> Result<()> {
        self.check(&object.bucket, &object.key)?;
        lifecycle::delete_if(self, object, etag).await
    }

    async fn restore(&self, object: &ObjectPath, days: u32) -> Result<()> {
        self.check(&object.bucket, &object.key)?;
        lifecycle::restore(self, object, days).await
    }

    async fn delete_many(&self, bucket: &str, keys: &[String]) -> Result<Vec<(String, Error)>> {
        for key in keys {
            self.check(bucket, key)?;
        }
        let doomed: Vec<Doomed<'_>> = keys.iter().map(|key| Doomed { key, etag: None }).collect();
        write::delete_many(self, bucket, &doomed).await
    }

    async fn delete_many_if(
        &self,
        bucket: &str,
        objects: &[(String, String)],
    ) -> Result<Vec<(String, Error)>> {
        for (key, _) in objects {
            self.check(bucket, key)?;
        }
        let doomed: Vec<Doomed<'_>> =
            objects.iter().map(|(key, etag)| Doomed { key, etag: Some(etag) }).collect();
        write::delete_many(self, bucket, &doomed).await
    }

    fn list_versions(
        &self,
        location: &Location,
        recursive: bool,
    ) -> BoxStream<'static, Result<VersionEntry>> {
        versions::list(self, location, recursive)
    }

    async fn delete_versions(
        &self,
        bucket: &str,
        versions: &[(String, String)],
    ) -> Result<Vec<(String, Error)>> {
        for (key, _) in versions {
            self.check(bucket, key)?;
        }
        versions::delete(self, bucket, versions).await
    }

    async fn create_bucket(&self, bucket: &str) -> Result<()> {
        self.check(bucket, "")?;
        write::create_bucket(self, bucket).await
    }

    async fn delete_bucket(&self, bucket: &str) -> Result<()> {
        self.check(bucket, "")?;
        write::delete_bucket(self, bucket).await
    }

    async fn presign(
        &self,
        object: &ObjectPath,
        method: PresignMethod,
        expires: Duration,
    ) -> Result<String> {
        self.check(&object.bucket, &object.key)?;
        presign::presign(self, object, method, expires).await
    }
}
