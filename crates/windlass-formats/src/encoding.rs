//! Text files in other encodings, brought to UTF-8 as they come (P-2.5).

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use oem_cp::OEMCPHashMap;
use oem_cp::code_table::{DECODING_TABLE_CP_MAP, ENCODING_TABLE_CP_MAP};
use oem_cp::code_table_type::TableType;
use std::io::{self, BufRead, Read};
use windlass_types::options::nearest;
use windlass_types::{Error, ErrorCode, Result};

/// An encoding of text.
#[derive(Debug, Clone, Copy)]
pub enum Charset {
    /// One of the WHATWG's.
    Web(&'static Encoding),
    /// A code page of DOS.
    Page(u16),
}

impl PartialEq for Charset {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Charset {}

/// Code pages of P-2.5 that are not among the WHATWG's encodings.
const PAGES: &[u16] = &[437, 850, 852, 855, 858, 860, 862, 863, 865];

/// The bytes of the characters of a code page of DOS beyond ASCII.
pub(crate) fn page(number: u16) -> Option<&'static OEMCPHashMap<char, u8>> {
    ENCODING_TABLE_CP_MAP.get(&number).copied()
}

impl Charset {
    /// Finds an encoding by one of its names: `windows-1252`, `ISO-8859-2`, `CP437`, `UTF-16LE`.
    pub fn find(name: &str) -> Result<Self> {
        let plain = name.trim().to_ascii_lowercase().replace('_', "-");
        // The web reads Latin-1 and ASCII as windows-1252; what differs are control characters.
        let page = ["cp", "ibm", "code page ", "codepage ", "oem"]
            .iter()
            .find_map(|start| plain.strip_prefix(start))
            .unwrap_or(&plain)
            .trim_start_matches('-');
        if let Some(page) = page.parse().ok().filter(|page| PAGES.contains(page)) {
            return Ok(Self::Page(page));
        }
        let plain = match plain.as_str() {
            "macroman" => "macintosh",
            "macintoshcyrillic" | "maccyrillic" => "x-mac-cyrillic",
            other => other,
        };
        let tries = [plain.to_owned(), format!("windows-{page}"), format!("ibm{page}")];
        tries
            .iter()
            .find_map(|name| Encoding::for_label_no_replacement(name.as_bytes()))
            .map(Self::Web)
            .ok_or_else(|| {
                let known = [
                    "UTF-8",
                    "UTF-16LE",
                    "UTF-16BE",
                    "ISO-8859-1",
                    "ISO-8859-2",
                    "ISO-8859-15",
                    "windows-1252",
                    "windows-1251",
                    "CP437",
                    "CP850",
                    "macintosh",
                    "KOI8-R",
                    "Shift_JIS",
                    "GBK",
                    "Big5",
                    "EUC-KR",
                ];
                let near = nearest(name, &known)
                    .map_or_else(String::new, |near| format!("did you mean {near}? "));
                Error::new(ErrorCode::OptionInvalid, format!("unknown ENCODING `{name}`"))
                    .hint(format!("{near}names are those of the web, such as {}", known.join(", ")))
            })
    }

