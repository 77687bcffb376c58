//! The calls of [`crate::wire`] once more, through the SDK: for buckets that our own client does not
//! reach (access points, directory buckets, multi-region access points).
//!
//! One request each, with the same answers; what to make of them is decided in [`crate::read`],
//! [`crate::write`] and [`crate::list`].

use crate::access::{ObjectMeta, PutOptions, Upload};
use crate::checksum::Sums;
use crate::encryption::{customer_key, new_object, source_key};
use crate::failure::Failure;
use crate::list::{Page, PageRequest, decode, time, unquote};
use crate::payload::Payload;
use crate::read::{Opened, Source};
use crate::row::Row;
use crate::store::{S3Store, target};
use crate::write::{
    Doomed, Refused, Stored, conditional, copy_source, described, expires, quoted, replaces,
};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, Delete, EncodingType, MetadataDirective, ObjectIdentifier,
    ServerSideEncryption, TaggingDirective,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::collections::BTreeMap;
use std::error::Error as StdError;
use windlass_types::{Error, ErrorCode, ObjectPath};

/// Everything the answers of `HeadObject` and `GetObject` have in common.
macro_rules! meta {
    ($answer:expr, $size:expr) => {{
        let answer = &$answer;
        let mut headers = BTreeMap::new();
        for (name, value) in [
            ("cache-control", &answer.cache_control),
            ("content-disposition", &answer.content_disposition),
            ("content-encoding", &answer.content_encoding),
            ("content-language", &answer.content_language),
            ("expires", &answer.expires_string),
        ] {
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                headers.insert(name.to_owned(), value.clone());
            }
        }
        let mut checksums = BTreeMap::new();
        for (name, value) in [
            ("CRC64NVME", &answer.checksum_crc64_nvme),
            ("CRC32C", &answer.checksum_crc32_c),
            ("CRC32", &answer.checksum_crc32),
            ("SHA256", &answer.checksum_sha256),
            ("SHA1", &answer.checksum_sha1),
        ] {
            if let Some(value) = value {
                checksums.insert(name.to_owned(), value.clone());
            }
        }
        let class = answer.storage_class.as_ref().map(|class| class.as_str().to_owned());
        let restored =
            answer.restore.as_deref().is_some_and(|r| r.contains("ongoing-request=\"false\""));
        ObjectMeta {
            size: $size,
            last_modified: answer.last_modified.as_ref().and_then(time),
            etag: answer.e_tag.as_deref().map(unquote),
            version: answer.version_id.clone().filter(|version| version != "null"),
            archived: matches!(class.as_deref(), Some("GLACIER" | "DEEP_ARCHIVE")) && !restored,
            storage_class: class,
            content_type: answer.content_type.clone(),
            headers,
            metadata: answer.metadata.clone().unwrap_or_default().into_iter().collect(),
            checksums,
            encryption: match &answer.sse_customer_algorithm {
                Some(_) => Some("SSE-C".to_owned()),
                None => answer.server_side_encryption.as_ref().map(|sse| sse.as_str().to_owned()),
            },
            kms_key: answer.ssekms_key_id.clone(),
            tag_count: answer.tag_count.and_then(|count| u32::try_from(count).ok()),
            link: false,
        }
    }};
}

fn length(content_length: Option<i64>) -> u64 {
    content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

fn is_kms(sse: Option<&ServerSideEncryption>) -> bool {
    matches!(sse, Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse))
}

/// Leaves the hash of the body out of the signature where TLS protects it and a checksum proves it.
macro_rules! unsigned_body {
    ($builder:expr, $store:expr, $sums:expr) => {{
        let request = $builder.customize();
        if $store.is_https() && !$sums.is_none() {
            request.disable_payload_signing()
        } else {
            request
        }
    }};
}

/// The SDK's client and the store it belongs to.
#[derive(Debug)]
pub(crate) struct Sdk<'a> {
    pub(crate) store: &'a S3Store,
    pub(crate) client: Client,
}

