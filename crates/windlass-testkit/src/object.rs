//! What is stored: objects, their versions, attributes, checksums and encryption.
//!
//! Pure values; where they live is [`crate::memory`]'s business.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::{Checksum, ChecksumAlgorithm, ETag, Metadata, ServerSideEncryption, Timestamp};
use s3s::{S3Result, s3_error};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One version of a key.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    /// `null` while the bucket keeps no versions.
    pub(crate) id: String,
    pub(crate) modified: SystemTime,
    /// Nothing is a delete marker.
    pub(crate) object: Option<Arc<Object>>,
}

/// The id of a version in a bucket that keeps none.
pub(crate) const NULL_VERSION: &str = "null";

impl Version {
    /// The id as answers carry it: only if the bucket keeps versions.
    pub(crate) fn shown_id(&self) -> Option<String> {
        (self.id != NULL_VERSION).then(|| self.id.clone())
    }
}

/// All versions of a key, newest last, never empty.
pub(crate) type Versions = Vec<Version>;

/// Bytes with everything that is said about them.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) body: Bytes,
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) attributes: Attributes,
}

impl Object {
    pub(crate) fn new(body: Bytes, attributes: Attributes) -> Self {
        let etag = hex(&fingerprint(&body, &attributes.encryption));
        Self { body, etag, attributes }
    }

    pub(crate) fn dto_etag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }

    pub(crate) fn size(&self) -> i64 {
        i64::try_from(self.body.len()).unwrap_or(i64::MAX)
    }
}

/// What is said about an object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) website_redirect: Option<String>,
    pub(crate) metadata: Option<Metadata>,
    /// Nothing is `STANDARD`.
    pub(crate) storage_class: Option<String>,
    pub(crate) acl: Option<String>,
    pub(crate) encryption: Encryption,
    pub(crate) tags: Vec<(String, String)>,
    /// Of an archived one: whether it is being restored, or was.
    pub(crate) restore: Restore,
    pub(crate) checksum: Checksum,
    /// The sizes of the parts it was uploaded in.
    pub(crate) parts: Vec<usize>,
}

/// How far the restoration of an archived object is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Restore {
    #[default]
    None,
    Asked,
    Done,
}

impl Attributes {
    /// Whether it must be restored before it can be read.
    pub(crate) fn is_archived(&self) -> bool {
        matches!(self.storage_class.as_deref(), Some("GLACIER" | "DEEP_ARCHIVE"))
            && self.restore != Restore::Done
    }

    /// The value of x-amz-restore.
    pub(crate) fn restore_header(&self) -> Option<String> {
        let done = "ongoing-request=\"false\", expiry-date=\"Fri, 31 Dec 2100 00:00:00 GMT\"";
        match self.restore {
            Restore::None => None,
            Restore::Asked => Some("ongoing-request=\"true\"".to_owned()),
            Restore::Done => Some(done.to_owned()),
        }
    }
}

/// A content encoding without `aws-chunked`, which is of the way and not of the object.
pub(crate) fn lasting_encoding(encoding: Option<&str>) -> Option<String> {
    let kept: Vec<&str> =
        encoding?.split(',').map(str::trim).filter(|it| *it != "aws-chunked").collect();
    (!kept.is_empty() && kept != [""]).then(|| kept.join(", "))
}

/// How an object says it is encrypted; the bytes are kept as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Encryption {
    #[default]
    None,
    Aes256,
    Kms {
        algorithm: String,
        key: Option<String>,
        context: Option<String>,
    },
    /// The MD5 of the customer's key.
    Customer(String),
}

impl Encryption {
    /// What the headers of a write ask for.
    pub(crate) fn asked(
        server: Option<&ServerSideEncryption>,
        kms_key: Option<&str>,
        context: Option<&str>,
        customer: Option<String>,
    ) -> S3Result<Self> {
        match (server, customer) {
            (Some(_), Some(_)) => Err(s3_error!(
                InvalidArgument,
                "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
            )),
            (None, Some(md5)) => Ok(Self::Customer(md5)),
            (None, None) if kms_key.is_some() => Err(s3_error!(
                InvalidArgument,
                "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"
            )),
            (None, None) => Ok(Self::None),
            (Some(server), None) => match server.as_str() {
                "AES256" if kms_key.is_none() => Ok(Self::Aes256),
                "aws:kms" | "aws:kms:dsse" => Ok(Self::Kms {
                    algorithm: server.as_str().to_owned(),
                    key: kms_key.map(str::to_owned),
                    context: context.map(str::to_owned),
                }),
                _ => Err(s3_error!(
                    InvalidArgument,
                    "The encryption method specified is not supported"
                )),
            },
        }
    }

