//! Proof that the bytes stored or read are the bytes meant.
//!
//! REQUIRED sends CRC-64/NVME with every body and needs the service to take it. AUTO does so on AWS;
//! with ENDPOINT the first write carries both it and Content-MD5, and the answer tells: a service
//! that gives the checksum back is sent nothing else from then on, any other only Content-MD5, whose
//! value is also compared with the `ETag`. Checksums go in headers, never as trailers: some services
//! store a trailer as part of the data. NONE sends and compares nothing.

use crate::failure::Failure;
use crate::payload::Payload;
use crate::wire::hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest};
use md5::{Digest as _, Md5};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use windlass_types::connection::{Checksums, Encryption};
use windlass_types::{Error, ErrorCode, S3Spec};

/// Name of the checksum we send, as S3 writes it.
pub(crate) const CRC64: &str = "CRC64NVME";

/// MD5 over this much is done where it cannot hold up other tasks.
const LONG: usize = 256 * 1024;

/// CRC-64 over this much too: it is some thirty times as fast.
const LONG_CRC: usize = 4 * 1024 * 1024;

/// What is known of a service's checksums; learnt from answers under AUTO.
#[derive(Debug)]
pub(crate) struct Support {
    mode: Checksums,
    aws: bool,
    learnt: AtomicU8,
}

const UNKNOWN: u8 = 0;
const YES: u8 = 1;
const NO: u8 = 2;

impl Support {
    pub(crate) fn new(spec: &S3Spec) -> Self {
        Self { mode: spec.checksums, aws: spec.endpoint.is_none(), learnt: AtomicU8::new(UNKNOWN) }
    }

    /// What to send with a whole object.
    pub(crate) fn plan(&self) -> Plan {
        match (self.mode, self.aws, self.learnt.load(Ordering::Relaxed)) {
            (Checksums::None, ..) => Plan { crc: false, md5: false },
            (Checksums::Required, ..) | (_, true, _) | (.., YES) => Plan { crc: true, md5: false },
            (.., NO) => Plan { crc: false, md5: true },
            _ => Plan { crc: true, md5: true },
        }
    }

    /// What to send with a part: its upload was created with the checksum only if that is certain.
    pub(crate) fn plan_part(&self) -> Plan {
        let plan = self.plan();
        if plan.crc && plan.md5 { Plan { crc: false, md5: true } } else { plan }
    }

    /// Whether it is still to be found out.
    fn asking(&self) -> bool {
        self.mode == Checksums::Auto && !self.aws && self.learnt.load(Ordering::Relaxed) == UNKNOWN
    }

    /// Learns from an accepted write whether the checksum came back.
    pub(crate) fn learn(&self, gave_back: bool) {
        if self.asking() {
            self.learnt.store(if gave_back { YES } else { NO }, Ordering::Relaxed);
        }
    }

    /// Whether a refusal may be about the checksum: then it is not sent again, and the write is
    /// worth another try.
    pub(crate) fn blame(&self, failure: &Failure) -> bool {
        let code = failure.code.as_str();
        let suspicious = matches!(failure.status, 400 | 501)
            && (code.is_empty()
                || [
                    "Checksum",
                    "Digest",
                    "NotImplemented",
                    "InvalidRequest",
                    "InvalidArgument",
                    "Header",
                ]
                .iter()
                .any(|word| code.contains(word)));
        if suspicious && self.asking() {
            self.learnt.store(NO, Ordering::Relaxed);
            return true;
        }
        false
    }
}

/// Which checksums a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) crc: bool,
    pub(crate) md5: bool,
}

/// The checksums of a body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    /// CRC-64/NVME, base64.
    pub(crate) crc: Option<String>,
    md5: Option<[u8; 16]>,
}

impl Sums {
    /// Computes what the plan asks for. Fails only where a file cannot be read.
    pub(crate) async fn of(body: &Payload, plan: Plan) -> io::Result<Self> {
        if !plan.crc && !plan.md5 {
            return Ok(Self::default());
        }
        let long = if plan.md5 { LONG } else { LONG_CRC };
        if matches!(body, Payload::Bytes(bytes) if bytes.len() < long) {
            return Self::compute(body, plan);
        }
        let shared = body.clone();
        match tokio::task::spawn_blocking(move || Self::compute(&shared, plan)).await {
            Ok(sums) => sums,
            // Only if the runtime is shutting down.
            Err(_) => Self::compute(body, plan),
        }
    }

    fn compute(body: &Payload, plan: Plan) -> io::Result<Self> {
        let mut crc = plan.crc.then(|| Digest::new(CrcAlgorithm::Crc64Nvme));
        let mut md5 = plan.md5.then(Md5::new);
        body.each(|piece| {
            if let Some(crc) = &mut crc {
                crc.update(piece);
            }
            if let Some(md5) = &mut md5 {
                md5.update(piece);
            }
        })?;
        Ok(Self {
            crc: crc.map(|crc| STANDARD.encode(crc.finalize().to_be_bytes())),
            md5: md5.map(|md5| md5.finalize().into()),
        })
    }

