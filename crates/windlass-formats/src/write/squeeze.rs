//! Compression of what is written.

use super::{Shared, failed};
use std::io::{self, Write};
use windlass_types::Result;

/// A compression of files, or of what is inside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// None.
    None,
    /// gzip; of Avro, deflate.
    Gzip,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// Snappy; of whole files, its framing format.
    Snappy,
    /// LZ4; of whole files, its frame format; of Parquet, `LZ4_RAW`.
    Lz4,
    /// Brotli, of Parquet alone.
    Brotli,
}

impl Compression {
    /// What it adds to the name of a file that is compressed as a whole.
    pub const fn extension(self) -> Option<&'static str> {
        match self {
            Self::None | Self::Brotli => None,
            Self::Gzip => Some("gz"),
            Self::Zstd => Some("zst"),
            Self::Bzip2 => Some("bz2"),
            Self::Xz => Some("xz"),
            Self::Snappy => Some("sz"),
            Self::Lz4 => Some("lz4"),
        }
    }

    /// The word that options use for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Gzip => "GZIP",
            Self::Zstd => "ZSTD",
            Self::Bzip2 => "BZIP2",
            Self::Xz => "XZ",
            Self::Snappy => "SNAPPY",
            Self::Lz4 => "LZ4",
            Self::Brotli => "BROTLI",
        }
    }
}

/// Bytes on their way through a compression.
pub(super) enum Squeeze {
    None(Shared),
    Gzip(Box<flate2::write::GzEncoder<Shared>>),
    Zstd(zstd::stream::write::Encoder<'static, Shared>),
    Bzip2(bzip2::write::BzEncoder<Shared>),
    Xz(liblzma::write::XzEncoder<Shared>),
    Snappy(Box<snap::write::FrameEncoder<Shared>>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<Shared>>),
}

impl Squeeze {
    /// Begins.
    pub(super) fn new(compression: Compression, out: Shared) -> Result<Self> {
        Ok(match compression {
            Compression::None | Compression::Brotli => Self::None(out),
            Compression::Gzip => Self::Gzip(Box::new(flate2::write::GzEncoder::new(
                out,
                flate2::Compression::default(),
            ))),
            Compression::Zstd => {
                Self::Zstd(zstd::stream::write::Encoder::new(out, 3).map_err(failed)?)
            }
            Compression::Bzip2 => {
                Self::Bzip2(bzip2::write::BzEncoder::new(out, bzip2::Compression::default()))
            }
            Compression::Xz => Self::Xz(liblzma::write::XzEncoder::new(out, 6)),
            Compression::Snappy => Self::Snappy(Box::new(snap::write::FrameEncoder::new(out))),
            Compression::Lz4 => Self::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(out))),
        })
    }

    /// Compresses.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let writer: &mut dyn Write = match self {
            Self::None(to) => to,
            Self::Gzip(to) => to.as_mut(),
            Self::Zstd(to) => to,
            Self::Bzip2(to) => to,
            Self::Xz(to) => to,
            Self::Snappy(to) => to.as_mut(),
            Self::Lz4(to) => to.as_mut(),
        };
        writer.write_all(bytes).map_err(failed)
    }

    /// Writes what the compression ends with.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::None(_) => Ok(()),
            Self::Gzip(to) => to.finish().map(drop).map_err(failed),
            Self::Zstd(to) => to.finish().map(drop).map_err(failed),
            Self::Bzip2(to) => to.finish().map(drop).map_err(failed),
            Self::Xz(to) => to.finish().map(drop).map_err(failed),
            Self::Snappy(to) => (*to)
                .into_inner()
                .map(drop)
                .map_err(|error| failed(io::Error::other(error.to_string()))),
            Self::Lz4(to) => to.finish().map(drop).map_err(failed),
        }
    }
}
