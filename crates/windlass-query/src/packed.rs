//! How files are packed: what options, first bytes and names say of their compression.

use crate::files::SourceFile;
use crate::format::TextOptions;
use crate::text::unreadable;
use std::fmt;
use windlass_formats::compress::{Codec, LZ4_FRAME, SNAPPY_FRAMES};
use windlass_formats::detect::by_magic;
use windlass_formats::encoding::Charset;
use windlass_types::Result;

/// A compression of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
    /// In frames or one block, as the first bytes say.
    Snappy,
    Blocking(Codec),
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Snappy | Self::Blocking(Codec::SnappyFramed | Codec::SnappyRaw) => "Snappy",
            Self::Blocking(Codec::Lz4) => "LZ4",
        })
    }
}

/// How a file turned out to be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) compression: Compression,
    /// None: UTF-8, or no text.
    pub(crate) encoding: Option<Charset>,
}

const COMPRESSIONS: &[(&str, Compression)] = &[
    ("gz", Compression::Gzip),
    ("gzip", Compression::Gzip),
    ("zst", Compression::Zstd),
    ("zstd", Compression::Zstd),
    ("bz2", Compression::Bzip2),
    ("xz", Compression::Xz),
    ("snappy", Compression::Snappy),
    ("sz", Compression::Snappy),
    ("lz4", Compression::Blocking(Codec::Lz4)),
];

/// The name of a file without the compression it says, and that.
pub(crate) fn split(name: &str) -> (&str, Compression) {
    if let Some((stem, extension)) = name.rsplit_once('.') {
        for (known, kind) in COMPRESSIONS {
            if extension.eq_ignore_ascii_case(known) {
                return (stem, *kind);
            }
        }
    }
    (name, Compression::None)
}

/// The compression the first bytes of a file say.
fn compression_in(bytes: &[u8]) -> Compression {
    match bytes {
        [0x1f, 0x8b, 8, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => Compression::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        _ if bytes.starts_with(SNAPPY_FRAMES) => Compression::Blocking(Codec::SnappyFramed),
        _ if bytes.starts_with(LZ4_FRAME) => Compression::Blocking(Codec::Lz4),
        _ => Compression::None,
    }
}

/// Whether a file that begins so is surely not compressed: it is text, or of a format with a mark.
fn is_plain(bytes: &[u8]) -> bool {
    by_magic(bytes).is_some()
        || Charset::by_mark(bytes).is_some()
        || bytes.iter().all(|byte| *byte >= b' ' || byte.is_ascii_whitespace())
}

/// How a file is compressed that begins with `first`: as an option says, else as these bytes say, else
/// as its name does. An error where the bytes surely are not what the option says.
pub(crate) fn compression(
    first: &[u8],
    options: &TextOptions,
    file: &SourceFile,
) -> Result<Compression> {
    let found = compression_in(first);
    let raw = Compression::Blocking(Codec::SnappyRaw);
    let Some(declared) = options.compression else {
        return Ok(match (split(file.name()).1, found) {
            // One block of Snappy has no mark.
            (Compression::Snappy, Compression::None) => raw,
            // What the name says and the bytes do not deny is tried: its decoder says what is wrong.
            (named, Compression::None) if !is_plain(first) => named,
            (_, found) => found,
        });
    };
    let plain = found == Compression::None;
    let wrong = match declared {
        Compression::None => !plain && !options.binary,
        Compression::Snappy => !plain && found != Compression::Blocking(Codec::SnappyFramed),
        _ if plain => is_plain(first) && !first.is_empty(),
        declared => declared != found,
    };
    if wrong {
        let is = match found {
            Compression::None => "it is not compressed".to_owned(),
            found => format!("it is compressed with {found}"),
        };
        let wanted = match declared {
            Compression::None => "plain text".to_owned(),
            declared => declared.to_string(),
        };
        return Err(unreadable(file, &wanted, std::io::Error::other(is))
            .hint("leave COMPRESSION out: the first bytes of each file say what it is"));
    }
    Ok(match declared {
        Compression::Snappy if plain => raw,
        Compression::Snappy => found,
        declared => declared,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_first_bytes_tell_the_compression() {
        assert_eq!(split("a.CSV.gz"), ("a.CSV", Compression::Gzip));
        assert_eq!(split("part-00000"), ("part-00000", Compression::None));
        assert_eq!(compression_in(b"\x1f\x8b\x08\0"), Compression::Gzip);
        assert_eq!(compression_in(b"id,name\n1,"), Compression::None);
    }

    #[test]
    fn what_cannot_be_compressed_is_known() {
        for plain in [&b"id,name\r\n1"[..], b"", b"PAR1\x15", b"\xff\xfei\0d\0", b"caf\xe9\n"] {
            assert!(is_plain(plain), "{plain:?}");
        }
        // A gzip of two bytes, an empty bzip2, a skippable frame of zstd.
        for packed in [&b"\x1f\x8b"[..], b"BZh9\x17rE8P\x90", b"\x50\x2a\x4d\x18\0\0\0\0"] {
            assert!(!is_plain(packed), "{packed:?}");
        }
    }
}
