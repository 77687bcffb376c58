//! Which permission each verb needs, and the least IAM policy that grants them.
//!
//! [`VERBS`] is the one table: policies, the hints of `TEST CONNECTION` and error messages read it.
//! Pure: a policy is decided from the spec alone, and knows nothing of what the account has.

use serde_json::{Value, json};
use windlass_types::connection::{Encryption, S3Spec};
use windlass_types::{Error, ErrorCode, Result};

/// What a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// List and read: the source of a copy, queries.
    Read,
    /// Also write and delete: the target of a copy, moves.
    Full,
    /// Crawl: read, tags and metrics.
    Catalog,
}

impl std::str::FromStr for Purpose {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "read" => Ok(Self::Read),
            "full" => Ok(Self::Full),
            "catalog" => Ok(Self::Catalog),
            _ => Err(Error::new(
                ErrorCode::UsageInvalid,
                format!("`{text}` is not a purpose of a policy"),
            )
            .hint("a policy is for `read`, `full` or `catalog`")),
        }
    }
}

/// What an action is granted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Nothing: everybody may.
    Nobody,
    /// `*`: the action knows no narrower resource.
    All,
    /// The bucket.
    Bucket,
    /// The bucket, limited to keys by the `s3:prefix` condition.
    Listing,
    /// The objects.
    Object,
    /// The KMS key.
    Key,
    /// The role to assume.
    Role,
}

/// Something the product does to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Ask who we are.
    Identify,
    /// Assume the role.
    AssumeRole,
    /// List the buckets of the account.
    ListBuckets,
    /// Find a bucket's region.
    BucketRegion,
    /// List keys.
    List,
    /// Ask for an object's metadata.
    Stat,
    /// Read an object.
    Read,
    /// Read an older version.
    ReadVersion,
    /// List older versions and delete markers.
    ListVersions,
    /// Delete a version, or the marker that hides one.
    DeleteVersion,
    /// Read an object's ACL.
    ReadAcl,
    /// Sign a URL that reads.
    PresignGet,
    /// Write an object.
    Write,
    /// Set an object's ACL.
    WriteAcl,
    /// Write an object in parts.
    Multipart,
    /// Copy inside the service.
    Copy,
    /// Sign a URL that writes.
    PresignPut,
    /// Delete an object.
    Delete,
    /// Read the tags of a bucket.
    BucketTags,
    /// Read the tags of an object.
    ObjectTags,
    /// Read what is encrypted under a KMS key.
    DecryptKms,
    /// Write encrypted under a KMS key.
    EncryptKms,
    /// Read bucket metrics.
    Metrics,
    /// List uploads that were begun and not ended.
    ListUploads,
    /// Create a bucket.
    CreateBucket,
    /// Remove an empty bucket.
    DeleteBucket,
}

/// A row of [`VERBS`].
#[derive(Debug, Clone, Copy)]
pub struct VerbRow {
    /// The verb.
    pub verb: Verb,
    /// Its name in tables and documentation.
    pub name: &'static str,
    /// The calls we make for it.
    pub operations: &'static [&'static str],
    /// The IAM actions those need.
    pub actions: &'static [&'static str],
    /// What they are granted on.
    pub on: Resource,
    /// The policies that hold them.
    pub purposes: &'static [Purpose],
}

const EVERY: &[Purpose] = &[Purpose::Read, Purpose::Full, Purpose::Catalog];
const READS: &[Purpose] = &[Purpose::Read, Purpose::Full];
const FULL: &[Purpose] = &[Purpose::Full];
const CATALOG: &[Purpose] = &[Purpose::Catalog];

macro_rules! verbs {
    ($($verb:ident $name:literal [$($operation:literal)*] [$($action:literal)*] $on:ident $purposes:expr;)+) => {
        /// Every verb, what it calls, and what it needs.
        pub const VERBS: &[VerbRow] = &[$(VerbRow {
            verb: Verb::$verb,
            name: $name,
            operations: &[$($operation),*],
            actions: &[$($action),*],
            on: Resource::$on,
            purposes: $purposes,
        },)+];
    };
}

