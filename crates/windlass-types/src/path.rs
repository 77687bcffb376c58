//! Where things are: `s3://bucket/key`, `CONN:BUCKET/KEY`, and what a bound connection may name.
//!
//! Keys are opaque text: `//`, `.`, `..` and control characters are kept as they are.

use crate::error::{Error, ErrorCode, Result};
use crate::name::Name;
use std::fmt;
use std::path::PathBuf;

/// An absolute `s3://bucket/key` text. The key may be empty or a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct S3Url {
    /// Bucket name or access point ARN.
    pub bucket: String,
    /// Key or prefix; may be empty.
    pub key: String,
}

impl S3Url {
    /// Reads `s3://bucket[/key]`. The key is literal: nothing in it is decoded.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix("s3://").or_else(|| text.strip_prefix("s3a://")).ok_or_else(
            || {
                Error::new(ErrorCode::PathInvalid, format!("`{text}` is not an S3 URL"))
                    .hint("write `s3://bucket/prefix`")
            },
        )?;
        let (bucket, key) = split_bucket(rest)?;
        Ok(Self { bucket, key })
    }
}

impl fmt::Display for S3Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl std::str::FromStr for S3Url {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// One object: a bucket and an exact, non-empty key.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct ObjectPath {
    /// Bucket name or access point ARN.
    pub bucket: String,
    /// Exact key.
    pub key: String,
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, self.key)
    }
}

/// A resolved place on a service: everything, a bucket, a prefix or a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// None means the list of buckets.
    pub bucket: Option<String>,
    /// Key, prefix or glob; may be empty.
    pub key: String,
}

impl Location {
    /// The bucket and key, if both are there: an object.
    pub fn object(&self) -> Result<ObjectPath> {
        match &self.bucket {
            Some(bucket) if !self.key.is_empty() => {
                Ok(ObjectPath { bucket: bucket.clone(), key: self.key.clone() })
            }
            _ => Err(Error::new(ErrorCode::PathInvalid, "this needs a key, not a bucket")
                .hint("write `CONN:BUCKET/KEY`")),
        }
    }

    /// The bucket, or an error that says one is needed.
    pub fn need_bucket(&self) -> Result<&str> {
        self.bucket.as_deref().ok_or_else(|| {
            Error::new(ErrorCode::PathInvalid, "this needs a bucket")
                .hint("write `CONN:BUCKET/PREFIX`")
        })
    }
}

/// Splits `BUCKET/KEY`; the bucket may be an access point or outpost ARN, which holds slashes.
fn split_bucket(text: &str) -> Result<(String, String)> {
    let (bucket, key) = if text.starts_with("arn:") {
        // arn:aws:s3:region:account:accesspoint/name or …:s3-outposts:…:outpost/id/accesspoint/name
        let marker = ["accesspoint/", "accesspoint:"]
            .iter()
            .filter_map(|m| text.find(m).map(|at| at + m.len()))
            .min();
        let at = marker.ok_or_else(|| {
            Error::new(ErrorCode::PathInvalid, format!("`{text}` is not an access point ARN"))
                .hint("an access point is `arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME`")
        })?;
        match text[at..].find('/') {
            Some(slash) => (&text[..at + slash], &text[at + slash + 1..]),
            None => (text, ""),
        }
    } else {
        text.split_once('/').unwrap_or((text, ""))
    };
    check_bucket(bucket)?;
    if key.len() > 1024 {
        return Err(Error::new(
            ErrorCode::PathInvalid,
            format!("a key has at most 1,024 bytes; this one has {}", key.len()),
        ));
    }
    Ok((bucket.to_owned(), key.to_owned()))
}

/// Checks a bucket name loosely, so that old and S3-compatible names pass; ARNs pass.
pub fn check_bucket(bucket: &str) -> Result<()> {
    let arn = bucket.starts_with("arn:")
        && [":accesspoint", "/accesspoint"].iter().any(|kind| bucket.contains(kind));
    let plain = (1..=255).contains(&bucket.len())
        && bucket.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && bucket != "."
        && bucket != "..";
    if arn || plain {
        return Ok(());
    }
    Err(Error::new(ErrorCode::PathInvalid, format!("`{bucket}` is not a bucket name"))
        .hint("a bucket name has lower-case letters, digits, `-` and `.`; an access point is given by its ARN"))
}

