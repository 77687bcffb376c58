//! Pages of a listing: the request, and a reader of the answer that copies only what is kept.

use super::xml::{EARLY, Fault, NOT_UTF8, unescape};
use super::{Asked, Call, IN_QUERY, Route, Wire, Xml};
use crate::failure::Failure;
use crate::list::{Page, PageRequest, decode, unquote};
use crate::row::Row;
use chrono::{DateTime, NaiveDate, Utc};
use memchr::memrchr;
use percent_encoding::utf8_percent_encode;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

impl Wire {
    /// Asks for one page.
    pub(crate) async fn page(
        &self,
        route: &Route,
        bucket: &str,
        request: &PageRequest<'_>,
    ) -> Result<Page, Failure> {
        let mut asked = Asked::new(Call::List, bucket, "");
        let most = request.most.map(|most| most.to_string());
        // Sorted, as the signature wants it.
        for (name, value) in [
            ("continuation-token", request.token),
            ("delimiter", request.delimiter),
            ("encoding-type", Some("url")),
            ("list-type", Some("2")),
            ("max-keys", most.as_deref()),
            ("prefix", Some(request.prefix).filter(|prefix| !prefix.is_empty())),
            ("start-after", request.start_after),
        ] {
            if let Some(value) = value {
                let mark = if asked.query.is_empty() { "" } else { "&" };
                let value = utf8_percent_encode(value, IN_QUERY);
                let _ = write!(asked.query, "{mark}{name}={value}");
            }
        }
        let answer = self.send(route, &asked).await?;
        let read = answer.page.unwrap_or(Err("it is no listing"));
        let mut page = read.map_err(|why| self.not_s3(Call::List, why))?;
        if std::mem::take(&mut page.encoded) {
            let plain = |text: &str| !text.bytes().any(|byte| matches!(byte, b'%' | b'+'));
            for folder in page.folders.iter_mut().filter(|folder| !plain(folder)) {
                *folder = decode(folder).map_err(Failure::unanswered)?;
            }
            for row in page.objects.iter_mut().filter(|row| !plain(row.key())) {
                let key = decode(row.key()).map_err(Failure::unanswered)?;
                row.rename(&key);
            }
        }
        Ok(page)
    }
}

/// Reads a page while it arrives; keys stay encoded. What was read is not kept as text: with many
/// requests under way that would be most of the memory of a listing.
#[derive(Debug, Default)]
pub(super) struct PageReader {
    page: Page,
    /// What is not read yet.
    text: Vec<u8>,
    state: State,
    /// The storage class of the last row; most have the same.
    class: Option<Arc<str>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Unbegun,
    /// Between children of the outermost element.
    Within,
    Over,
    /// It is no listing: all text is kept.
    Other,
    Broken(Fault),
}

/// What came instead of a page.
#[derive(Debug)]
pub(super) enum NoPage {
    /// Another document.
    Other(Vec<u8>),
    Broken(Fault),
}