    /// Whether nothing proves the body.
    pub(crate) fn is_none(&self) -> bool {
        self.crc.is_none() && self.md5.is_none()
    }

    /// The value of Content-MD5.
    pub(crate) fn content_md5(&self) -> Option<String> {
        self.md5.map(|sum| STANDARD.encode(sum))
    }

    /// Compares with what the service says it stored; whether that proved it.
    pub(crate) fn verify(
        &self,
        target: &str,
        spec: &S3Spec,
        etag: Option<&str>,
        crc: Option<&str>,
        kms: bool,
    ) -> Result<bool, Error> {
        let mut proven = false;
        if let (Some(sent), Some(stored)) = (&self.crc, crc) {
            if sent != stored {
                return Err(corrupt_write(target, "its checksum is another"));
            }
            proven = true;
        }
        // The ETag is the MD5 of the body unless the service encrypts with a key of ours or KMS.
        let comparable =
            !kms && matches!(spec.encryption, Encryption::Default | Encryption::Aes256);
        if let (Some(sent), Some(etag), true) = (&self.md5, etag, comparable)
            && etag.len() == 32
            && etag.bytes().all(|b| b.is_ascii_hexdigit())
        {
            if !hex(sent).eq_ignore_ascii_case(etag) {
                return Err(corrupt_write(target, "its ETag is not the MD5 of what was sent"));
            }
            proven = true;
        }
        Ok(proven)
    }
}

fn corrupt_write(target: &str, why: &str) -> Error {
    Error::new(
        ErrorCode::ObjectCorrupt,
        format!("the service stored other bytes at `{target}` than were sent: {why}"),
    )
    .hint("write it again; a service whose ETags are no MD5 needs CHECKSUMS = NONE or REQUIRED")
}

/// The CRCs that services store, the best first: as S3 writes them, and their bytes.
const CRCS: [(&str, CrcAlgorithm, usize); 3] = [
    (CRC64, CrcAlgorithm::Crc64Nvme, 8),
    ("CRC32C", CrcAlgorithm::Crc32Iscsi, 4),
    ("CRC32", CrcAlgorithm::Crc32IsoHdlc, 4),
];

/// The CRC of a whole object, as its service stores it.
#[derive(Debug, Clone, Copy)]
pub struct StoredCrc {
    /// As S3 writes it: `CRC64NVME`, `CRC32C`, `CRC32`.
    pub name: &'static str,
    /// How it is computed.
    pub algorithm: CrcAlgorithm,
    /// The sum.
    pub value: u64,
}

impl StoredCrc {
    /// Picks the best that covers the whole object among checksums as in
    /// [`crate::ObjectMeta::checksums`]; composite ones (`…-5`) do not. What has another length than
    /// the algorithm's is none of its sums: moto gives four bytes as a CRC64NVME.
    pub fn among(checksums: &BTreeMap<String, String>) -> Option<Self> {
        CRCS.into_iter().find_map(|(name, algorithm, width)| {
            let bytes = STANDARD.decode(checksums.get(name)?).ok()?;
            let value = bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
            (bytes.len() == width).then_some(Self { name, algorithm, value })
        })
    }
}

/// A checksum of a whole object that is being read.
pub(crate) struct Expected {
    stored: StoredCrc,
    digest: Digest,
}

impl Expected {
    /// The one to hold what is read against, if there is any.
    pub(crate) fn among(checksums: &BTreeMap<String, String>) -> Option<Self> {
        let stored = StoredCrc::among(checksums)?;
        Some(Self { stored, digest: Digest::new(stored.algorithm) })
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// Compares at the end.
    pub(crate) fn verify(&self, target: &str) -> Result<(), Error> {
        if self.digest.finalize() == self.stored.value {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::ObjectCorrupt,
            format!(
                "the bytes read from `{target}` do not have its checksum ({})",
                self.stored.name
            ),
        )
        .hint("read it again; if it happens again the object or the way to it is damaged"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn known_bodies_have_known_sums() {
        let sums =
            Sums::compute(&Bytes::from_static(b"123456789").into(), Plan { crc: true, md5: true })
                .unwrap();
        // CRC-64/NVME check value ae8b14860a799888.
        assert_eq!(sums.crc.as_deref(), Some("rosUhgp5mIg="));
        assert_eq!(sums.content_md5().as_deref(), Some("JfnnlDI7RTiF9RgfG2JNCw=="));
        let mut checksums = BTreeMap::from([("CRC32".to_owned(), "y/Q5Jg==".to_owned())]);
        let mut expected = Expected::among(&checksums).unwrap();
        expected.update(b"123456789");
        expected.verify("b/k").unwrap();
        expected.update(b"!");
        assert_eq!(expected.verify("b/k").unwrap_err().code(), ErrorCode::ObjectCorrupt);
        // Too short for what it is called: the next is taken.
        checksums.insert(CRC64.to_owned(), "icEkAA==".to_owned());
        assert_eq!(Expected::among(&checksums).unwrap().stored.name, "CRC32");
        checksums.insert("CRC32".to_owned(), "y/Q5Jg==-3".to_owned());
        assert!(Expected::among(&checksums).is_none());
    }
}