impl Sdk<'_> {
    fn failure<E>(
        &self,
        operation: &'static str,
        bucket: &str,
        key: &str,
        failure: SdkError<E, HttpResponse>,
    ) -> Failure
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        Failure::of_sdk(operation, &target(bucket, key), self.store.connection(), failure)
    }

    pub(crate) async fn head(
        &self,
        object: &ObjectPath,
        version: Option<&str>,
    ) -> Result<ObjectMeta, Failure> {
        let answer = customer_key!(self.client.head_object(), self.store)
            .bucket(&object.bucket)
            .key(&object.key)
            .set_version_id(version.map(str::to_owned))
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .map_err(|failure| self.failure("HeadObject", &object.bucket, &object.key, failure))?;
        let mut meta = meta!(answer, length(answer.content_length));
        meta.archived |= answer.archive_status.is_some();
        Ok(meta)
    }

    pub(crate) async fn get(
        &self,
        object: &ObjectPath,
        version: Option<&str>,
        if_match: Option<&str>,
        range: Option<&str>,
    ) -> Result<Opened, Failure> {
        let answer = customer_key!(self.client.get_object(), self.store)
            .bucket(&object.bucket)
            .key(&object.key)
            .set_version_id(version.map(str::to_owned))
            .set_if_match(if_match.map(quoted))
            .set_range(range.map(str::to_owned))
            .customize()
            // Asked for by hand: the SDK would otherwise check it too, and cannot go on after a
            // broken connection.
            .mutate_request(|request| {
                request.headers_mut().insert("x-amz-checksum-mode", "ENABLED");
            })
            .send()
            .await
            .map_err(|failure| self.failure("GetObject", &object.bucket, &object.key, failure))?;
        let meta = meta!(answer, 0);
        Ok(Opened {
            meta,
            length: length(answer.content_length),
            range: answer.content_range,
            body: Source::Sdk(answer.body),
        })
    }

    pub(crate) async fn put(
        &self,
        object: &ObjectPath,
        body: &Payload,
        sums: &Sums,
        options: &PutOptions,
    ) -> Result<Stored, Failure> {
        let expires = expires(options).map_err(Failure::unanswered)?;
        let request = new_object!(self.client.put_object(), self.store, options)
            .bucket(&object.bucket)
            .key(&object.key)
            .set_checksum_crc64_nvme(sums.crc.clone())
            .set_content_md5(sums.content_md5())
            .body(ByteStream::from(body.read().await.map_err(Failure::unread)?));
        let request = conditional!(described!(request, options, expires), options);
        let answer = unsigned_body!(request, self.store, sums)
            .send()
            .await
            .map_err(|failure| self.failure("PutObject", &object.bucket, &object.key, failure))?;
        Ok(Stored {
            etag: answer.e_tag.as_deref().map(unquote),
            version: answer.version_id,
            crc: answer.checksum_crc64_nvme,
            kms: is_kms(answer.server_side_encryption.as_ref()),
        })
    }

    pub(crate) async fn upload_part(
        &self,
        upload: &Upload,
        number: i32,
        body: &Payload,
        sums: &Sums,
    ) -> Result<Stored, Failure> {
        let request = customer_key!(self.client.upload_part(), self.store)
            .bucket(&upload.bucket)
            .key(&upload.key)
            .upload_id(&upload.id)
            .part_number(number)
            .set_checksum_crc64_nvme(sums.crc.clone())
            .set_content_md5(sums.content_md5())
            .body(ByteStream::from(body.read().await.map_err(Failure::unread)?));
        let answer = unsigned_body!(request, self.store, sums)
            .send()
            .await
            .map_err(|failure| self.failure("UploadPart", &upload.bucket, &upload.key, failure))?;
        Ok(Stored {
            etag: answer.e_tag.as_deref().map(unquote),
            version: None,
            crc: answer.checksum_crc64_nvme,
            kms: is_kms(answer.server_side_encryption.as_ref()),
        })
    }

    pub(crate) async fn copy(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        if_match: Option<&str>,
        crc: bool,
        options: &PutOptions,
    ) -> Result<Stored, Failure> {
        let expires = expires(options).map_err(Failure::unanswered)?;
        let request = new_object!(self.client.copy_object(), self.store, options);
        let request = source_key!(request, self.store)
            .bucket(&to.bucket)
            .key(&to.key)
            .copy_source(copy_source(from))
            .set_copy_source_if_match(if_match.map(quoted))
            .set_tagging_directive(options.tags.as_ref().map(|_| TaggingDirective::Replace))
            .set_checksum_algorithm(crc.then_some(ChecksumAlgorithm::Crc64Nvme));
        let request = conditional!(request, options);
        let answer = if replaces(options) {
            described!(request, options, expires)
                .metadata_directive(MetadataDirective::Replace)
                .send()
                .await
        } else {
            request.send().await
        };
        let answer =
            answer.map_err(|failure| self.failure("CopyObject", &to.bucket, &to.key, failure))?;
        let copied = answer.copy_object_result;
        Ok(Stored {
            etag: copied.as_ref().and_then(|it| it.e_tag.as_deref()).map(unquote),
            crc: copied.and_then(|it| it.checksum_crc64_nvme),
            version: answer.version_id,
            kms: false,
        })
    }

    pub(crate) async fn copy_part(
        &self,
        from: &ObjectPath,
        range: &str,
        if_match: Option<&str>,
        upload: &Upload,
        number: i32,
    ) -> Result<Stored, Failure> {
        let request = customer_key!(self.client.upload_part_copy(), self.store);
        let answer = source_key!(request, self.store)
            .bucket(&upload.bucket)
            .key(&upload.key)
            .upload_id(&upload.id)
            .part_number(number)
            .copy_source(copy_source(from))
            .copy_source_range(range)
            .set_copy_source_if_match(if_match.map(quoted))
            .send()
            .await
            .map_err(|failure| {
                self.failure("UploadPartCopy", &upload.bucket, &upload.key, failure)
            })?;
        let copied = answer.copy_part_result;
        Ok(Stored {
            etag: copied.as_ref().and_then(|it| it.e_tag.as_deref()).map(unquote),
            crc: copied.and_then(|it| it.checksum_crc64_nvme),
            ..Stored::default()
        })
    }

    pub(crate) async fn delete(&self, object: &ObjectPath) -> Result<(), Failure> {
        let (bucket, key) = (&object.bucket, &object.key);
        let answer = self.client.delete_object().bucket(bucket).key(key).send().await;
        answer.map(drop).map_err(|failure| self.failure("DeleteObject", bucket, key, failure))
    }

    pub(crate) async fn delete_many(
        &self,
        bucket: &str,
        keys: &[Doomed<'_>],
    ) -> Result<Vec<Refused>, Failure> {
        let missing = |error| {
            let error = Error::new(ErrorCode::Internal, "no keys to delete").source(error);
            Failure::unanswered(error)
        };
        let objects: Vec<ObjectIdentifier> = keys
            .iter()
            .map(|Doomed { key, etag }| {
                ObjectIdentifier::builder().key(*key).set_e_tag(etag.map(quoted)).build()
            })
            .collect::<Result<_, _>>()
            .map_err(missing)?;
        let delete =
            Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(missing)?;
        let answer = self
            .client
            .delete_objects()
            .bucket(bucket)
            .delete(delete)
            .send()
            .await
            .map_err(|failure| self.failure("DeleteObjects", bucket, "", failure))?;
        let refused = answer.errors.unwrap_or_default().into_iter().map(|refusal| Refused {
            key: refusal.key.unwrap_or_default(),
            code: refusal.code.unwrap_or_default(),
            message: refusal.message.unwrap_or_default(),
        });
        Ok(refused.collect())
    }

    pub(crate) async fn page(
        &self,
        bucket: &str,
        request: &PageRequest<'_>,
    ) -> Result<Page, Failure> {
        let PageRequest { prefix, delimiter, token, start_after, most } = *request;
        let answer = self
            .client
            .list_objects_v2()
            .bucket(bucket)
            .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
            .set_delimiter(delimiter.map(str::to_owned))
            .set_continuation_token(token.map(str::to_owned))
            .set_start_after(start_after.map(str::to_owned))
            .set_max_keys(most)
            .encoding_type(EncodingType::Url)
            .send()
            .await
            .map_err(|failure| self.failure("ListObjectsV2", bucket, prefix, failure))?;
        let encoded = answer.encoding_type == Some(EncodingType::Url);
        let exact = |text: String| {
            if encoded { decode(&text).map_err(Failure::unanswered) } else { Ok(text) }
        };
        let folders = answer.common_prefixes.unwrap_or_default().into_iter();
        let objects = answer.contents.unwrap_or_default().into_iter();
        Ok(Page {
            folders: folders
                .filter_map(|folder| folder.prefix.map(exact))
                .collect::<Result<_, _>>()?,
            objects: objects
                .filter_map(|object| {
                    let key = exact(object.key?);
                    let etag = object.e_tag.as_deref().map(unquote);
                    Some(key.map(|key| {
                        let mut row = Row::object(&key, etag.as_deref());
                        row.size = object.size.and_then(|size| u64::try_from(size).ok());
                        row.last_modified = object.last_modified.as_ref().and_then(time);
                        row.storage_class = object.storage_class.map(|class| class.as_str().into());
                        row
                    }))
                })
                .collect::<Result<_, _>>()?,
            truncated: answer.is_truncated.unwrap_or(false),
            token: answer.next_continuation_token.filter(|token| !token.is_empty()),
            encoded: false,
        })
    }
}
