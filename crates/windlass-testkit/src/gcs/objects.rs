//! Buckets and objects: listing, reading, deleting, copying.

use super::answer::{Answer, error, xml_error};
use super::{Asked, Inner, Object, PROJECT, crc32c, holds};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{SecondsFormat, Utc};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Rows of a page at most, whatever is asked for: listings of tests have several pages.
const PAGE: usize = 4;

/// Bytes that one call of a rewrite copies.
const REWRITE: usize = 4 << 20;

fn time(time: chrono::DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn md5(object: &Object) -> String {
    STANDARD.encode(Md5::digest(&object.bytes))
}

/// An object as the JSON interface describes it.
pub(super) fn described(bucket: &str, key: &str, object: &Object) -> Value {
    let mut about = object.about.clone();
    about["kind"] = json!("storage#object");
    about["bucket"] = json!(bucket);
    about["name"] = json!(key);
    about["size"] = json!(object.bytes.len().to_string());
    about["generation"] = json!(object.generation.to_string());
    about["timeCreated"] = json!(time(object.created));
    about["updated"] = json!(time(object.created));
    about["storageClass"] = json!("STANDARD");
    about["crc32c"] = json!(crc32c(&object.bytes));
    about["md5Hash"] = json!(md5(object));
    if about["contentType"].is_null() {
        about["contentType"] = json!("application/octet-stream");
    }
    about
}

pub(super) fn no_bucket() -> Answer {
    error(404, "The specified bucket does not exist.")
}

fn no_object(bucket: &str, key: &str) -> Answer {
    error(404, &format!("No such object: {bucket}/{key}"))
}

impl Inner {
    pub(super) fn buckets(&self, asked: &Asked) -> Result<Answer, Answer> {
        if asked.query.get("project").is_none_or(|project| project != PROJECT) {
            return Err(error(400, "Required parameter: project"));
        }
        let mut state = self.lock();
        if asked.method == "POST" {
            let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
            let name = body["name"].as_str().ok_or_else(|| error(400, "Required"))?.to_owned();
            if state.buckets.contains_key(&name) {
                return Err(error(
                    409,
                    "Your previous request to create the named bucket succeeded and you already own it.",
                ));
            }
            state.buckets.insert(name.clone(), BTreeMap::new());
            return Ok(Answer::json(200, &json!({ "name": name })));
        }
        let now = time(Utc::now());
        let items: Vec<Value> =
            state.buckets.keys().map(|name| json!({ "name": name, "timeCreated": now })).collect();
        Ok(Answer::json(200, &json!({ "items": items })))
    }

    pub(super) fn bucket(&self, asked: &Asked, bucket: &str) -> Result<Answer, Answer> {
        let mut state = self.lock();
        let objects = state.buckets.get(bucket).ok_or_else(no_bucket)?;
        if asked.method != "DELETE" {
            return Ok(Answer::json(200, &json!({ "name": bucket })));
        }
        if !objects.is_empty() {
            return Err(error(409, "The bucket you tried to delete is not empty."));
        }
        state.buckets.remove(bucket);
        Ok(Answer::new(204, bytes::Bytes::new()))
    }

    pub(super) fn list(&self, asked: &Asked, bucket: &str) -> Result<Answer, Answer> {
        let state = self.lock();
        let objects = state.buckets.get(bucket).ok_or_else(no_bucket)?;
        let text = |name: &str| asked.query.get(name).cloned().unwrap_or_default();
        let (prefix, delimiter, offset) = (text("prefix"), text("delimiter"), text("startOffset"));
        let after = STANDARD.decode(text("pageToken")).ok();
        let after = after.map(|after| String::from_utf8_lossy(&after).into_owned());
        let most = text("maxResults").parse().unwrap_or(PAGE).min(PAGE);
        let (mut items, mut prefixes, mut last, mut more) = (vec![], vec![], None, false);
        for (key, object) in objects.range(prefix.clone()..) {
            let Some(rest) = key.strip_prefix(&prefix) else { break };
            let folder = (!delimiter.is_empty())
                .then(|| {
                    rest.find(&delimiter).map(|at| &key[..prefix.len() + at + delimiter.len()])
                })
                .flatten();
            let row = folder.unwrap_or(key);
            let seen = after.as_deref().is_some_and(|after| row <= after && !after.is_empty());
            if seen || *key < offset || prefixes.last().is_some_and(|last| last == row) {
                continue;
            }
            if items.len() + prefixes.len() == most {
                more = true;
                break;
            }
            last = Some(row.to_owned());
            match folder {
                Some(folder) => prefixes.push(folder.to_owned()),
                None => items.push(described(bucket, key, object)),
            }
        }
        let mut page = json!({ "kind": "storage#objects" });
        if !items.is_empty() {
            page["items"] = json!(items);
        }
        if !prefixes.is_empty() {
            page["prefixes"] = json!(prefixes);
        }
        if more && let Some(last) = last {
            page["nextPageToken"] = json!(STANDARD.encode(last));
        }
        Ok(Answer::json(200, &page))
    }

    pub(super) fn object(&self, asked: &Asked, bucket: &str, key: &str) -> Result<Answer, Answer> {
        let mut state = self.lock();
        let objects = state.buckets.get_mut(bucket).ok_or_else(no_bucket)?;
        let wanted = asked.generation("ifGenerationMatch")?;
        let object = objects.get(key).ok_or_else(|| no_object(bucket, key))?;
        if asked.generation("generation")?.is_some_and(|version| version != object.generation) {
            return Err(no_object(bucket, key));
        }
        holds(wanted, Some(object))?;
        match asked.method.as_str() {
            "GET" => Ok(Answer::json(200, &described(bucket, key, object))),
            "DELETE" => {
                objects.remove(key);
                Ok(Answer::new(204, bytes::Bytes::new()))
            }
            _ => Err(error(405, "Method Not Allowed")),
        }
    }

    /// Reading, and writing by a signed URL, as the XML interface has it.
    pub(super) fn media(&self, asked: &Asked, bucket: &str, key: &str) -> Result<Answer, Answer> {
        let mut state = self.lock();
        let generation = state.generation + 1;
        let objects =
            state.buckets.get_mut(bucket).ok_or_else(|| xml_error(404, "NoSuchBucket"))?;
        if asked.method == "PUT" {
            let about = json!({ "contentType": asked.header("content-type") });
            let bytes = asked.body.clone();
            let object = Object { bytes, generation, created: Utc::now(), about };
            objects.insert(key.to_owned(), object);
            state.generation = generation;
            return Ok(Answer::new(200, bytes::Bytes::new()));
        }
        let object = objects.get(key).ok_or_else(|| xml_error(404, "NoSuchKey"))?;
        let wanted = asked.header("x-goog-if-generation-match");
        if wanted.is_some_and(|wanted| wanted != object.generation.to_string()) {
            return Err(xml_error(412, "PreconditionFailed"));
        }
        let size = object.bytes.len();
        let (from, to) = match asked.header("range").and_then(|text| text.strip_prefix("bytes=")) {
            None => (0, size),
            Some(range) => {
                let (from, to) = range.split_once('-').unwrap_or_default();
                let number = |text: &str| text.parse::<usize>().ok();
                match (number(from), number(to)) {
                    (Some(from), Some(last)) => (from, (last + 1).min(size)),
                    (Some(from), None) => (from, size),
                    (None, Some(length)) => (size.saturating_sub(length), size),
                    (None, None) => return Err(xml_error(400, "InvalidArgument")),
                }
            }
        };
        let part = asked.header("range").is_some();
        if part && from >= size {
            return Err(xml_error(416, "InvalidRange"));
        }
        let mut answer = Answer::new(if part { 206 } else { 200 }, object.bytes.slice(from..to))
            .header("x-goog-generation", object.generation.to_string())
            .header("x-goog-hash", format!("crc32c={}", crc32c(&object.bytes)))
            .header("x-goog-hash", format!("md5={}", md5(object)))
            .header("x-goog-storage-class", "STANDARD")
            .header(
                "last-modified",
                object.created.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
            );
        if part {
            answer = answer.header("content-range", format!("bytes {from}-{}/{size}", to - 1));
        }
        for (field, name) in [
            ("contentType", "content-type"),
            ("cacheControl", "cache-control"),
            ("contentDisposition", "content-disposition"),
            ("contentEncoding", "content-encoding"),
            ("contentLanguage", "content-language"),
        ] {
            if let Some(value) = object.about[field].as_str() {
                answer = answer.header(name, value);
            }
        }
        for (name, value) in object.about["metadata"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            answer = answer.header(&format!("x-goog-meta-{name}"), value);
        }
        Ok(answer)
    }

    pub(super) fn rewrite(
        &self,
        asked: &Asked,
        (bucket, key): (&str, &str),
        (to, name): (&str, &str),
    ) -> Result<Answer, Answer> {
        let mut state = self.lock();
        let object = state.buckets.get(bucket).ok_or_else(no_bucket)?.get(key);
        let object = object.ok_or_else(|| no_object(bucket, key))?.clone();
        holds(asked.generation("ifSourceGenerationMatch")?, Some(&object))?;
        let there = state.buckets.get(to).ok_or_else(no_bucket)?.get(name);
        holds(asked.generation("ifGenerationMatch")?, there)?;
        let token = asked.query.get("rewriteToken").cloned();
        let done = match &token {
            None => REWRITE,
            Some(token) => {
                let before = state.rewrites.remove(token).ok_or_else(|| error(400, "Invalid"))?;
                before + REWRITE
            }
        };
        if done < object.bytes.len() {
            let token = uuid::Uuid::new_v4().to_string();
            state.rewrites.insert(token.clone(), done);
            return Ok(Answer::json(200, &json!({ "done": false, "rewriteToken": token })));
        }
        state.generation += 1;
        let copy = Object { generation: state.generation, created: Utc::now(), ..object };
        let told = described(to, name, &copy);
        if let Some(objects) = state.buckets.get_mut(to) {
            objects.insert(name.to_owned(), copy);
        }
        Ok(Answer::json(200, &json!({ "done": true, "resource": told })))
    }
}
