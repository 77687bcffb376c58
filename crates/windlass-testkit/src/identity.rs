//! Who may do what: identities, roles and the sessions that roles hand out.
//!
//! Rights are globs over `bucket` or `bucket/key`; nothing here knows HTTP or S3 types.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::{Duration, SystemTime};

/// One pair of keys and what it may do.
///
/// A pattern of `read` and `write` without `/` covers a bucket and every key in it; one with `/`
/// covers only the keys it matches (`acme-landing/orders/*`), and listings whose prefix it matches.
/// `*` stands for any text, `/` included; `?` for one character.
#[derive(Clone, Default)]
pub struct TestIdentity {
    /// The access key id.
    pub access_key_id: String,
    /// The secret key.
    pub secret_access_key: String,
    /// For temporary credentials: the token every request must carry.
    pub session_token: Option<String>,
    /// What it may read and list.
    pub read: Vec<String>,
    /// What it may write and delete; `CreateBucket` needs a pattern for the whole bucket.
    pub write: Vec<String>,
    /// Whether it may list all buckets.
    pub list_buckets: bool,
    /// Operations refused whatever the patterns say, by name: `HeadBucket`, `GetBucketLocation`.
    pub deny: Vec<String>,
    /// From when on the credentials answer `ExpiredToken`.
    pub expires: Option<SystemTime>,
}

impl TestIdentity {
    /// An identity without rights.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            ..Self::default()
        }
    }

    /// An identity that may do everything.
    pub fn admin(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self::new(access_key_id, secret_access_key).read(["*"]).write(["*"]).list_buckets()
    }

    /// Adds patterns to what may be read.
    #[must_use]
    pub fn read<S: Into<String>>(mut self, patterns: impl IntoIterator<Item = S>) -> Self {
        self.read.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Adds patterns to what may be written.
    #[must_use]
    pub fn write<S: Into<String>>(mut self, patterns: impl IntoIterator<Item = S>) -> Self {
        self.write.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Lets it list all buckets.
    #[must_use]
    pub fn list_buckets(mut self) -> Self {
        self.list_buckets = true;
        self
    }

    /// Refuses operations by name.
    #[must_use]
    pub fn deny<S: Into<String>>(mut self, operations: impl IntoIterator<Item = S>) -> Self {
        self.deny.extend(operations.into_iter().map(Into::into));
        self
    }
}

impl fmt::Debug for TestIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIdentity")
            .field("access_key_id", &self.access_key_id)
            .field("read", &self.read)
            .field("write", &self.write)
            .field("list_buckets", &self.list_buckets)
            .field("deny", &self.deny)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A role that can be assumed, with its trust policy and its rights.
#[derive(Clone)]
pub struct TestRole {
    /// `arn:aws:iam::000000000000:role/loader`
    pub arn: String,
    /// The external id a caller must give.
    pub external_id: Option<String>,
    /// Access key ids that may assume it; empty means every known one.
    pub allowed: Vec<String>,
    /// A source identity the caller must give.
    pub source_identity: Option<String>,
    /// The token of `AssumeRoleWithWebIdentity`; without it that call is refused.
    pub web_identity_token: Option<String>,
    /// The longest `DurationSeconds`.
    pub max_duration: Duration,
    /// Overrides the lifetime of what is handed out (AWS gives 900 s at least), so that a test of
    /// refreshing does not take a quarter of an hour.
    pub lifetime: Option<Duration>,
    /// As [`TestIdentity::read`].
    pub read: Vec<String>,
    /// As [`TestIdentity::write`].
    pub write: Vec<String>,
    /// As [`TestIdentity::list_buckets`].
    pub list_buckets: bool,
}

impl TestRole {
    /// A role everyone known may assume and that may do everything.
    pub fn new(arn: impl Into<String>) -> Self {
        Self {
            arn: arn.into(),
            external_id: None,
            allowed: Vec::new(),
            source_identity: None,
            web_identity_token: None,
            max_duration: Duration::from_hours(12),
            lifetime: None,
            read: vec!["*".to_owned()],
            write: vec!["*".to_owned()],
            list_buckets: true,
        }
    }

    /// Demands an external id.
    #[must_use]
    pub fn external_id(mut self, external_id: impl Into<String>) -> Self {
        self.external_id = Some(external_id.into());
        self
    }

    /// Trusts one access key id (repeatable).
    #[must_use]
    pub fn allow(mut self, access_key_id: impl Into<String>) -> Self {
        self.allowed.push(access_key_id.into());
        self
    }

    /// Overrides the lifetime of the credentials.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// The name after the last `/` of the ARN.
    pub(crate) fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or(&self.arn)
    }
}