impl PageReader {
    /// Takes what comes next.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Over | State::Broken(_)) {
            return;
        }
        self.text.extend_from_slice(bytes);
        // Markup that is cut in two may look like something else; that ends with `>` does not.
        let Some(end) = memrchr(b'>', bytes) else { return };
        let end = self.text.len() - bytes.len() + end + 1;
        let text = std::mem::take(&mut self.text);
        let used = self.read(&text[..end]);
        self.text = text;
        match used {
            Ok(used) => drop(self.text.drain(..used)),
            Err(why) => (self.state, self.text) = (State::Broken(why), Vec::new()),
        }
    }

    /// Reads the children that are whole; answers how many bytes they are.
    fn read(&mut self, text: &[u8]) -> Result<usize, Fault> {
        let mut xml = match self.state {
            State::Unbegun => {
                let mut xml = Xml::new(text);
                match xml.root() {
                    Ok(b"ListBucketResult") => self.state = State::Within,
                    Ok(_) => self.state = State::Other,
                    Err(EARLY) => return Ok(0),
                    Err(why) => return Err(why),
                }
                xml
            }
            _ => Xml::within(text),
        };
        if self.state == State::Other {
            return Ok(0);
        }
        loop {
            let whole = text.len() - xml.rest().len();
            match self.child(&mut xml) {
                Ok(true) => {}
                Ok(false) => {
                    self.state = State::Over;
                    return Ok(text.len());
                }
                Err(EARLY) => return Ok(whole),
                Err(why) => return Err(why),
            }
        }
    }

    /// Reads one child of the page; false at its end. A child that is not all there leaves nothing.
    fn child(&mut self, xml: &mut Xml<'_>) -> Result<bool, Fault> {
        let Some(name) = xml.child()? else { return Ok(false) };
        match name {
            b"Contents" => {
                let row = self.row(xml)?;
                self.page.objects.extend(row);
            }
            b"CommonPrefixes" => {
                let mut folders = Vec::new();
                while let Some(name) = xml.child()? {
                    if name == b"Prefix" {
                        folders.push(xml.string()?);
                    } else {
                        xml.skip()?;
                    }
                }
                self.page.folders.append(&mut folders);
            }
            b"IsTruncated" => self.page.truncated = &*xml.text()? == b"true",
            b"NextContinuationToken" => {
                self.page.token = Some(xml.string()?).filter(|token| !token.is_empty());
            }
            b"EncodingType" => self.page.encoded = &*xml.text()? == b"url",
            _ => xml.skip()?,
        }
        Ok(true)
    }

    fn row(&mut self, xml: &mut Xml<'_>) -> Result<Option<Row>, Fault> {
        let (mut key, mut etag) = (None, None);
        let (mut size, mut last_modified, mut storage_class) = (None, None, None);
        while let Some(name) = xml.child()? {
            match name {
                b"Key" => key = Some(xml.text()?),
                b"Size" => {
                    size =
                        std::str::from_utf8(&xml.raw()?).ok().and_then(|t| t.trim().parse().ok());
                }
                b"LastModified" => last_modified = time(&xml.raw()?),
                b"ETag" => etag = Some(self::etag(&xml.raw()?)?),
                b"StorageClass" => storage_class = Some(xml.text()?),
                _ => xml.skip()?,
            }
        }
        let Some(key) = key else { return Ok(None) };
        let storage_class = storage_class.as_deref().map(utf8).transpose()?;
        if storage_class.is_some() && self.class.as_deref() != storage_class {
            self.class = storage_class.map(Arc::from);
        }
        let mut row = Row::object(utf8(&key)?, etag.as_deref());
        (row.size, row.last_modified) = (size, last_modified);
        row.storage_class = storage_class.and_then(|_| self.class.clone());
        Ok(Some(row))
    }

    /// The page, after the last byte.
    pub(super) fn finish(self) -> Result<Page, NoPage> {
        match self.state {
            State::Over => Ok(self.page),
            State::Other => Err(NoPage::Other(self.text)),
            State::Broken(why) => Err(NoPage::Broken(why)),
            State::Unbegun | State::Within => Err(NoPage::Broken(EARLY)),
        }
    }
}

fn utf8(text: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(text).map_err(|_| NOT_UTF8)
}

/// An `ETag` without its quotes, which are entities more often than not.
fn etag<'a>(raw: &Cow<'a, [u8]>) -> Result<Cow<'a, str>, Fault> {
    if let Cow::Borrowed(raw) = raw {
        let mut inner: &[u8] = raw;
        for quote in [&b"&quot;"[..], b"&#34;", b"\""] {
            if let Some(text) = raw.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)) {
                inner = text;
                break;
            }
        }
        if inner.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-') {
            return Ok(String::from_utf8_lossy(inner));
        }
    }
    let text = unescape(raw)?;
    Ok(Cow::Owned(unquote(&String::from_utf8_lossy(&text))))
}

/// `2026-11-21T08:15:00.000Z`, and whatever else RFC 3339 allows.
fn time(text: &[u8]) -> Option<DateTime<Utc>> {
    plain_time(text).or_else(|| {
        let text = std::str::from_utf8(text).ok()?;
        DateTime::parse_from_rfc3339(text.trim()).ok().map(|time| time.to_utc())
    })
}

