//! Reading what Azure lists.

use crate::http::{http_date, plain_etag};
use chrono::{DateTime, Utc};
use quick_xml::Reader;
use quick_xml::events::Event;

/// A container, folder or blob.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    /// A folder: everything that begins with the name.
    pub(super) prefix: bool,
    pub(super) size: u64,
    pub(super) modified: Option<DateTime<Utc>>,
    pub(super) etag: Option<String>,
    pub(super) tier: Option<String>,
}

/// One page, and where the next begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) found: Vec<Found>,
    pub(super) next: Option<String>,
}

/// Reads a page of blobs or of containers.
pub(super) fn read(text: &str) -> Result<Page, quick_xml::Error> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let (mut page, mut now, mut said) = (Page::default(), Found::default(), String::new());
    let mut encoded = false;
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                said.clear();
                match start.local_name().as_ref() {
                    b"Blob" | b"Container" => now = Found::default(),
                    b"BlobPrefix" => now = Found { prefix: true, ..Found::default() },
                    // Names that XML cannot hold.
                    b"Name" => {
                        encoded = start.attributes().flatten().any(|attribute| {
                            attribute.key.as_ref() == b"Encoded" && &*attribute.value == b"true"
                        });
                    }
                    _ => {}
                }
            }
            Event::Text(text) => said.push_str(&text.decode().map_err(quick_xml::Error::from)?),
            Event::CData(text) => said.push_str(&text.decode().map_err(quick_xml::Error::from)?),
            Event::GeneralRef(name) => said.push_str(&crate::xml::reference(&name)?),
            Event::End(end) => {
                match end.local_name().as_ref() {
                    b"Name" if encoded => {
                        now.name = percent_encoding::percent_decode_str(&said)
                            .decode_utf8_lossy()
                            .into_owned();
                    }
                    b"Name" => now.name.clone_from(&said),
                    b"Content-Length" => now.size = said.trim().parse().unwrap_or_default(),
                    b"Last-Modified" => now.modified = http_date(said.trim()),
                    b"Etag" => now.etag = Some(plain_etag(&said)),
                    b"AccessTier" => now.tier = Some(said.trim().to_owned()),
                    b"NextMarker" if !said.trim().is_empty() => {
                        page.next = Some(said.trim().to_owned());
                    }
                    b"Blob" | b"Container" | b"BlobPrefix" => {
                        page.found.push(std::mem::take(&mut now));
                    }
                    _ => {}
                }
                said.clear();
            }
            Event::Eof => return Ok(page),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_with_names_that_xml_cannot_hold() {
        let text = "\u{feff}<?xml version=\"1.0\"?><EnumerationResults ServiceEndpoint=\"x\"><Blobs>\
            <Blob><Name> a &amp; b</Name><Properties><Last-Modified>Sat, 21 Nov 2026 00:00:00 GMT</Last-Modified><Etag>0x8D1</Etag>\
            <Content-Length>5</Content-Length><AccessTier>Cool</AccessTier></Properties></Blob>\
            <BlobPrefix><Name Encoded=\"true\">x%EF%BF%BE/</Name></BlobPrefix></Blobs><NextMarker>2!8</NextMarker></EnumerationResults>";
        let page = read(text).unwrap();
        assert_eq!(page.next.as_deref(), Some("2!8"));
        assert_eq!(page.found[0].name, " a & b");
        assert_eq!((page.found[0].size, page.found[0].etag.as_deref()), (5, Some("0x8D1")));
        assert_eq!(page.found[0].tier.as_deref(), Some("Cool"));
        assert!(page.found[0].modified.is_some());
        assert_eq!((page.found[1].name.as_str(), page.found[1].prefix), ("x\u{fffe}/", true));
        assert_eq!(read("<a/>").unwrap(), Page::default());
    }
}
