//! The calls about objects, one request each.
//!
//! Only writing the request and reading the answer: what to ask, and what to make of it, is decided in
//! [`crate::read`] and [`crate::write`], the same for this client and the SDK's.

use super::{Answer, Asked, Call, Content, IN_QUERY, Route, Wire, Xml};
use crate::access::{ObjectMeta, PutOptions, Upload};
use crate::checksum::Sums;
use crate::failure::Failure;
use crate::list::unquote;
use crate::payload::Payload;
use crate::read::{Opened, Source};
use crate::write::{Doomed, Refused, Stored, copy_source, quoted};
use base64::Engine as _;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{CONTENT_TYPE, EXPIRES, IF_MATCH, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue};
use md5::{Digest as _, Md5};
use percent_encoding::utf8_percent_encode;
use std::fmt::Write as _;
use windlass_types::ObjectPath;

const CRC64: HeaderName = HeaderName::from_static("x-amz-checksum-crc64nvme");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");
const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
const COPY_RANGE: HeaderName = HeaderName::from_static("x-amz-copy-source-range");
const COPY_IF_MATCH: HeaderName = HeaderName::from_static("x-amz-copy-source-if-match");
const COPY_CHECKSUM: HeaderName = HeaderName::from_static("x-amz-checksum-algorithm");
const DIRECTIVE: HeaderName = HeaderName::from_static("x-amz-metadata-directive");
const STORAGE_CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");
const ACL: HeaderName = HeaderName::from_static("x-amz-acl");
const TAGGING: HeaderName = HeaderName::from_static("x-amz-tagging");
const TAGGING_DIRECTIVE: HeaderName = HeaderName::from_static("x-amz-tagging-directive");

/// System headers a write may set besides Content-Type and Expires.
const DESCRIBING: [HeaderName; 4] = [
    http::header::CACHE_CONTROL,
    http::header::CONTENT_DISPOSITION,
    http::header::CONTENT_ENCODING,
    http::header::CONTENT_LANGUAGE,
];

fn version_query(version: Option<&str>) -> String {
    version
        .map(|version| format!("versionId={}", utf8_percent_encode(version, IN_QUERY)))
        .unwrap_or_default()
}

fn part_query(upload: &Upload, number: i32) -> String {
    format!("partNumber={number}&uploadId={}", utf8_percent_encode(&upload.id, IN_QUERY))
}

fn add(asked: &mut Asked<'_>, headers: &[(HeaderName, HeaderValue)]) {
    asked.headers.extend_from_slice(headers);
}

/// Adds content headers and user metadata.
fn describe(asked: &mut Asked<'_>, options: &PutOptions) -> Result<(), Failure> {
    if let Some(kind) = &options.content_type {
        asked.header(CONTENT_TYPE, kind)?;
    }
    for name in DESCRIBING {
        if let Some(value) = options.headers.get(name.as_str()) {
            asked.header(name, value)?;
        }
    }
    // That it is a date has been checked.
    if let Some(value) = options.headers.get(EXPIRES.as_str()) {
        asked.header(EXPIRES, value)?;
    }
    for (name, value) in &options.metadata {
        let name = HeaderName::try_from(format!("x-amz-meta-{name}"))
            .map_err(|_| asked.unsayable(format!("the metadata `{name}` is no header's name")))?;
        asked.header(name, value)?;
    }
    Ok(())
}

/// Adds what this object has instead of what the connection says: after the connection's headers.
fn particular(asked: &mut Asked<'_>, options: &PutOptions) -> Result<(), Failure> {
    if let Some(class) = &options.storage_class {
        asked.header(STORAGE_CLASS, class)?;
    }
    if let Some(acl) = &options.acl {
        asked.header(ACL, acl)?;
    }
    if let Some(tags) = crate::tags::header(options) {
        asked.header(TAGGING, &tags)?;
    }
    Ok(())
}

/// Adds the conditions of a write.
fn conditional(asked: &mut Asked<'_>, options: &PutOptions) -> Result<(), Failure> {
    if options.if_none_match {
        asked.fixed(IF_NONE_MATCH, "*");
    }
    if let Some(etag) = &options.if_match {
        asked.header(IF_MATCH, &quoted(etag))?;
    }
    Ok(())
}