    /// Refuses a reader who has not the key the object was written with.
    pub(crate) fn unlock(&self, customer: Option<&str>) -> S3Result<()> {
        match (self, customer) {
            (Self::Customer(stored), Some(given)) if stored == given => Ok(()),
            (Self::Customer(_), Some(_)) => Err(s3_error!(
                InvalidRequest,
                "The provided encryption parameters did not match the ones used originally."
            )),
            (Self::Customer(_), None) => Err(s3_error!(
                InvalidRequest,
                "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."
            )),
            (_, Some(_)) => Err(s3_error!(
                InvalidRequest,
                "The encryption parameters are not applicable to this object."
            )),
            (_, None) => Ok(()),
        }
    }

    pub(crate) fn server(&self) -> Option<ServerSideEncryption> {
        match self {
            Self::Aes256 => Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
            Self::Kms { algorithm, .. } => Some(ServerSideEncryption::from(algorithm.clone())),
            Self::None | Self::Customer(_) => None,
        }
    }

    pub(crate) fn kms_key(&self) -> Option<String> {
        match self {
            Self::Kms { key, .. } => Some(key.clone().unwrap_or_else(|| {
                "arn:aws:kms:us-east-1:000000000000:key/aws-managed".to_owned()
            })),
            _ => None,
        }
    }

    pub(crate) fn context(&self) -> Option<String> {
        match self {
            Self::Kms { context, .. } => context.clone(),
            _ => None,
        }
    }

    pub(crate) fn customer_algorithm(&self) -> Option<String> {
        matches!(self, Self::Customer(_)).then(|| "AES256".to_owned())
    }

    pub(crate) fn customer_md5(&self) -> Option<String> {
        match self {
            Self::Customer(md5) => Some(md5.clone()),
            _ => None,
        }
    }
}

/// Checks the three headers of a customer's key; the answer is the MD5 that stands for the key.
pub(crate) fn customer_key(
    algorithm: Option<&str>,
    key: Option<&str>,
    key_md5: Option<&str>,
) -> S3Result<Option<String>> {
    let Some(key) = key else {
        return match (algorithm, key_md5) {
            (None, None) => Ok(None),
            _ => Err(s3_error!(
                InvalidArgument,
                "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key."
            )),
        };
    };
    if algorithm != Some("AES256") {
        return Err(s3_error!(
            InvalidArgument,
            "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm."
        ));
    }
    let bytes = BASE64.decode(key).ok().filter(|it| it.len() == 32);
    let Some(bytes) = bytes else {
        return Err(s3_error!(
            InvalidArgument,
            "The secret key was invalid for the specified algorithm."
        ));
    };
    let md5 = BASE64.encode(Md5::digest(&bytes));
    if key_md5 != Some(md5.as_str()) {
        return Err(s3_error!(
            InvalidArgument,
            "The calculated MD5 hash of the key did not match the hash that was provided."
        ));
    }
    Ok(Some(md5))
}

/// The 16 bytes behind an `ETag`. As on AWS they are not the MD5 of the content if that is encrypted
/// with a key of KMS or of the customer, so that nobody relies on it.
pub(crate) fn fingerprint(body: &[u8], encryption: &Encryption) -> [u8; 16] {
    let mut md5 = Md5::new();
    md5.update(body);
    match encryption {
        Encryption::None | Encryption::Aes256 => {}
        Encryption::Kms { .. } => md5.update(b"sse-kms"),
        Encryption::Customer(key) => md5.update(key.as_bytes()),
    }
    md5.finalize().into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Now, in whole seconds as S3 keeps times.
pub(crate) fn now() -> SystemTime {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The names of the checksum headers, without `x-amz-checksum-`.
pub(crate) const ALGORITHMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// The checksum of one algorithm, by its header name.
pub(crate) fn of<'a>(checksum: &'a Checksum, algorithm: &str) -> Option<&'a String> {
    match algorithm {
        "crc32" => checksum.checksum_crc32.as_ref(),
        "crc32c" => checksum.checksum_crc32c.as_ref(),
        "crc64nvme" => checksum.checksum_crc64nvme.as_ref(),
        "sha1" => checksum.checksum_sha1.as_ref(),
        _ => checksum.checksum_sha256.as_ref(),
    }
}

