//! Reading what a `WebDAV` server lists.

use crate::http::plain_etag;
use quick_xml::Reader;
use quick_xml::events::Event;

/// One entry of a `multistatus`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Address, as the server wrote it.
    pub(super) href: String,
    /// A collection.
    pub(super) folder: bool,
    /// Bytes.
    pub(super) size: Option<u64>,
    /// As an HTTP date.
    pub(super) modified: Option<String>,
    /// Without quotes.
    pub(super) etag: Option<String>,
    /// Content type.
    pub(super) content_type: Option<String>,
}

/// Reads a `multistatus`. Properties whose `propstat` is not 200 are left out.
pub(super) fn read(text: &str) -> Result<Vec<Found>, quick_xml::Error> {
    let mut reader = Reader::from_str(text);
    let (mut all, mut now, mut said) = (Vec::new(), Found::default(), String::new());
    let (mut before, mut good) = (Found::default(), true);
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                said.clear();
                match start.local_name().as_ref() {
                    b"response" => now = Found::default(),
                    b"propstat" => {
                        before = now.clone();
                        good = true;
                    }
                    b"collection" => now.folder = true,
                    _ => {}
                }
            }
            Event::Empty(empty) => {
                said.clear();
                if empty.local_name().as_ref() == b"collection" {
                    now.folder = true;
                }
            }
            Event::Text(text) => said.push_str(&text.decode().map_err(quick_xml::Error::from)?),
            Event::CData(text) => said.push_str(&text.decode().map_err(quick_xml::Error::from)?),
            Event::GeneralRef(name) => said.push_str(&crate::xml::reference(&name)?),
            Event::End(end) => {
                let told = said.trim();
                match end.local_name().as_ref() {
                    b"href" if now.href.is_empty() => told.clone_into(&mut now.href),
                    b"getcontentlength" => now.size = told.parse().ok(),
                    b"getlastmodified" => now.modified = Some(told.to_owned()),
                    b"getetag" if !told.is_empty() => now.etag = Some(plain_etag(told)),
                    b"getcontenttype" if !told.is_empty() => {
                        now.content_type = Some(told.to_owned());
                    }
                    b"status" => good = told.split_whitespace().nth(1) == Some("200"),
                    b"propstat" if !good => now = Found { href: now.href, ..before.clone() },
                    b"response" => all.push(std::mem::take(&mut now)),
                    _ => {}
                }
                said.clear();
            }
            Event::Eof => return Ok(all),
            _ => {}
        }
    }
}

/// The decoded path of an address, which may be whole or only a path.
pub(super) fn path_of(href: &str) -> Option<String> {
    let path = match href.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => href,
    };
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multistatus_is_read_whatever_its_prefixes() {
        let text = r#"<?xml version="1.0"?>
            <D:multistatus xmlns:D="DAV:">
              <D:response><D:href>/dav/a%20b/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
                <D:propstat><D:prop><D:getcontentlength/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response>
              <D:response><D:href>http://h:80/dav/x&amp;y.txt</D:href><D:propstat><D:prop><D:resourcetype/><D:getcontentlength>5</D:getcontentlength><D:getetag>W/"e&quot;1"</D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
            </D:multistatus>"#;
        let found = read(text).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].folder && found[0].size.is_none());
        assert_eq!(path_of(&found[0].href).as_deref(), Some("/dav/a b/"));
        assert_eq!((found[1].size, found[1].etag.as_deref()), (Some(5), Some("e\"1")));
        assert_eq!(path_of(&found[1].href).as_deref(), Some("/dav/x&y.txt"));
        assert!(read("<a><b></a>").is_err());
    }
}