/// What a connection is bound to: nothing, a bucket, or one folder of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding {
    /// The only bucket that can be named.
    pub bucket: Option<String>,
    /// The only folder of it; empty or ending in `/`.
    pub prefix: String,
}

impl Binding {
    /// What a path typed after `CONN:` means. Pure text: keys may hold anything. Only where a bucket
    /// stands first, and so no key, one `/` before it means nothing.
    pub fn resolve(&self, path: &str) -> Result<Location> {
        match &self.bucket {
            Some(bucket) => {
                // Literal, also a `/` at the beginning: `/a` and `a` are two keys.
                let key = format!("{}{path}", self.prefix);
                check_key(&key)?;
                Ok(Location { bucket: Some(bucket.clone()), key })
            }
            None if path.is_empty() || path == "/" => {
                Ok(Location { bucket: None, key: String::new() })
            }
            None => {
                let (bucket, key) = split_bucket(path.strip_prefix('/').unwrap_or(path))?;
                Ok(Location { bucket: Some(bucket), key })
            }
        }
    }

    /// What an absolute URL means; refused outside the binding.
    pub fn resolve_url(&self, url: &S3Url) -> Result<Location> {
        self.check(&url.bucket, &url.key)?;
        Ok(Location { bucket: Some(url.bucket.clone()), key: url.key.clone() })
    }

    /// Reads either an absolute `s3://` text or a relative path.
    pub fn resolve_any(&self, text: &str) -> Result<Location> {
        if text.starts_with("s3://") || text.starts_with("s3a://") {
            self.resolve_url(&S3Url::parse(text)?)
        } else {
            self.resolve(text)
        }
    }

    /// An error unless `bucket` and `key` (or prefix) lie inside.
    pub fn check(&self, bucket: &str, key: &str) -> Result<()> {
        let Some(bound) = &self.bucket else { return Ok(()) };
        if bound != bucket || !key.starts_with(&self.prefix) {
            return Err(Error::new(
                ErrorCode::PathOutside,
                format!("`s3://{bucket}/{key}` is outside `s3://{bound}/{}`, to which the connection is bound", self.prefix),
            )
            .hint("use a path inside it, or another connection"));
        }
        Ok(())
    }

    /// What to type after `CONN:` to name this bucket and key.
    pub fn relative(&self, bucket: &str, key: &str) -> String {
        match &self.bucket {
            Some(_) => key.strip_prefix(self.prefix.as_str()).unwrap_or(key).to_owned(),
            None if key.is_empty() => bucket.to_owned(),
            None => format!("{bucket}/{key}"),
        }
    }
}

fn check_key(key: &str) -> Result<()> {
    if key.len() > 1024 {
        return Err(Error::new(
            ErrorCode::PathInvalid,
            format!("a key has at most 1,024 bytes; this one has {}", key.len()),
        ));
    }
    Ok(())
}

/// An argument of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `CONN:PATH`, or `s3://bucket/key` through the connection `s3`.
    Remote {
        /// The connection.
        connection: Name,
        /// What follows the colon, or the whole `s3://` text.
        path: String,
    },
    /// A path of this machine.
    Local(PathBuf),
    /// `-`: standard input or output.
    Stdio,
}