    /// What a byte order mark of UTF-16 says.
    pub fn by_mark(bytes: &[u8]) -> Option<Self> {
        match bytes {
            // With two more zeros it would be UTF-32.
            [0xff, 0xfe, 0, 0, ..] => None,
            [0xff, 0xfe, ..] => Some(Self::Web(UTF_16LE)),
            [0xfe, 0xff, ..] => Some(Self::Web(UTF_16BE)),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> String {
        match self {
            Self::Web(encoding) => encoding.name().to_owned(),
            Self::Page(page) => format!("CP{page}"),
        }
    }

    /// Whether bytes are UTF-8 already.
    pub fn is_utf8(self) -> bool {
        matches!(self, Self::Web(encoding) if encoding == UTF_8)
    }

    /// A decoder for one file.
    pub fn decoder(self) -> Decoder {
        Decoder(match self {
            Self::Web(encoding) => Inner::Web(Box::new(encoding.new_decoder_with_bom_removal())),
            Self::Page(page) => Inner::Page(page),
        })
    }
}

/// Decodes a file in pieces.
#[derive(Debug)]
pub struct Decoder(Inner);

enum Inner {
    Web(Box<encoding_rs::Decoder>),
    Page(u16),
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decoder")
    }
}

impl Decoder {
    /// The text of the next bytes; None: they are not of this encoding. `last`: nothing follows.
    pub fn push(&mut self, bytes: &[u8], last: bool) -> Option<String> {
        match &mut self.0 {
            Inner::Web(decoder) => {
                let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len())?;
                let mut text = String::with_capacity(room);
                let (result, _) =
                    decoder.decode_to_string_without_replacement(bytes, &mut text, last);
                (result == encoding_rs::DecoderResult::InputEmpty).then_some(text)
            }
            Inner::Page(page) => {
                let table: &TableType = DECODING_TABLE_CP_MAP.get(page)?;
                table.decode_string_checked(bytes)
            }
        }
    }
}

/// A stream brought to UTF-8.
pub(crate) struct Decoding {
    stream: Box<dyn BufRead + Send>,
    charset: Charset,
    decoder: Decoder,
    text: Vec<u8>,
    done: usize,
    ended: bool,
}

impl Decoding {
    pub(crate) fn new(stream: Box<dyn BufRead + Send>, charset: Charset) -> Self {
        let decoder = charset.decoder();
        Self { stream, charset, decoder, text: Vec::new(), done: 0, ended: false }
    }
}

impl Read for Decoding {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let text = self.fill_buf()?;
        let taken = text.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&text[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl BufRead for Decoding {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.done == self.text.len() && !self.ended {
            let chunk = self.stream.fill_buf()?;
            let taken = chunk.len();
            self.ended = taken == 0;
            let text = self.decoder.push(chunk, self.ended).ok_or_else(|| {
                io::Error::other(format!("it is not text in {}", self.charset.name()))
            })?;
            self.stream.consume(taken);
            self.text = text.into_bytes();
            self.done = 0;
        }
        Ok(&self.text[self.done..])
    }

    fn consume(&mut self, amount: usize) {
        self.done += amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_of_other_tools_is_found_or_named_as_missing() {
        let mut missing = Vec::new();
        for name in [
            "UTF-8",
            "UTF-16",
            "UTF-16LE",
            "UTF-16BE",
            "ISO-8859-1",
            "ISO-8859-2",
            "ISO-8859-3",
            "ISO-8859-4",
            "ISO-8859-5",
            "ISO-8859-6",
            "ISO-8859-7",
            "ISO-8859-8",
            "ISO-8859-9",
            "ISO-8859-10",
            "ISO-8859-13",
            "ISO-8859-14",
            "ISO-8859-15",
            "ISO-8859-16",
            "Windows-874",
            "Windows-1250",
            "Windows-1251",
            "Windows-1252",
            "Windows-1253",
            "Windows-1254",
            "Windows-1255",
            "Windows-1256",
            "Windows-1257",
            "Windows-1258",
            "CP437",
            "CP850",
            "CP852",
            "CP855",
            "CP858",
            "CP860",
            "CP862",
            "CP863",
            "CP865",
            "CP866",
            "Code Page 437",
            "Macintosh",
            "MacintoshCyrillic",
            "KOI8-R",
            "KOI8-U",
            "x-user-defined",
            "ASCII",
        ] {
            match Charset::find(name) {
                // Every byte below 0x80 is ASCII in all but UTF-16.
                Ok(found) if !name.starts_with("UTF-16") => {
                    assert_eq!(found.decoder().push(b"abc,1\n", true).as_deref(), Some("abc,1\n"));
                }
                Ok(_) => {}
                Err(_) => missing.push(name),
            }
        }
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn characters_are_whole_over_pieces() {
        let mut decoder = Charset::find("UTF-16LE").unwrap().decoder();
        let bytes: Vec<u8> = "\u{feff}a€😀".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut text = String::new();
        for byte in &bytes {
            text += &decoder.push(&[*byte], false).unwrap();
        }
        text += &decoder.push(b"", true).unwrap();
        assert_eq!(text, "a€😀");
        assert_eq!(
            Charset::find("CP437").unwrap().decoder().push(b"\x81\xe1", true).unwrap(),
            "üß"
        );
        assert_eq!(Charset::find("CP858").unwrap().decoder().push(b"\xd5", true).unwrap(), "€");
        assert_eq!(Charset::find("latin1").unwrap().decoder().push(b"\xe9", true).unwrap(), "é");
        let mut wrong = Charset::find("UTF-16LE").unwrap().decoder();
        assert_eq!(wrong.push(b"a\0b", true), None);
        assert!(Charset::find("UTF-9").unwrap_err().hint_text().unwrap().contains("UTF-8"));
    }
}