/// Where the checksum of one algorithm is kept.
pub(crate) fn of_mut<'a>(checksum: &'a mut Checksum, algorithm: &str) -> &'a mut Option<String> {
    match algorithm {
        "crc32" => &mut checksum.checksum_crc32,
        "crc32c" => &mut checksum.checksum_crc32c,
        "crc64nvme" => &mut checksum.checksum_crc64nvme,
        "sha1" => &mut checksum.checksum_sha1,
        _ => &mut checksum.checksum_sha256,
    }
}

/// The header name of the algorithm a request asks for.
pub(crate) fn algorithm_name(algorithm: &ChecksumAlgorithm) -> Option<&'static str> {
    ALGORITHMS.into_iter().find(|it| it.eq_ignore_ascii_case(algorithm.as_str()))
}

/// Computes the checksum of one algorithm, in base64.
pub(crate) fn compute(algorithm: &str, body: &[u8]) -> Option<String> {
    let mut hasher = ChecksumHasher::default();
    match algorithm {
        "crc32" => hasher.crc32 = Some(Crc32::new()),
        "crc32c" => hasher.crc32c = Some(Crc32c::new()),
        "crc64nvme" => hasher.crc64nvme = Some(Crc64Nvme::new()),
        "sha1" => hasher.sha1 = Some(Sha1::new()),
        _ => hasher.sha256 = Some(Sha256::new()),
    }
    hasher.update(body);
    of(&hasher.finalize(), algorithm).cloned()
}

/// Refuses a body that is not what its sender says it is; the answer is what to keep.
pub(crate) fn verify(
    body: &[u8],
    claimed: &Checksum,
    algorithm: Option<&ChecksumAlgorithm>,
    md5: Option<&str>,
) -> S3Result<Checksum> {
    if let Some(md5) = md5 {
        let claimed = BASE64.decode(md5).ok().filter(|it| it.len() == 16);
        let Some(claimed) = claimed else {
            return Err(s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid."));
        };
        if claimed[..] != Md5::digest(body)[..] {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            ));
        }
    }
    let asked = algorithm.and_then(algorithm_name);
    let mut kept = Checksum::default();
    for name in ALGORITHMS {
        let claim = of(claimed, name);
        if claim.is_none() && asked != Some(name) {
            continue;
        }
        let computed = compute(name, body);
        if claim.is_some() && claim != computed.as_ref() {
            return Err(s3_error!(
                BadDigest,
                "The {} you specified did not match the calculated checksum.",
                name.to_uppercase()
            ));
        }
        *of_mut(&mut kept, name) = computed;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_checksum_or_md5_is_refused_and_a_right_one_kept() {
        let body = b"hello";
        let claimed = Checksum { checksum_crc32: compute("crc32", body), ..Checksum::default() };
        let kept = verify(body, &claimed, None, Some("XUFAKrxLKna5cZ2REBfFkg==")).unwrap();
        assert_eq!(kept.checksum_crc32.as_deref(), Some("NhCmhg=="));
        assert!(verify(b"hullo", &claimed, None, None).is_err());
        assert!(
            verify(b"hullo", &Checksum::default(), None, Some("XUFAKrxLKna5cZ2REBfFkg==")).is_err()
        );
        assert!(verify(body, &Checksum::default(), None, Some("!")).is_err());
        let sha256 = ChecksumAlgorithm::from_static("SHA256");
        let kept = verify(body, &Checksum::default(), Some(&sha256), None).unwrap();
        assert!(kept.checksum_sha256.is_some() && kept.checksum_crc32.is_none());
    }

    #[test]
    fn only_the_key_that_wrote_may_read() {
        let key = BASE64.encode([7; 32]);
        let md5 = BASE64.encode(Md5::digest([7; 32]));
        let stored = customer_key(Some("AES256"), Some(&key), Some(&md5)).unwrap();
        let locked = Encryption::asked(None, None, None, stored.clone()).unwrap();
        assert!(locked.unlock(stored.as_deref()).is_ok());
        assert!(locked.unlock(Some("other")).is_err());
        assert!(locked.unlock(None).is_err());
        assert!(Encryption::None.unlock(stored.as_deref()).is_err());
        assert!(customer_key(Some("AES256"), Some(&key), Some("no")).is_err());
        assert!(customer_key(Some("AES256"), Some("c2hvcnQ="), Some(&md5)).is_err());
        assert!(customer_key(None, Some(&key), Some(&md5)).is_err());
    }
}
