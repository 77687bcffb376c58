//! Telling whether bytes are the bytes: MD5 of `ETag`s, and the checksums S3 stores.
//!
//! An `ETag` is an MD5 only of plain objects; a checksum with `-` in it is one of parts. What proves
//! nothing is not used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use sha2::Sha256;
use std::fmt::Write as _;
use windlass_s3::{ObjectMeta, StoredCrc};

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The MD5 that an `ETag` spells, if it does.
pub(crate) fn unhex(etag: &str) -> Option<[u8; 16]> {
    let mut sum = [0; 16];
    for (byte, digits) in sum.iter_mut().zip(is_md5(etag).then(|| etag.as_bytes().chunks(2))?) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(sum)
}

/// Whether an `ETag` has the form of an MD5.
pub(crate) fn is_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether an `ETag` has the form of an upload in parts: MD5 of MD5s, number of parts.
pub(crate) fn is_multipart(etag: &str) -> bool {
    etag.split_once('-').is_some_and(|(sum, parts)| {
        is_md5(sum) && !parts.is_empty() && parts.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether the `ETag`s of a bucket, and of this object, can be MD5s at all: those of directory
/// buckets and of objects encrypted with other keys than S3's own are not.
pub(crate) fn has_md5_etag(bucket: &str, meta: &ObjectMeta) -> bool {
    !bucket.ends_with("--x-s3")
        && meta.encryption.as_deref().is_none_or(|encryption| encryption == "AES256")
}

/// The MD5 that the service gives for the whole of an object: its `ETag`, or one that is kept beside
/// it. Lower-case hexadecimal.
pub(crate) fn stored_md5(bucket: &str, meta: &ObjectMeta) -> Option<String> {
    if let Some(etag) = meta.etag.as_ref().filter(|etag| is_md5(etag))
        && has_md5_etag(bucket, meta)
    {
        return Some(etag.to_ascii_lowercase());
    }
    let sum = STANDARD.decode(meta.checksums.get("MD5")?).ok()?;
    (sum.len() == 16).then(|| hex(&sum))
}

/// What is known of the whole of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expected {
    Crc(CrcAlgorithm, u64),
    Md5(String),
    /// The `ETag` of an upload in parts, and the bytes of each.
    Parts(String, Vec<u64>),
    Sha256(Vec<u8>),
    Nothing,
}

impl Expected {
    /// The best proof that the service gives. A CRC first: parts of it can be joined.
    pub(crate) fn of(bucket: &str, meta: &ObjectMeta) -> Self {
        if let Some(StoredCrc { algorithm, value, .. }) = StoredCrc::among(&meta.checksums) {
            return Self::Crc(algorithm, value);
        }
        if let Some(sum) = stored_md5(bucket, meta) {
            return Self::Md5(sum);
        }
        let sha = meta.checksums.get("SHA256").and_then(|text| STANDARD.decode(text).ok());
        match sha.filter(|bytes| bytes.len() == 32) {
            Some(sum) => Self::Sha256(sum),
            None => Self::Nothing,
        }
    }

    /// About `length` bytes that end where a part of the source ends, or divide it: services keep parts
    /// apart, and reading over the end of one costs them more.
    pub(crate) fn aligned(&self, length: u64) -> u64 {
        let Self::Parts(_, sizes) = self else { return length };
        match sizes.first() {
            Some(own) if (1..=length).contains(own) => length - length % own,
            Some(own) if *own > length && length > 0 => {
                let pieces = own.div_ceil(length);
                if own % pieces == 0 { own / pieces } else { length }
            }
            _ => length,
        }
    }

    /// Whether the bytes must be seen in order; else parts can be summed side by side.
    pub(crate) fn needs_order(&self) -> bool {
        matches!(self, Self::Md5(_) | Self::Parts(..) | Self::Sha256(_))
    }
}

/// The sum of bytes seen in order, to be held against what is expected.
pub(crate) struct Sum(State);

enum State {
    Crc(Box<crc_fast::Digest>, u64),
    Md5(Md5, String),
    Parts(Box<EtagOf>, String),
    Sha256(Sha256, Vec<u8>),
    Nothing,
}

impl Sum {
    pub(crate) fn new(expected: &Expected) -> Self {
        Self(match expected {
            Expected::Crc(algorithm, value) => {
                State::Crc(Box::new(crc_fast::Digest::new(*algorithm)), *value)
            }
            Expected::Md5(etag) => State::Md5(Md5::new(), etag.clone()),
            Expected::Parts(etag, sizes) => {
                State::Parts(Box::new(EtagOf::new(Some(sizes.clone()))), etag.clone())
            }
            Expected::Sha256(sum) => State::Sha256(Sha256::new(), sum.clone()),
            Expected::Nothing => State::Nothing,
        })
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc(digest, _) => digest.update(bytes),
            State::Md5(digest, _) => digest.update(bytes),
            State::Parts(digest, _) => digest.update(bytes),
            State::Sha256(digest, _) => digest.update(bytes),
            State::Nothing => {}
        }
    }

    /// Whether the bytes are those expected.
    pub(crate) fn holds(self) -> bool {
        match self.0 {
            State::Crc(digest, value) => digest.finalize() == value,
            State::Md5(digest, etag) => hex(&digest.finalize()) == etag,
            State::Parts(digest, etag) => digest.finish() == etag,
            State::Sha256(digest, sum) => digest.finalize()[..] == sum[..],
            State::Nothing => true,
        }
    }
}

/// The CRC of one part, for [`joined`].
pub(crate) struct PartSum(Option<Box<crc_fast::Digest>>);

impl PartSum {
    /// Of bytes that are still to come.
    pub(crate) fn new(expected: &Expected) -> Self {
        Self(match expected {
            Expected::Crc(algorithm, _) => Some(Box::new(crc_fast::Digest::new(*algorithm))),
            _ => None,
        })
    }

    /// Of bytes that are there.
    pub(crate) fn of(expected: &Expected, bytes: &[u8]) -> Option<u64> {
        match expected {
            Expected::Crc(algorithm, _) => Some(crc_fast::checksum(*algorithm, bytes)),
            _ => None,
        }
    }

    /// Whether there is anything to sum.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.0 {
            digest.update(bytes);
        }
    }

    /// None where no CRC is expected.
    pub(crate) fn finish(&self) -> Option<u64> {
        self.0.as_ref().map(|digest| digest.finalize())
    }
}