/// Adds a body and what proves it.
fn carry(asked: &mut Asked<'_>, body: &Payload, sums: &Sums) -> Result<(), Failure> {
    if let Some(crc) = &sums.crc {
        asked.header(CRC64, crc)?;
    }
    if let Some(md5) = sums.content_md5() {
        asked.header(CONTENT_MD5, &md5)?;
    }
    asked.content = if sums.is_none() || body.len() == 0 {
        Content::Hashed(body.clone())
    } else {
        Content::Bound(body.clone())
    };
    Ok(())
}

/// What an answer to a write says in its headers.
fn stored(answer: &Answer) -> Stored {
    Stored {
        etag: answer.header("etag").map(unquote),
        version: answer.header("x-amz-version-id").map(str::to_owned),
        crc: answer.header("x-amz-checksum-crc64nvme").map(str::to_owned),
        kms: answer
            .header("x-amz-server-side-encryption")
            .is_some_and(|kind| kind.starts_with("aws:kms")),
    }
}

impl Wire {
    /// Asks for metadata; size and all.
    pub(crate) async fn head(
        &self,
        route: &Route,
        object: &ObjectPath,
        version: Option<&str>,
    ) -> Result<ObjectMeta, Failure> {
        let mut asked = Asked::new(Call::Head, &object.bucket, &object.key);
        asked.query = version_query(version);
        asked.fixed(CHECKSUM_MODE, "ENABLED");
        add(&mut asked, &self.customer);
        let answer = self.send(route, &asked).await?;
        let mut meta = meta(&answer.headers);
        meta.size =
            answer.header("content-length").and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Ok(meta)
    }

    /// Opens an object, or a range of it.
    pub(crate) async fn get(
        &self,
        route: &Route,
        object: &ObjectPath,
        version: Option<&str>,
        if_match: Option<&str>,
        range: Option<&str>,
    ) -> Result<Opened, Failure> {
        let mut asked = Asked::new(Call::Get, &object.bucket, &object.key);
        asked.query = version_query(version);
        asked.fixed(CHECKSUM_MODE, "ENABLED");
        if let Some(etag) = if_match {
            asked.header(IF_MATCH, &quoted(etag))?;
        }
        if let Some(range) = range {
            asked.header(RANGE, range)?;
        }
        add(&mut asked, &self.customer);
        let answer = self.send(route, &asked).await?;
        let meta = meta(&answer.headers);
        let range = answer.header("content-range").map(str::to_owned);
        let body = answer.body.ok_or_else(|| self.not_s3(Call::Get, "it has no body"))?;
        Ok(Opened { meta, length: body.length().unwrap_or(0), range, body: Source::Wire(body) })
    }

    /// Writes an object.
    pub(crate) async fn put(
        &self,
        route: &Route,
        object: &ObjectPath,
        body: &Payload,
        sums: &Sums,
        options: &PutOptions,
    ) -> Result<Stored, Failure> {
        let mut asked = Asked::new(Call::Put, &object.bucket, &object.key);
        asked.fixed(CONTENT_TYPE, "application/octet-stream");
        add(&mut asked, &self.fresh);
        particular(&mut asked, options)?;
        describe(&mut asked, options)?;
        conditional(&mut asked, options)?;
        carry(&mut asked, body, sums)?;
        Ok(stored(&self.send(route, &asked).await?))
    }

    /// Writes a part.
    pub(crate) async fn upload_part(
        &self,
        route: &Route,
        upload: &Upload,
        number: i32,
        body: &Payload,
        sums: &Sums,
    ) -> Result<Stored, Failure> {
        let mut asked = Asked::new(Call::UploadPart, &upload.bucket, &upload.key);
        asked.query = part_query(upload, number);
        add(&mut asked, &self.customer);
        carry(&mut asked, body, sums)?;
        Ok(stored(&self.send(route, &asked).await?))
    }