// CreateBucket and DeleteBucket stand in no policy: M-C4 does not name them, and a connection that
// only moves files must not be able to remove a bucket; no more need it know of the past, or erase
// it. `notes` says so.
verbs! {
    Identify "identify" ["GetCallerIdentity"] ["sts:GetCallerIdentity"] Nobody &[];
    AssumeRole "assume role" ["AssumeRole"] ["sts:AssumeRole"] Role EVERY;
    ListBuckets "list buckets" ["ListBuckets"] ["s3:ListAllMyBuckets"] All EVERY;
    BucketRegion "bucket region" ["GetBucketLocation"] ["s3:GetBucketLocation"] Bucket EVERY;
    List "list" ["ListObjectsV2" "HeadBucket"] ["s3:ListBucket"] Listing EVERY;
    Stat "stat" ["HeadObject"] ["s3:GetObject"] Object EVERY;
    Read "read" ["GetObject"] ["s3:GetObject"] Object EVERY;
    ReadVersion "read version" [] ["s3:GetObjectVersion"] Object READS;
    ListVersions "list versions" ["ListObjectVersions"] ["s3:ListBucketVersions"] Bucket &[];
    DeleteVersion "delete version" ["DeleteObjectVersion"] ["s3:DeleteObjectVersion"] Object &[];
    ReadAcl "read acl" ["GetObjectAcl"] ["s3:GetObjectAcl"] Object FULL;
    PresignGet "presign get" [] ["s3:GetObject"] Object EVERY;
    Write "write" ["PutObject"] ["s3:PutObject"] Object FULL;
    WriteAcl "write acl" ["PutObjectAcl"] ["s3:PutObjectAcl"] Object FULL;
    Multipart "multipart" ["CreateMultipartUpload" "UploadPart" "UploadPartCopy" "CompleteMultipartUpload" "AbortMultipartUpload" "ListParts"]
        ["s3:PutObject" "s3:AbortMultipartUpload" "s3:ListMultipartUploadParts"] Object FULL;
    ListUploads "list uploads" ["ListMultipartUploads"] ["s3:ListBucketMultipartUploads"] Bucket FULL;
    Copy "copy" ["CopyObject"] ["s3:GetObject" "s3:PutObject" "s3:GetObjectTagging" "s3:PutObjectTagging"] Object FULL;
    PresignPut "presign put" [] ["s3:PutObject"] Object FULL;
    Delete "delete" ["DeleteObject" "DeleteObjects"] ["s3:DeleteObject"] Object FULL;
    BucketTags "bucket tags" ["GetBucketTagging"] ["s3:GetBucketTagging"] Bucket CATALOG;
    ObjectTags "object tags" ["GetObjectTagging"] ["s3:GetObjectTagging"] Object CATALOG;
    DecryptKms "decrypt with KMS" [] ["kms:Decrypt"] Key EVERY;
    EncryptKms "encrypt with KMS" [] ["kms:GenerateDataKey" "kms:Decrypt"] Key FULL;
    Metrics "metrics" ["GetMetricData"] ["cloudwatch:GetMetricData"] All CATALOG;
    CreateBucket "create bucket" ["CreateBucket"] ["s3:CreateBucket"] Bucket &[];
    DeleteBucket "delete bucket" ["DeleteBucket"] ["s3:DeleteBucket"] Bucket &[];
}

/// The IAM actions a verb needs.
pub fn actions_for(verb: Verb) -> &'static [&'static str] {
    VERBS.iter().find(|row| row.verb == verb).map_or(&[], |row| row.actions)
}

/// The IAM actions of a verb (`read`) or of one of its calls (`GetObject`); empty if unknown.
pub fn actions(name: &str) -> &'static [&'static str] {
    VERBS
        .iter()
        .find(|row| row.name == name || row.operations.contains(&name))
        .map_or(&[], |row| row.actions)
}

/// The AWS partition, from the first ARN or region of the connection that tells it.
pub fn partition(spec: &S3Spec) -> &str {
    let kms = match &spec.encryption {
        Encryption::Kms(key) => Some(key.as_str()),
        _ => None,
    };
    let arns = [spec.binding.bucket.as_deref(), spec.role.as_ref().map(|r| r.arn.as_str()), kms];
    for arn in arns.into_iter().flatten() {
        if let Some(partition) = arn
            .strip_prefix("arn:")
            .and_then(|rest| rest.split(':').next())
            .filter(|p| !p.is_empty())
        {
            return partition;
        }
    }
    let region = spec.region.as_deref().unwrap_or_default();
    [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eusc-", "aws-eusc"),
    ]
    .iter()
    .find(|(start, _)| region.starts_with(start))
    .map_or("aws", |(_, partition)| partition)
}

/// One bucket of a policy and the string prefixes in it; an empty list means all of it.
struct Place {
    bucket: String,
    prefixes: Vec<String>,
}

