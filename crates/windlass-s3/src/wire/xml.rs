//! A pull parser for the little XML that S3 answers with.
//!
//! Elements and text, nothing copied that needs no copy: names and text are slices of the answer. A
//! document that ends early or is no XML is an error, never a shorter answer.

use memchr::{memchr, memmem};
use std::borrow::Cow;

/// Why a text is not the XML that was expected.
pub(crate) type Fault = &'static str;

/// The text ends where more must follow.
pub(crate) const EARLY: Fault = "the XML ends early";

pub(crate) const NOT_UTF8: Fault = "it is not UTF-8";

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// An element begins; its name without a namespace's prefix.
    Open(&'a [u8]),
    /// The innermost open element ends.
    Close,
    /// Text with its entities still in it.
    Text(&'a [u8]),
    /// Text as it stands (CDATA).
    Verbatim(&'a [u8]),
}

/// A reader of one document.
#[derive(Debug)]
pub(crate) struct Xml<'a> {
    rest: &'a [u8],
    /// Elements that are open.
    depth: usize,
    /// An element without content was opened: its end comes next.
    empty: bool,
}

impl<'a> Xml<'a> {
    /// Begins at the start of a document, after blanks a service may send to keep a line alive.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        Self { rest: text.trim_ascii_start(), depth: 0, empty: false }
    }

    /// Goes on in the middle of a document, between two children of its outermost element.
    pub(crate) fn within(text: &'a [u8]) -> Self {
        Self { rest: text, depth: 1, empty: false }
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The name of the outermost element, which is entered.
    pub(crate) fn root(&mut self) -> Result<&'a [u8], Fault> {
        loop {
            match self.next()? {
                Event::Open(name) => return Ok(name),
                Event::Text(text) if text.trim_ascii().is_empty() => {}
                _ => return Err("it is not XML"),
            }
        }
    }

    /// The next element inside the one that is open, which is entered; None at its end.
    pub(crate) fn child(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        loop {
            match self.next()? {
                Event::Open(name) => return Ok(Some(name)),
                Event::Close => return Ok(None),
                Event::Text(_) | Event::Verbatim(_) => {}
            }
        }
    }

    /// The text of the element that is open, to its end, with entities resolved.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        // Nearly always one piece of text and the end.
        let mut whole = match self.next()? {
            Event::Close => return Ok(Cow::Borrowed(b"")),
            Event::Text(text) => unescape(text)?,
            Event::Verbatim(text) => Cow::Borrowed(text),
            Event::Open(_) => {
                self.skip()?;
                Cow::Borrowed(&b""[..])
            }
        };
        loop {
            match self.next()? {
                Event::Close => return Ok(whole),
                Event::Text(text) => whole.to_mut().extend_from_slice(&unescape(text)?),
                Event::Verbatim(text) => whole.to_mut().extend_from_slice(text),
                Event::Open(_) => self.skip()?,
            }
        }
    }

    /// The text of the element that is open, as it stands: for values that rarely hold entities.
    pub(crate) fn raw(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        let end = memchr(b'<', self.rest).ok_or(EARLY)?;
        if !self.empty && self.rest.get(end + 1) == Some(&b'/') {
            let text = &self.rest[..end];
            self.rest = &self.rest[end..];
            self.next()?;
            return Ok(Cow::Borrowed(text));
        }
        self.text()
    }

    /// The text of the element that is open as a string.
    pub(crate) fn string(&mut self) -> Result<String, Fault> {
        String::from_utf8(self.text()?.into_owned()).map_err(|_| NOT_UTF8)
    }

    /// Leaves the element that is open.
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
        let outside = self.depth - 1;
        while self.depth > outside {
            self.next()?;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Event<'a>, Fault> {
        if self.empty {
            self.empty = false;
            self.depth -= 1;
            return Ok(Event::Close);
        }
        loop {
            let Some(after) = self.rest.strip_prefix(b"<") else {
                let end = memchr(b'<', self.rest).ok_or(EARLY)?;
                let (text, rest) = self.rest.split_at(end);
                self.rest = rest;
                return Ok(Event::Text(text));
            };
            match after.first() {
                Some(b'/') => {
                    self.rest = &after[memchr(b'>', after).ok_or(EARLY)? + 1..];
                    self.depth =
                        self.depth.checked_sub(1).ok_or("an element ends that was not begun")?;
                    return Ok(Event::Close);
                }
                Some(b'?') => self.rest = past(after, b"?>")?.1,
                Some(b'!') if after.starts_with(b"!--") => self.rest = past(&after[3..], b"-->")?.1,
                Some(b'!') if after.starts_with(b"![CDATA[") => {
                    let (text, rest) = past(&after[8..], b"]]>")?;
                    self.rest = rest;
                    return Ok(Event::Verbatim(text));
                }
                // Entities of its own are nothing that a storage service declares.
                Some(b'!') => return Err("it declares a document type"),
                _ => {
                    let (tag, rest) = tag(after)?;
                    self.rest = rest;
                    self.depth += 1;
                    self.empty = tag.ends_with(b"/");
                    let end = tag
                        .iter()
                        .position(|byte| byte.is_ascii_whitespace() || *byte == b'/')
                        .unwrap_or(tag.len());
                    let name = &tag[..end];
                    let local = memchr(b':', name).map_or(name, |at| &name[at + 1..]);
                    if local.is_empty() {
                        return Err("an element has no name");
                    }
                    return Ok(Event::Open(local));
                }
            }
        }
    }
}