impl Address {
    /// Reads an argument. `./a:b`, `/a:b` and anything without `:` is local.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::new(ErrorCode::UsageInvalid, "a path cannot be empty")
                .hint("write `CONN:BUCKET/PREFIX`, or `.` for this folder"));
        }
        if text == "-" {
            return Ok(Self::Stdio);
        }
        if let Some(rest) = text.strip_prefix("s3://").or_else(|| text.strip_prefix("s3a://")) {
            // The scheme alone stands for all buckets.
            let path = if rest.is_empty() { "" } else { text };
            if !rest.is_empty() {
                S3Url::parse(text)?;
            }
            return Ok(Self::Remote { connection: Name::new("s3")?, path: path.to_owned() });
        }
        if text.starts_with(['.', '/', '~']) {
            return Ok(Self::Local(text.into()));
        }
        let colon = if text.starts_with('"') {
            text.get(1..).and_then(|rest| rest.find("\":")).map(|at| at + 2)
        } else {
            text.find(':')
        };
        match colon {
            Some(at) => Ok(Self::Remote {
                connection: Name::parse(&text[..at]).map_err(|error| {
                    error.hint("a local path with `:` in it is written `./a:b`")
                })?,
                path: text[at + 1..].to_owned(),
            }),
            None => Ok(Self::Local(text.into())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote { path, .. } if path.starts_with("s3://") => f.write_str(path),
            Self::Remote { connection, path } => write!(f, "{connection}:{path}"),
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Stdio => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_url_prints_and_reads_back(bucket in "[a-z][a-z0-9.-]{2,40}", key in "\\PC{0,60}") {
            let url = S3Url { bucket, key };
            prop_assert_eq!(S3Url::parse(&url.to_string()).unwrap(), url);
        }

        #[test]
        fn a_bound_connection_never_leaves_its_folder(path in "\\PC{0,60}") {
            let binding = Binding { bucket: Some("lake".into()), prefix: "raw/".into() };
            if let Ok(location) = binding.resolve(&path) {
                prop_assert!(location.key.starts_with("raw/"));
                prop_assert_eq!(location.bucket.as_deref(), Some("lake"));
            }
        }
    }

    #[test]
    fn an_access_point_arn_stands_where_a_bucket_does() {
        let arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/finance";
        let url = S3Url::parse(&format!("s3://{arn}/a/b.csv")).unwrap();
        assert_eq!((url.bucket.as_str(), url.key.as_str()), (arn, "a/b.csv"));
        assert_eq!(Binding::default().resolve(arn).unwrap().bucket.as_deref(), Some(arn));
    }

    #[test]
    fn arguments_tell_connections_from_local_paths() {
        let remote = |text| matches!(Address::parse(text), Ok(Address::Remote { .. }));
        let local = |text| matches!(Address::parse(text), Ok(Address::Local(_)));
        assert!(
            remote("landing:bucket/key") && remote("s3://bucket/key") && remote("\"My Conn\":b/k")
        );
        assert!(local("./a:b") && local("/tmp/a:b") && local("plain"));
        assert_eq!(Address::parse("-").unwrap(), Address::Stdio);
        assert!(Address::parse("a b:c").is_err());
    }

    #[test]
    fn a_slash_at_the_beginning_belongs_to_the_key() {
        let bound = Binding { bucket: Some("lake".into()), prefix: String::new() };
        for key in ["/a.txt", "a.txt", "//a", "/", "a//b"] {
            assert_eq!(bound.resolve(key).unwrap().key, key);
            assert_eq!(bound.relative("lake", key), key);
        }
        let folder = Binding { bucket: Some("lake".into()), prefix: "a/".into() };
        assert_eq!(folder.resolve("/b").unwrap().key, "a//b");
        assert_eq!(folder.relative("lake", "a//b"), "/b");
        // No bucket begins with `/`, so nothing else can be meant; a key keeps its own.
        let all = Binding::default();
        for path in ["/lake//a", "lake//a"] {
            let location = all.resolve(path).unwrap();
            assert_eq!((location.bucket.as_deref(), location.key.as_str()), (Some("lake"), "/a"));
        }
        assert_eq!(all.relative("lake", "/a"), "lake//a");
        assert_eq!(all.resolve("/").unwrap().bucket, None);
        assert!(all.resolve("//lake/a").is_err());
    }

    #[test]
    fn outside_the_binding_is_refused() {
        let binding = Binding { bucket: Some("lake".into()), prefix: "raw/".into() };
        assert!(binding.resolve_any("s3://lake/rawer/x").is_err());
        assert!(binding.resolve_any("s3://other/raw/x").is_err());
        assert_eq!(binding.resolve_any("s3://lake/raw/x").unwrap().key, "raw/x");
        assert_eq!(binding.relative("lake", "raw/x"), "x");
    }
}
