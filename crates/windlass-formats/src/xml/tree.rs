//! Elements as small trees, one row at a time.

use crate::format::Failure;
use crate::source::too_long;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::io::BufRead;

/// An element, or an attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// Its own text.
    pub(super) text: String,
    /// Attributes and elements in it, in order.
    pub(super) parts: Vec<(String, Node)>,
}

/// Elements within elements.
const DEPTH: usize = 128;

/// Hands out the elements that are rows.
pub(super) struct Elements {
    reader: Reader<Counted>,
    tag: Option<String>,
    prefix: String,
    longest: usize,
    /// Open elements outside of rows.
    depth: usize,
    began: bool,
    buffer: Vec<u8>,
}

/// Counts line ends on the way, and bounds what is looked at in vain.
struct Counted {
    stream: Box<dyn BufRead + Send>,
    lines: u64,
    read: usize,
    /// Where the event began that is being read, and how long it may be.
    mark: usize,
    longest: usize,
}

impl std::io::Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let chunk = self.stream.fill_buf()?;
        let taken = chunk.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&chunk[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl BufRead for Counted {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.read - self.mark > self.longest {
            return Err(too_long("a text or tag", self.longest));
        }
        self.stream.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(chunk) = self.stream.fill_buf() {
            let ends = chunk.iter().take(amount).filter(|byte| **byte == b'\n').count();
            self.lines += ends as u64;
            self.read += amount;
        }
        self.stream.consume(amount);
    }
}

fn local(start: &BytesStart<'_>) -> String {
    String::from_utf8_lossy(start.local_name().as_ref()).into_owned()
}

impl Elements {
    pub(super) fn new(
        stream: Box<dyn BufRead + Send>,
        tag: Option<String>,
        prefix: String,
        longest: usize,
    ) -> Self {
        let mut reader =
            Reader::from_reader(Counted { stream, lines: 0, read: 0, mark: 0, longest });
        reader.config_mut().check_end_names = true;
        Self { reader, tag, prefix, longest, depth: 0, began: false, buffer: Vec::new() }
    }

    /// Bytes read so far.
    pub(super) fn read(&self) -> usize {
        self.reader.get_ref().read
    }

    fn line(&self) -> u64 {
        self.reader.get_ref().lines + 1
    }

    fn event(&mut self) -> Result<Event<'static>, Failure> {
        self.buffer.clear();
        let line = self.line();
        let counted = self.reader.get_mut();
        counted.mark = counted.read;
        match self.reader.read_event_into(&mut self.buffer) {
            Ok(event) => {
                let event = event.into_owned();
                if self.buffer.capacity() > (1 << 20) {
                    self.buffer = Vec::new();
                }
                Ok(event)
            }
            Err(error) => Err(Failure { line: Some(line), ..Failure::new(error.to_string()) }),
        }
    }

    /// The next row and the line it begins in.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Node)>, Failure> {
        loop {
            let line = self.line();
            match self.event()? {
                Event::Start(start) => {
                    self.began = true;
                    if self.is_row(&start) {
                        return Ok(Some((line, self.element(&start, line)?)));
                    }
                    self.depth += 1;
                    if self.depth > DEPTH {
                        return Err(Failure::new(format!("it is nested more than {DEPTH} deep")));
                    }
                }
                Event::Empty(start) => {
                    self.began = true;
                    if self.is_row(&start) {
                        let parts = self.attributes(&start, line)?;
                        return Ok(Some((line, Node { text: String::new(), parts })));
                    }
                }
                Event::End(_) => self.depth = self.depth.saturating_sub(1),
                Event::Eof if !self.began => return Err(Failure::new("it has no element")),
                Event::Eof if self.depth > 0 => {
                    return Err(Failure {
                        line: Some(line),
                        ..Failure::new("the file ends inside of an element")
                    });
                }
                Event::Eof => return Ok(None),
                Event::Text(text)
                    if self.depth == 0 && !text.iter().all(u8::is_ascii_whitespace) =>
                {
                    return Err(Failure {
                        line: Some(line),
                        ..Failure::new("there is text outside of every element")
                    });
                }
                _ => {}
            }
        }
    }

    fn is_row(&self, start: &BytesStart<'_>) -> bool {
        match &self.tag {
            Some(tag) => start.local_name().as_ref() == tag.as_bytes(),
            None => self.depth == 1,
        }
    }

    fn attributes(
        &self,
        start: &BytesStart<'_>,
        line: u64,
    ) -> Result<Vec<(String, Node)>, Failure> {
        let failed = |why: String| Failure { line: Some(line), ..Failure::new(why) };
        let mut parts = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| failed(error.to_string()))?;
            let key = attribute.key;
            if key.as_ref() == b"xmlns" || key.prefix().is_some_and(|p| p.as_ref() == b"xmlns") {
                continue;
            }
            let name = String::from_utf8_lossy(key.local_name().as_ref()).into_owned();
            let raw = std::str::from_utf8(&attribute.value)
                .map_err(|_| failed("an attribute is not UTF-8".to_owned()))?;
            let text = match quick_xml::escape::unescape(raw) {
                Ok(text) => text.into_owned(),
                Err(_) => raw.to_owned(),
            };
            let node = Node { text, parts: Vec::new() };
            parts.push((format!("{}{name}", self.prefix), node));
        }
        Ok(parts)
    }

    /// The element that has just begun, to its end.
    fn element(&mut self, start: &BytesStart<'_>, begun: u64) -> Result<Node, Failure> {
        let mut open = vec![(
            local(start),
            Node { parts: self.attributes(start, begun)?, text: String::new() },
        )];
        let before = self.read();
        loop {
            let line = self.line();
            let failed = |why: &str| Failure { line: Some(line), ..Failure::new(why) };
            let event = self.event()?;
            let (_, node) = open.last_mut().expect("the row is open");
            match event {
                Event::Start(start) => {
                    let parts = self.attributes(&start, line)?;
                    open.push((local(&start), Node { text: String::new(), parts }));
                    if open.len() > DEPTH {
                        return Err(failed(&format!("it is nested more than {DEPTH} deep")));
                    }
                }
                Event::Empty(start) => {
                    let parts = self.attributes(&start, line)?;
                    node.parts.push((local(&start), Node { text: String::new(), parts }));
                }
                Event::End(_) => {
                    let (name, node) = open.pop().expect("the row is open");
                    match open.last_mut() {
                        Some((_, outer)) => outer.parts.push((name, node)),
                        None => return Ok(node),
                    }
                }
                Event::Text(text) => {
                    let text = text.xml10_content().map_err(|_| failed("a text is not UTF-8"))?;
                    node.text.push_str(&text);
                }
                Event::CData(text) => {
                    let text = text.xml10_content().map_err(|_| failed("a text is not UTF-8"))?;
                    node.text.push_str(&text);
                }
                Event::GeneralRef(reference) => {
                    let known = reference.resolve_char_ref().ok().flatten();
                    let name = reference.decode().map_err(|_| failed("a text is not UTF-8"))?;
                    match (known, quick_xml::escape::resolve_xml_entity(&name)) {
                        (Some(character), _) => node.text.push(character),
                        (None, Some(text)) => node.text.push_str(text),
                        // Of a document type that is not followed.
                        (None, None) => {
                            node.text.push('&');
                            node.text.push_str(&name);
                            node.text.push(';');
                        }
                    }
                }
                Event::Eof => return Err(failed("the file ends inside of an element")),
                _ => {}
            }
            if self.read() - before > self.longest {
                return Err(Failure {
                    line: Some(begun),
                    ..too_long("an element", self.longest).into()
                });
            }
        }
    }
}