/// Whether the CRCs of parts, in order, join to the expected one.
pub(crate) fn joined(expected: &Expected, parts: impl IntoIterator<Item = (u64, u64)>) -> bool {
    let Expected::Crc(algorithm, value) = expected else { return true };
    let whole = parts.into_iter().reduce(|(left, so_far), (right, length)| {
        (crc_fast::checksum_combine(*algorithm, left, right, length), so_far + length)
    });
    whole.is_some_and(|(sum, _)| sum == *value)
}

/// MD5 of a whole buffer.
pub(crate) fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// The `ETag` that an upload in parts with these MD5s has.
pub(crate) fn multipart_etag(parts: &[[u8; 16]]) -> String {
    format!("{}-{}", hex(&md5(parts.as_flattened())), parts.len())
}

/// The `ETag` that bytes arriving in a stream have, uploaded whole or in parts of these sizes.
pub(crate) struct EtagOf {
    sizes: std::vec::IntoIter<u64>,
    left: u64,
    digest: Md5,
    parts: Vec<[u8; 16]>,
    whole: bool,
}

impl EtagOf {
    /// Of one upload; `sizes` None.
    pub(crate) fn new(sizes: Option<Vec<u64>>) -> Self {
        let whole = sizes.is_none();
        let mut sizes = sizes.unwrap_or_default().into_iter();
        let left = sizes.next().unwrap_or(u64::MAX);
        Self { sizes, left, digest: Md5::new(), parts: Vec::new(), whole }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let take = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.digest.update(&bytes[..take]);
            bytes = &bytes[take..];
            self.left -= take as u64;
            if self.left == 0 {
                self.parts.push(std::mem::take(&mut self.digest).finalize().into());
                self.left = self.sizes.next().unwrap_or(u64::MAX);
            }
        }
    }

    /// MD5 of the first part, once it is complete.
    pub(crate) fn first(&self) -> Option<[u8; 16]> {
        self.parts.first().copied()
    }

    pub(crate) fn finish(self) -> String {
        if self.whole { hex(&self.digest.finalize()) } else { multipart_etag(&self.parts) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(checksums: &[(&str, &str)], etag: &str, encryption: Option<&str>) -> ObjectMeta {
        ObjectMeta {
            etag: Some(etag.to_owned()),
            encryption: encryption.map(str::to_owned),
            checksums: checksums.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..ObjectMeta::default()
        }
    }

    const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

    #[test]
    fn ranges_end_where_parts_of_the_source_end_or_divide_them() {
        const MIB: u64 = 1 << 20;
        let aligned = |own: u64, length: u64| {
            Expected::Parts("etag-2".to_owned(), vec![own, 1]).aligned(length)
        };
        assert_eq!(aligned(5 * MIB, 16 * MIB), 15 * MIB);
        assert_eq!(aligned(16 * MIB, 16 * MIB), 16 * MIB);
        assert_eq!(aligned(50 * MIB, 16 * MIB), 25 * MIB / 2);
        assert_eq!(aligned(17 * MIB + 1, 16 * MIB), 16 * MIB, "it cannot be halved");
        assert_eq!(aligned(0, 16 * MIB), 16 * MIB);
        assert_eq!(Expected::Nothing.aligned(16 * MIB), 16 * MIB);
    }

    #[test]
    fn only_what_proves_something_is_expected() {
        let md5 = Expected::Md5(HELLO.to_owned());
        assert_eq!(Expected::of("b", &meta(&[], HELLO, None)), md5);
        assert_eq!(Expected::of("b", &meta(&[], HELLO, Some("AES256"))), md5);
        for encryption in ["aws:kms", "SSE-C"] {
            assert_eq!(Expected::of("b", &meta(&[], HELLO, Some(encryption))), Expected::Nothing);
        }
        assert_eq!(Expected::of("b--x-s3", &meta(&[], HELLO, None)), Expected::Nothing);
        assert_eq!(
            Expected::of("b", &meta(&[], "5d41402abc4b2a76b9719d911017c592-2", None)),
            Expected::Nothing
        );
        assert_eq!(
            Expected::of("b", &meta(&[("CRC32C", "mnG7TA==-3")], "x-1", None)),
            Expected::Nothing
        );
    }

    #[test]
    fn known_sums_hold_and_a_wrong_byte_does_not() {
        let sums = [
            meta(&[], HELLO, None),
            meta(&[("CRC32C", "mnG7TA==")], "x", None),
            meta(&[("MD5", "XUFAKrxLKna5cZ2REBfFkg==")], "0x8D1", None),
            meta(&[("CRC32", "NhCmhg==")], "x", None),
            meta(&[("SHA256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=")], "x", None),
        ];
        for known in sums {
            let expected = Expected::of("b", &known);
            assert_ne!(expected, Expected::Nothing);
            let holds = |texts: &[&str]| {
                let mut sum = Sum::new(&expected);
                for text in texts {
                    sum.update(text.as_bytes());
                }
                sum.holds()
            };
            assert!(holds(&["hel", "lo"]), "{known:?}");
            assert!(!holds(&["hel", "la"]), "{known:?}");
            let parts = |texts: &[&str]| {
                joined(
                    &expected,
                    texts.iter().filter_map(|t| {
                        Some((PartSum::of(&expected, t.as_bytes())?, t.len() as u64))
                    }),
                )
            };
            assert!(parts(&["he", "ll", "o"]));
            assert_eq!(parts(&["he", "lo", "l"]), expected.needs_order());
        }
    }

    #[test]
    fn an_etag_is_the_same_however_the_bytes_arrive() {
        let mut plain = EtagOf::new(None);
        plain.update(b"hel");
        plain.update(b"lo");
        assert_eq!(plain.finish(), HELLO);
        let mut parts = EtagOf::new(Some(vec![3, 2]));
        parts.update(b"hell");
        parts.update(b"o");
        let etag = parts.finish();
        assert_eq!(etag, multipart_etag(&[md5(b"hel"), md5(b"lo")]));
        assert!(
            is_multipart(&etag) && !is_md5(&etag) && is_md5(HELLO) && !is_multipart("12-34-56")
        );
    }
}