/// Where the connection may reach: its binding, else what its display filters show, else anywhere.
fn places(spec: &S3Spec) -> Vec<Place> {
    if let Some(bucket) = &spec.binding.bucket {
        let prefixes = match spec.binding.prefix.as_str() {
            "" => Vec::new(),
            prefix => vec![prefix.to_owned()],
        };
        return vec![Place { bucket: bucket.clone(), prefixes }];
    }
    let mut places: Vec<Place> = Vec::new();
    for filter in &spec.display_filters {
        match places.iter_mut().find(|place| place.bucket == filter.bucket) {
            // Already the whole bucket.
            Some(place) if place.prefixes.is_empty() => {}
            Some(place) if filter.key.is_empty() => place.prefixes.clear(),
            Some(place) => place.prefixes.push(filter.key.clone()),
            None => places.push(Place {
                bucket: filter.bucket.clone(),
                prefixes: if filter.key.is_empty() { vec![] } else { vec![filter.key.clone()] },
            }),
        }
    }
    if places.is_empty() {
        places.push(Place { bucket: "*".to_owned(), prefixes: Vec::new() });
    }
    places
}

/// In a policy `*`, `?` and `$` mean something; keys may hold them.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' | '?' | '$' => {
                out.push_str("${");
                out.push(c);
                out.push('}');
            }
            c => out.push(c),
        }
    }
    out
}

impl Place {
    fn arn(&self, partition: &str) -> String {
        if self.bucket.starts_with("arn:") {
            self.bucket.clone()
        } else {
            format!("arn:{partition}:s3:::{}", self.bucket)
        }
    }

    /// Objects of an access point stand below `/object/` of its ARN.
    fn objects(&self, partition: &str) -> Vec<String> {
        let base = self.arn(partition);
        let middle = if self.bucket.starts_with("arn:") { "/object/" } else { "/" };
        if self.prefixes.is_empty() {
            return vec![format!("{base}{middle}*")];
        }
        self.prefixes.iter().map(|prefix| format!("{base}{middle}{}*", escaped(prefix))).collect()
    }

    /// Values of the `s3:prefix` condition: the folder itself, and what is in it.
    fn listed(&self) -> Vec<String> {
        self.prefixes
            .iter()
            .flat_map(|prefix| match prefix.strip_suffix('/') {
                Some(folder) => [escaped(folder), format!("{}/*", escaped(folder))],
                None => [escaped(prefix), format!("{}*", escaped(prefix))],
            })
            .collect()
    }

    /// Outposts and Object Lambda name the same actions after themselves.
    fn service(&self) -> &str {
        match self.bucket.split(':').nth(2) {
            Some(service @ ("s3-outposts" | "s3-object-lambda")) => service,
            _ => "s3",
        }
    }

    fn name(&self, action: &str) -> String {
        match action.strip_prefix("s3:") {
            Some(rest) => format!("{}:{rest}", self.service()),
            None => action.to_owned(),
        }
    }
}

/// The key as a policy names it: resource and condition. A policy cannot name an alias, so that
/// becomes every key that has it.
fn key_resource(spec: &S3Spec, key: &str, partition: &str) -> (String, Option<Value>) {
    let region = spec.region.as_deref().filter(|_| spec.endpoint.is_none()).unwrap_or("*");
    let (base, name) = match key.rsplit_once(':') {
        Some((base, name)) => (base.to_owned(), name),
        None => (format!("arn:{partition}:kms:{region}:*"), key),
    };
    if name.starts_with("alias/") {
        let condition = json!({"ForAnyValue:StringEquals": {"kms:ResourceAliases": name}});
        return (format!("{base}:key/*"), Some(condition));
    }
    let id = name.strip_prefix("key/").unwrap_or(name);
    (format!("{base}:key/{id}"), None)
}

/// The actions of a purpose on one kind of resource, each once, in the order of the table.
///
/// ACLs only where the connection has one to set: buckets of today have them switched off.
fn granted(spec: &S3Spec, purpose: Purpose, on: Resource) -> Vec<&'static str> {
    let mut actions = Vec::new();
    let wanted = |row: &&VerbRow| {
        row.on == on
            && row.purposes.contains(&purpose)
            && (spec.acl.is_some() || !matches!(row.verb, Verb::ReadAcl | Verb::WriteAcl))
    };
    for row in VERBS.iter().filter(wanted) {
        for &action in row.actions {
            if !actions.contains(&action) {
                actions.push(action);
            }
        }
    }
    actions
}

fn statement(
    sid: &str,
    actions: &[String],
    resources: &[String],
    condition: Option<Value>,
) -> Value {
    let mut statement =
        json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources});
    if let (Some(condition), Some(map)) = (condition, statement.as_object_mut()) {
        map.insert("Condition".to_owned(), condition);
    }
    statement
}

fn owned(actions: &[&str]) -> Vec<String> {
    actions.iter().map(|&action| action.to_owned()).collect()
}

