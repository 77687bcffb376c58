//! Where the bytes of one file come from.

use std::io::{self, BufRead, Read, Seek};

/// Bytes at any place of a file.
pub trait Seekable: Read + Seek + Send {}

impl<T: Read + Seek + Send> Seekable for T {}

/// One file. Its calls may block; they are made on a thread that may.
pub trait Source: Send + Sync {
    /// Bytes of the file as it is stored.
    fn size(&self) -> u64;

    /// The bytes from the first on, decompressed; those of text formats in UTF-8.
    fn stream(&self) -> io::Result<Box<dyn BufRead + Send>>;

    /// The bytes at any place, as stored; an error where the file is compressed.
    fn ranges(&self) -> io::Result<Box<dyn Seekable>>;
}

/// Bytes in memory, for tests.
impl Source for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn stream(&self) -> io::Result<Box<dyn BufRead + Send>> {
        Ok(Box::new(io::Cursor::new(self.clone())))
    }

    fn ranges(&self) -> io::Result<Box<dyn Seekable>> {
        Ok(Box::new(io::Cursor::new(self.clone())))
    }
}

/// Takes a byte order mark of UTF-8 off.
pub fn without_mark(stream: &mut dyn BufRead) -> io::Result<()> {
    let start = stream.fill_buf()?;
    if start.starts_with(b"\xef\xbb\xbf") {
        stream.consume(3);
    }
    Ok(())
}

/// One line with its end, as long as `longest` allows; None at the end of the file.
///
/// A line ends with `\n`; a `\r` before it belongs to the end.
pub fn line<'a>(
    stream: &mut dyn BufRead,
    buffer: &'a mut Vec<u8>,
    longest: usize,
) -> io::Result<Option<&'a [u8]>> {
    buffer.clear();
    loop {
        let chunk = stream.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(chunk.len(), |end| end + 1);
        buffer.extend_from_slice(&chunk[..taken]);
        stream.consume(taken);
        if buffer.len() > longest {
            return Err(too_long("a line", longest));
        }
        if end.is_some() {
            break;
        }
    }
    if buffer.is_empty() {
        return Ok(None);
    }
    let text = buffer.strip_suffix(b"\n").unwrap_or(buffer);
    Ok(Some(text.strip_suffix(b"\r").unwrap_or(text)))
}

/// The error of a record (`what`) that does not end within `longest` bytes.
pub fn too_long(what: &str, longest: usize) -> io::Error {
    let limit = longest >> 20;
    io::Error::other(format!(
        "{what} does not end within {limit} MiB; CREATE FILE TABLE ... CONTENT_TYPE = (MAX_LINE = {}) reads longer ones",
        (limit * 4).max(1)
    ))
}
