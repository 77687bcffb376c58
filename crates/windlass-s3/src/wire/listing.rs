//! Pages of a listing: the request, and a reader of the answer that copies only what is kept.

use super::xml::{Fault, unescape};
use super::{Asked, Call, IN_QUERY, Route, Wire, Xml};
use crate::failure::Failure;
use crate::list::{Page, PageRequest, Row, decode, unquote};
use chrono::{DateTime, NaiveDate, Utc};
use percent_encoding::utf8_percent_encode;
use std::fmt::Write as _;

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
        let mut page = page(&answer.text).map_err(|why| self.not_s3(Call::List, why))?;
        if std::mem::take(&mut page.encoded) {
            let decoded = |text: &mut String| {
                if text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
                    *text = decode(text)?;
                }
                Ok(())
            };
            page.folders
                .iter_mut()
                .chain(page.objects.iter_mut().map(|row| &mut row.key))
                .try_for_each(decoded)
                .map_err(Failure::unanswered)?;
        }
        Ok(page)
    }
}

/// Reads a page; keys stay encoded.
fn page(text: &[u8]) -> Result<Page, Fault> {
    let mut page = Page { objects: Vec::with_capacity(text.len() / 300), ..Page::default() };
    let mut xml = Xml::new(text);
    if xml.root()? != b"ListBucketResult" {
        return Err("it is no listing");
    }
    while let Some(name) = xml.child()? {
        match name {
            b"Contents" => {
                if let Some(row) = row(&mut xml)? {
                    page.objects.push(row);
                }
            }
            b"CommonPrefixes" => {
                while let Some(name) = xml.child()? {
                    if name == b"Prefix" {
                        page.folders.push(xml.string()?);
                    } else {
                        xml.skip()?;
                    }
                }
            }
            b"IsTruncated" => page.truncated = &*xml.text()? == b"true",
            b"NextContinuationToken" => {
                page.token = Some(xml.string()?).filter(|token| !token.is_empty());
            }
            b"EncodingType" => page.encoded = &*xml.text()? == b"url",
            _ => xml.skip()?,
        }
    }
    Ok(page)
}

fn row(xml: &mut Xml<'_>) -> Result<Option<Row>, Fault> {
    let mut key = None;
    let mut row = Row::default();
    while let Some(name) = xml.child()? {
        match name {
            b"Key" => key = Some(xml.string()?),
            b"Size" => {
                row.size =
                    std::str::from_utf8(&xml.raw()?).ok().and_then(|t| t.trim().parse().ok());
            }
            b"LastModified" => row.last_modified = time(&xml.raw()?),
            b"ETag" => row.etag = Some(etag(&xml.raw()?)?),
            b"StorageClass" => row.storage_class = Some(xml.string()?),
            _ => xml.skip()?,
        }
    }
    Ok(key.map(|key| Row { key, ..row }))
}

/// An `ETag` without its quotes, which are entities more often than not.
fn etag(raw: &[u8]) -> Result<String, Fault> {
    let mut inner = raw;
    for quote in [&b"&quot;"[..], b"&#34;", b"\""] {
        if let Some(text) = raw.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)) {
            inner = text;
            break;
        }
    }
    if inner.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-') {
        return Ok(String::from_utf8_lossy(inner).into_owned());
    }
    let text = unescape(raw)?;
    Ok(unquote(&String::from_utf8_lossy(&text)))
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
    }

    #[test]
    fn a_page_that_is_cut_off_or_something_else_is_an_error() {
        let text = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        assert!(page(text).is_ok());
        for end in 0..text.len() {
            assert!(page(&text[..end]).is_err());
        }
        assert!(page(b"<html><body>Welcome</body></html>").is_err());
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