/// Decides the least policy for `purpose`, as IAM's JSON.
///
/// Refused for [`Purpose::Full`] on a `READ_ONLY` connection: it could use none of it.
pub fn policy(spec: &S3Spec, purpose: Purpose) -> Result<Value> {
    if spec.read_only && purpose == Purpose::Full {
        return Err(Error::new(
            ErrorCode::ConnectionReadOnly,
            "the connection is READ_ONLY, so a policy for writing is not for it",
        )
        .hint("ask for the policy `--for read` or `--for catalog`, or create a connection without READ_ONLY"));
    }
    let partition = partition(spec);
    let places = places(spec);
    let star = ["*".to_owned()];
    let mut statements = Vec::new();
    let everywhere = spec.binding.bucket.is_none() && spec.display_filters.is_empty();
    for (sid, verb) in [("ListBuckets", Verb::ListBuckets), ("Metrics", Verb::Metrics)] {
        let row = VERBS.iter().find(|row| row.verb == verb);
        let wanted = row.is_some_and(|row| row.purposes.contains(&purpose))
            && (verb != Verb::ListBuckets || everywhere);
        if wanted {
            statements.push(statement(sid, &owned(actions_for(verb)), &star, None));
        }
    }
    for (index, place) in places.iter().enumerate() {
        let number = if places.len() > 1 { (index + 1).to_string() } else { String::new() };
        let named = |on| -> Vec<String> {
            granted(spec, purpose, on).into_iter().map(|action| place.name(action)).collect()
        };
        let bucket = [place.arn(partition)];
        statements.push(statement(
            &format!("Bucket{number}"),
            &named(Resource::Bucket),
            &bucket,
            None,
        ));
        let condition = (!place.prefixes.is_empty())
            .then(|| json!({"StringLike": {"s3:prefix": place.listed()}}));
        let listing = named(Resource::Listing);
        statements.push(statement(&format!("List{number}"), &listing, &bucket, condition));
        let objects = place.objects(partition);
        let sid = format!("Objects{number}");
        statements.push(statement(&sid, &named(Resource::Object), &objects, None));
    }
    if let Encryption::Kms(key) = &spec.encryption {
        let (resource, condition) = key_resource(spec, key, partition);
        let actions = owned(&granted(spec, purpose, Resource::Key));
        statements.push(statement("EncryptionKey", &actions, &[resource], condition));
    }
    if let Some(role) = &spec.role {
        let mut actions = owned(actions_for(Verb::AssumeRole));
        if role.source_identity.is_some() {
            actions.push("sts:SetSourceIdentity".to_owned());
        }
        let sid = "AssumeRoleGoesToTheIdentityTheRestToTheRole";
        statements.push(statement(sid, &actions, std::slice::from_ref(&role.arn), None));
    }
    Ok(json!({"Version": "2012-10-17", "Statement": statements}))
}

/// What a person must know beside the policy, one sentence each.
pub fn notes(spec: &S3Spec, purpose: Purpose) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(role) = &spec.role {
        let external = match role.external_id {
            Some(_) => " under the condition `sts:ExternalId`",
            None => "",
        };
        notes.push(format!(
            "the last statement belongs to the identity that assumes `{}`, the others to the role; the role's trust policy must also allow that identity{external}",
            role.arn
        ));
    }
    if places(spec).iter().any(|place| place.bucket.starts_with("arn:")) {
        notes.push(
            "the policy of the bucket behind the access point must allow it, or delegate to the access point"
                .to_owned(),
        );
    }
    if matches!(&spec.encryption, Encryption::Kms(key) if !key.starts_with("arn:")) {
        notes.push(
            "the KMS key is given without its account, so the policy names it with `*` there; the key's own policy must allow the identity too"
                .to_owned(),
        );
    }
    if purpose == Purpose::Full && spec.binding.prefix.is_empty() {
        notes.push(format!(
            "creating and removing buckets is not in it: `mb` and `rb` need `{}` and `{}`",
            actions_for(Verb::CreateBucket).join("`, `"),
            actions_for(Verb::DeleteBucket).join("`, `")
        ));
    }
    if purpose == Purpose::Full {
        notes.push(format!(
            "the past of versioned buckets is not in it: listing versions needs `{}`, bringing deleted objects back also `{}`",
            actions_for(Verb::ListVersions).join("`, `"),
            actions_for(Verb::DeleteVersion).join("`, `")
        ));
    }
    if spec.endpoint.is_some() {
        notes.push(
            "the service is not AWS; whether it reads IAM policies, and which actions, is its own matter"
                .to_owned(),
        );
    }
    notes
}

#[cfg(test)]
mod tests;
