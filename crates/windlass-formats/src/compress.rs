//! Compressions that only a blocking reader knows: Snappy and LZ4.

use std::io::{self, BufRead, BufReader, Cursor, Read};

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Snappy in frames (`.sz`).
    SnappyFramed,
    /// One block of Snappy, which is decompressed in memory.
    SnappyRaw,
    /// Frames of LZ4.
    Lz4,
}

/// What Snappy in frames begins with.
pub const SNAPPY_FRAMES: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// What a frame of LZ4 begins with.
pub const LZ4_FRAME: &[u8] = b"\x04\x22\x4d\x18";

/// Bytes of one block of Snappy, before and after.
const BLOCK: u64 = 512 << 20;

/// Decompresses a stream.
pub fn decompress(codec: Codec, stream: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    Ok(match codec {
        Codec::SnappyFramed => Box::new(snap::read::FrameDecoder::new(stream)),
        Codec::Lz4 => {
            let stream = BufReader::with_capacity(64 << 10, stream);
            Box::new(Frames(lz4_flex::frame::FrameDecoder::new(stream)))
        }
        Codec::SnappyRaw => {
            let mut block = Vec::new();
            stream.take(BLOCK + 1).read_to_end(&mut block)?;
            let length = snap::raw::decompress_len(&block).map_err(io::Error::other)?;
            if block.len() as u64 > BLOCK || length as u64 > BLOCK {
                return Err(io::Error::other(format!(
                    "one block of Snappy is read whole, up to {} MiB; this one is larger",
                    BLOCK >> 20
                )));
            }
            let bytes =
                snap::raw::Decoder::new().decompress_vec(&block).map_err(io::Error::other)?;
            Box::new(Cursor::new(bytes))
        }
    })
}

/// Frames of LZ4 one after the other; the decoder alone stops after each.
struct Frames<R: BufRead>(lz4_flex::frame::FrameDecoder<R>);

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.0.read(buffer)?;
            if read > 0 || buffer.is_empty() || self.0.get_mut().fill_buf()?.is_empty() {
                return Ok(read);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn all(codec: Codec, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompress(codec, Box::new(Cursor::new(bytes)))?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn frames_follow_each_other_and_broken_ones_fail() {
        let text = b"id,name\n".repeat(30_000);
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        frame.write_all(&text).unwrap();
        let frame = frame.finish().unwrap();
        assert_eq!(
            all(Codec::Lz4, [frame.clone(), frame.clone()].concat()).unwrap().len(),
            480_000
        );
        assert!(all(Codec::Lz4, frame[..frame.len() / 2].to_vec()).is_err());
        let mut framed = snap::write::FrameEncoder::new(Vec::new());
        framed.write_all(&text).unwrap();
        let framed = framed.into_inner().unwrap();
        assert!(framed.starts_with(SNAPPY_FRAMES));
        assert_eq!(all(Codec::SnappyFramed, framed.repeat(2)).unwrap().len(), 480_000);
        assert!(all(Codec::SnappyFramed, framed[..framed.len() - 7].to_vec()).is_err());
    }

    #[test]
    fn a_block_says_its_size_before_it_is_decompressed() {
        let block = snap::raw::Encoder::new().compress_vec(b"a,b\n1,2\n").unwrap();
        assert_eq!(all(Codec::SnappyRaw, block).unwrap(), b"a,b\n1,2\n");
        // A head that says 4 GiB.
        let error = all(Codec::SnappyRaw, b"\xff\xff\xff\xff\x0f\x00".to_vec()).unwrap_err();
        assert!(error.to_string().contains("512 MiB"), "{error}");
    }
}