fn plain_time(text: &[u8]) -> Option<DateTime<Utc>> {
    let (date, zone) = text.split_at_checked(19)?;
    if zone.last() != Some(&b'Z')
        || [4, 7, 10, 13, 16].iter().zip(b"--T::").any(|(at, mark)| date[*at] != *mark)
    {
        return None;
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u32, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0'))
        })
    };
    let fraction = match &zone[..zone.len() - 1] {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            number(digits)? * 10_u32.pow(9 - u32::try_from(digits.len()).ok()?)
        }
        _ => return None,
    };
    let part = |from: usize, to: usize| number(&date[from..to]);
    NaiveDate::from_ymd_opt(i32::try_from(part(0, 4)?).ok()?, part(5, 7)?, part(8, 10)?)?
        .and_hms_nano_opt(part(11, 13)?, part(14, 16)?, part(17, 19)?, fraction)
        .map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &[u8]) -> Result<Page, NoPage> {
        let mut reader = PageReader::default();
        reader.push(text);
        reader.finish()
    }

    #[test]
    fn a_page_is_read_whatever_the_order_and_dress_of_its_elements() {
        let text = br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p</Prefix>
            <Contents><Key>a%2Bb+c</Key><LastModified>2026-11-21T08:15:00.250Z</LastModified>
              <ETag>&quot;0cc175b9c0f1b6a831c399e269772661-2&quot;</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass>
              <Owner><ID>x</ID><DisplayName>y</DisplayName></Owner><RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress></RestoreStatus></Contents>
            <Contents><ETag>&#34;e&amp;f&#34;</ETag><Key>d</Key><LastModified>2026-11-21T09:15:00+01:00</LastModified></Contents>
            <Contents><Size>1</Size></Contents>
            <CommonPrefixes><Prefix>x%2F</Prefix></CommonPrefixes><CommonPrefixes><Prefix>y/</Prefix></CommonPrefixes>
            <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;u</NextContinuationToken>
            </ListBucketResult>"#;
        insta::assert_debug_snapshot!(page(text).unwrap());
        // However it is cut on its way.
        for size in [1, 2, 7, 64, 500] {
            let mut reader = PageReader::default();
            text.chunks(size).for_each(|chunk| reader.push(chunk));
            assert_eq!(reader.finish().unwrap(), page(text).unwrap(), "{size}");
        }
    }

    #[test]
    fn a_page_that_is_cut_off_or_something_else_is_an_error() {
        let text = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        assert!(page(text).is_ok());
        for end in 0..text.len() {
            assert!(page(&text[..end]).is_err());
        }
        let other = b"<html><body>Welcome</body></html>";
        assert!(matches!(page(other), Err(NoPage::Other(text)) if text == other));
        for bad in [
            &b"<ListBucketResult><Contents><Key>&nope;</Key></Contents></ListBucketResult>"[..],
            b"<ListBucketResult><Contents><Key>\xff</Key></Contents></ListBucketResult>",
            b"<ListBucketResult><!DOCTYPE a></ListBucketResult>",
            b"Welcome <b>to</b>",
        ] {
            for size in [1, 9, 1000] {
                let mut reader = PageReader::default();
                bad.chunks(size).for_each(|chunk| reader.push(chunk));
                assert!(matches!(reader.finish(), Err(NoPage::Broken(why)) if why != EARLY));
            }
        }
    }

    #[test]
    fn times_are_read_as_rfc_3339_has_them() {
        for text in [
            "2026-11-21T08:15:00Z",
            "2026-11-21T08:15:00.000Z",
            "2024-02-29T23:59:59.123456789Z",
            "2026-11-21T09:15:00+01:00",
            "1970-01-01T00:00:00.5Z",
            "2026-02-30T00:00:00Z",
            "2026-11-21",
            "2026-11-21T08:15:00.1234567891Z",
            "nonsense",
            "",
        ] {
            let expected = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
            assert_eq!(time(text.as_bytes()), expected, "{text}");
        }
    }
}