fn past<'a>(text: &'a [u8], mark: &[u8]) -> Result<(&'a [u8], &'a [u8]), Fault> {
    let at = memmem::find(text, mark).ok_or(EARLY)?;
    Ok((&text[..at], &text[at + mark.len()..]))
}

/// Splits after the `>` that ends a tag; one within an attribute's quotes does not.
fn tag(text: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let mut quote = None;
    for (at, byte) in text.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Ok((&text[..at], &text[at + 1..])),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), _) if open == *byte => quote = None,
            _ => {}
        }
    }
    Err(EARLY)
}

/// Resolves entities and character references.
pub(crate) fn unescape(text: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    let Some(mut at) = memchr(b'&', text) else { return Ok(Cow::Borrowed(text)) };
    let mut whole = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        whole.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let end = memchr(b';', &rest[..rest.len().min(12)]).ok_or("an entity has no end")?;
        match &rest[..end] {
            b"lt" => whole.push(b'<'),
            b"gt" => whole.push(b'>'),
            b"amp" => whole.push(b'&'),
            b"quot" => whole.push(b'"'),
            b"apos" => whole.push(b'\''),
            name => {
                let number = name.strip_prefix(b"#").ok_or("an entity is not known")?;
                let number = std::str::from_utf8(number).map_err(|_| "an entity is not known")?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                let c = code.ok().and_then(char::from_u32).ok_or("an entity is no character")?;
                whole.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        rest = &rest[end + 1..];
        let Some(next) = memchr(b'&', rest) else {
            whole.extend_from_slice(rest);
            return Ok(Cow::Owned(whole));
        };
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(document: &[u8]) -> Result<Vec<(String, String)>, Fault> {
        let mut xml = Xml::new(document);
        xml.root()?;
        let mut all = Vec::new();
        while let Some(name) = xml.child()? {
            all.push((String::from_utf8_lossy(name).into_owned(), xml.string()?));
        }
        Ok(all)
    }

    #[test]
    fn elements_and_their_text_are_read_whatever_is_around_them() {
        let document = br#"
            <?xml version="1.0" encoding="UTF-8"?><!-- <not><this> -->
            <s3:Root xmlns:s3="http://x/>y" a='"'>
              <Key>a &lt;&gt;&amp;&quot;&apos; &#228;&#x1F600;</Key><Empty/><Empty two="2" />
              <Raw><![CDATA[<&amp;]]>&amp;</Raw><Deep>x<In><In>no</In></In>y</Deep>
            </s3:Root>"#;
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(
            texts(document).unwrap(),
            [
                pair("Key", "a <>&\"' \u{e4}\u{1F600}"),
                pair("Empty", ""),
                pair("Empty", ""),
                pair("Raw", "<&amp;&"),
                pair("Deep", "xy"),
            ]
        );
    }

    #[test]
    fn what_is_cut_off_or_no_xml_is_an_error() {
        let whole = b"<A><B>x&amp;y</B><C/></A>";
        assert!(texts(whole).is_ok());
        for end in 0..whole.len() {
            assert!(texts(&whole[..end]).is_err(), "{end}");
        }
        for bad in [
            &b""[..],
            b"hello",
            b"<A><B>&nope;</B></A>",
            b"<A><B>&#xD800;</B></A>",
            b"<A><B>& </B></A>",
            b"</A>",
            b"<!DOCTYPE a [<!ENTITY b 'c'>]><A/>",
            b"<A><B>\xff</B></A>",
            b"{\"a\": 1}",
        ] {
            assert!(texts(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn raw_text_is_given_as_it_stands_where_nothing_is_nested() {
        let mut xml = Xml::new(b"<A><B>&quot;e&quot;</B><C/><D>x<E/></D></A>");
        xml.root().unwrap();
        let mut all = Vec::new();
        while xml.child().unwrap().is_some() {
            all.push(xml.raw().unwrap().into_owned());
        }
        assert_eq!(all, [&b"&quot;e&quot;"[..], b"", b"x"]);
    }
}