    /// Copies an object.
    pub(crate) async fn copy(
        &self,
        route: &Route,
        from: &ObjectPath,
        to: &ObjectPath,
        if_match: Option<&str>,
        crc: bool,
        options: &PutOptions,
    ) -> Result<Stored, Failure> {
        let mut asked = Asked::new(Call::Copy, &to.bucket, &to.key);
        asked.header(COPY_SOURCE, &copy_source(from))?;
        if let Some(etag) = if_match {
            asked.header(COPY_IF_MATCH, &quoted(etag))?;
        }
        if crc {
            asked.fixed(COPY_CHECKSUM, "CRC64NVME");
        }
        add(&mut asked, &self.fresh);
        particular(&mut asked, options)?;
        if options.tags.is_some() {
            asked.fixed(TAGGING_DIRECTIVE, "REPLACE");
        }
        add(&mut asked, &self.source);
        conditional(&mut asked, options)?;
        if crate::write::replaces(options) {
            describe(&mut asked, options)?;
            asked.fixed(DIRECTIVE, "REPLACE");
        }
        let answer = self.send(route, &asked).await?;
        let copied = self.copied(Call::Copy, &answer)?;
        Ok(Stored { version: stored(&answer).version, ..copied })
    }

    /// Copies a range of an object as a part.
    #[allow(clippy::too_many_arguments, reason = "they are the call's")]
    pub(crate) async fn copy_part(
        &self,
        route: &Route,
        from: &ObjectPath,
        range: &str,
        if_match: Option<&str>,
        upload: &Upload,
        number: i32,
    ) -> Result<Stored, Failure> {
        let mut asked = Asked::new(Call::UploadPartCopy, &upload.bucket, &upload.key);
        asked.query = part_query(upload, number);
        asked.header(COPY_SOURCE, &copy_source(from))?;
        asked.header(COPY_RANGE, range)?;
        if let Some(etag) = if_match {
            asked.header(COPY_IF_MATCH, &quoted(etag))?;
        }
        add(&mut asked, &self.customer);
        add(&mut asked, &self.source);
        let answer = self.send(route, &asked).await?;
        self.copied(Call::UploadPartCopy, &answer)
    }

    fn copied(&self, call: Call, answer: &Answer) -> Result<Stored, Failure> {
        let read = || {
            let mut stored = Stored::default();
            let mut xml = Xml::new(&answer.text);
            xml.root()?;
            while let Some(name) = xml.child()? {
                match name {
                    b"ETag" => stored.etag = Some(unquote(&xml.string()?)),
                    b"ChecksumCRC64NVME" => stored.crc = Some(xml.string()?),
                    _ => xml.skip()?,
                }
            }
            Ok(stored)
        };
        read().map_err(|why: super::xml::Fault| self.not_s3(call, why))
    }

    /// Deletes a key.
    pub(crate) async fn delete(&self, route: &Route, object: &ObjectPath) -> Result<(), Failure> {
        let asked = Asked::new(Call::Delete, &object.bucket, &object.key);
        self.send(route, &asked).await.map(drop)
    }

    /// Deletes up to 1,000 keys that XML can hold; answers those that were refused.
    pub(crate) async fn delete_many(
        &self,
        route: &Route,
        bucket: &str,
        keys: &[Doomed<'_>],
    ) -> Result<Vec<Refused>, Failure> {
        let length = |doomed: &Doomed<'_>| {
            doomed.key.len() + 40 + doomed.etag.map_or(0, |etag| etag.len() + 32)
        };
        let mut text = String::with_capacity(128 + keys.iter().map(length).sum::<usize>());
        text.push_str("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        for Doomed { key, etag } in keys {
            text.push_str("<Object><Key>");
            escape(&mut text, key);
            text.push_str("</Key>");
            if let Some(etag) = etag {
                text.push_str("<ETag>");
                escape(&mut text, &quoted(etag));
                text.push_str("</ETag>");
            }
            text.push_str("</Object>");
        }
        text.push_str("<Quiet>true</Quiet></Delete>");
        let body = Bytes::from(text);
        let mut asked = Asked::new(Call::DeleteMany, bucket, "");
        asked.query.push_str("delete=");
        asked.fixed(CONTENT_TYPE, "application/xml");
        let md5 = base64::engine::general_purpose::STANDARD.encode(Md5::digest(&body));
        asked.header(CONTENT_MD5, &md5)?;
        asked.content = Content::Hashed(body.into());
        let answer = self.send(route, &asked).await?;
        refused(&answer.text).map_err(|why| self.not_s3(Call::DeleteMany, why))
    }
}