impl fmt::Debug for TestRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRole")
            .field("arn", &self.arn)
            .field("allowed", &self.allowed)
            .field("read", &self.read)
            .field("write", &self.write)
            .finish_non_exhaustive()
    }
}

/// One answered `AssumeRole`, `AssumeRoleWithWebIdentity` or `GetSessionToken`.
#[derive(Debug, Clone)]
pub struct AssumedSession {
    /// The temporary access key id.
    pub access_key_id: String,
    /// Who asked: an access key id, or `web-identity`.
    pub caller: String,
    /// The role, or empty for `GetSessionToken`.
    pub role_arn: String,
    /// `RoleSessionName`.
    pub session_name: String,
    /// `SourceIdentity`.
    pub source_identity: Option<String>,
    /// The duration asked for.
    pub duration: Duration,
}

/// What an access key id stands for.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) identity: TestIdentity,
    pub(crate) arn: String,
    pub(crate) user_id: String,
    pub(crate) temporary: bool,
}

/// All identities, roles and sessions of one service.
#[derive(Default)]
pub(crate) struct Identities {
    pub(crate) known: HashMap<String, Known>,
    pub(crate) roles: BTreeMap<String, TestRole>,
    pub(crate) sessions: Vec<AssumedSession>,
}

/// What a right is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Read,
    Write,
    Either,
}

/// What a right is asked on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// The bucket as a whole.
    Bucket,
    /// A listing below a prefix.
    Listing(&'a str),
    /// One key.
    Key(&'a str),
    /// Some keys not known yet; each is asked for later.
    Some,
}

impl TestIdentity {
    pub(crate) fn may(&self, right: Right, bucket: &str, scope: Scope<'_>) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|it| covers(it, bucket, scope));
        match right {
            Right::Read => any(&self.read),
            Right::Write => any(&self.write),
            Right::Either => any(&self.read) || any(&self.write),
        }
    }
}

fn covers(pattern: &str, bucket: &str, scope: Scope<'_>) -> bool {
    let Some((of_bucket, of_key)) = pattern.split_once('/') else {
        return glob(pattern, bucket);
    };
    if !glob(of_bucket, bucket) {
        return false;
    }
    match scope {
        Scope::Bucket => false,
        Scope::Some => true,
        Scope::Listing(text) | Scope::Key(text) => glob(of_key, text),
    }
}

/// Whether `text` matches `pattern`, where `*` is any text and `?` one character.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            p = at + 1;
            t = from + 1;
            star = Some((at, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_without_slash_covers_the_bucket_and_its_keys() {
        let it = TestIdentity::new("k", "s").read(["acme-*"]);
        assert!(it.may(Right::Read, "acme-landing", Scope::Bucket));
        assert!(it.may(Right::Read, "acme-landing", Scope::Key("a/b")));
        assert!(!it.may(Right::Read, "other", Scope::Key("a/b")));
        assert!(!it.may(Right::Write, "acme-landing", Scope::Key("a/b")));
    }

    #[test]
    fn a_pattern_with_slash_covers_only_its_keys_and_listings() {
        let it = TestIdentity::new("k", "s").read(["lake/orders/*"]);
        assert!(it.may(Right::Read, "lake", Scope::Key("orders/a/b.csv")));
        assert!(it.may(Right::Read, "lake", Scope::Listing("orders/")));
        assert!(!it.may(Right::Read, "lake", Scope::Listing("")));
        assert!(!it.may(Right::Read, "lake", Scope::Bucket));
        assert!(!it.may(Right::Read, "lake", Scope::Key("other/a")));
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut it = TestIdentity::admin("key", "canary-secret");
        it.session_token = Some("canary-token".to_owned());
        let mut role = TestRole::new("arn:r").external_id("canary-external");
        role.web_identity_token = Some("canary-web".to_owned());
        assert!(!format!("{it:?}{role:?}").contains("canary"));
    }
}