/// The keys that a deletion of many leaves.
fn refused(text: &[u8]) -> Result<Vec<Refused>, super::xml::Fault> {
    let mut all = Vec::new();
    let mut xml = Xml::new(text);
    if xml.root()? != b"DeleteResult" {
        return Err("it is no answer to a deletion");
    }
    while let Some(name) = xml.child()? {
        if name != b"Error" {
            xml.skip()?;
            continue;
        }
        let mut one = Refused::default();
        while let Some(name) = xml.child()? {
            match name {
                b"Key" => one.key = xml.string()?,
                b"Code" => one.code = xml.string()?,
                b"Message" => one.message = xml.string()?,
                _ => xml.skip()?,
            }
        }
        all.push(one);
    }
    Ok(all)
}

/// Text as XML holds it; line ends too, which a reader would otherwise make one of.
fn escape(to: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\'' => to.push_str("&apos;"),
            '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' => {
                let _ = write!(to, "&#x{:X};", u32::from(c));
            }
            c => to.push(c),
        }
    }
}

/// Everything the answers of `HeadObject` and `GetObject` have in common.
fn meta(headers: &HeaderMap) -> ObjectMeta {
    let mut meta = ObjectMeta::default();
    let (mut restored, mut customer) = (false, false);
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        if value.is_empty() {
            continue;
        }
        match name.as_str() {
            "last-modified" => meta.last_modified = http_date(&value),
            "etag" => meta.etag = Some(unquote(&value)),
            "x-amz-version-id" => meta.version = (value != "null").then(|| value.into_owned()),
            "content-type" => meta.content_type = Some(value.into_owned()),
            "x-amz-storage-class" => meta.storage_class = Some(value.into_owned()),
            "x-amz-restore" => restored = value.contains("ongoing-request=\"false\""),
            "x-amz-archive-status" => meta.archived = true,
            "x-amz-tagging-count" => meta.tag_count = value.trim().parse().ok(),
            "x-amz-server-side-encryption" => {
                meta.encryption.get_or_insert(value.into_owned());
            }
            "x-amz-server-side-encryption-customer-algorithm" => customer = true,
            "x-amz-server-side-encryption-aws-kms-key-id" => {
                meta.kms_key = Some(value.into_owned());
            }
            name @ ("cache-control"
            | "content-disposition"
            | "content-encoding"
            | "content-language"
            | "expires") => {
                meta.headers.insert(name.to_owned(), value.into_owned());
            }
            name => {
                if let Some(name) = name.strip_prefix("x-amz-meta-") {
                    meta.metadata.insert(name.to_owned(), value.into_owned());
                } else if let Some(name) = name.strip_prefix("x-amz-checksum-")
                    && matches!(name, "crc64nvme" | "crc32c" | "crc32" | "sha256" | "sha1")
                {
                    meta.checksums.insert(name.to_ascii_uppercase(), value.into_owned());
                }
            }
        }
    }
    if customer {
        meta.encryption = Some("SSE-C".to_owned());
    }
    meta.archived |=
        matches!(meta.storage_class.as_deref(), Some("GLACIER" | "DEEP_ARCHIVE")) && !restored;
    meta
}

/// `Fri, 21 Nov 2026 08:15:00 GMT`
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_become_metadata() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("last-modified", "Sat, 21 Nov 2026 08:15:00 GMT"),
            ("etag", "\"e\""),
            ("x-amz-version-id", "null"),
            ("content-type", "text/csv"),
            ("cache-control", "no-cache"),
            ("x-amz-storage-class", "GLACIER"),
            ("x-amz-tagging-count", "2"),
            ("x-amz-restore", "ongoing-request=\"false\", expiry-date=\"x\""),
            ("x-amz-meta-owner", "me"),
            ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
            ("x-amz-checksum-type", "FULL_OBJECT"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "key"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        insta::assert_debug_snapshot!(meta(&headers));
        headers.remove("x-amz-restore");
        assert!(meta(&headers).archived);
    }

    #[test]
    fn keys_reach_a_deletion_and_come_back_exactly() {
        let key = "a<b>&\"'\r\n\tc \u{85}\u{e4}";
        let mut text = String::from("<DeleteResult><Deleted><Key>x</Key></Deleted><Error><Key>");
        escape(&mut text, key);
        text.push_str(
            "</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>",
        );
        let all = refused(text.as_bytes()).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].key.as_str(), all[0].code.as_str()), (key, "AccessDenied"));
        assert!(refused(b"<html></html>").is_err());
    }
}
