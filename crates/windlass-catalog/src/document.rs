//! JSON and YAML that know their places, so that what is wrong in a file is said with line and key.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::fmt;
use windlass_types::options::nearest;
use windlass_types::{Error, ErrorCode, Result};

/// Levels within each other; deeper is refused.
const DEEPEST: usize = 64;
/// Nodes that aliases may copy into a document.
const ALIASED: usize = 10_000;

/// A place in a text, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys with their places and values. Of a key given twice the last counts.
    Map(Vec<(String, Place, Node)>),
}

impl Value {
    fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its first character.
    pub place: Place,
}

/// A file that was read, by the name that errors give it.
#[derive(Debug, Clone)]
pub struct Document {
    name: String,
    root: Node,
}

impl Document {
    /// Reads JSON; `name` is what errors call it.
    pub fn json(name: &str, text: &str) -> Result<Self> {
        let text = text.trim_start_matches('\u{feff}');
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
            let place = Place { line: error.line(), column: error.column() };
            let told = error.to_string();
            let told = told.split(" at line ").next().unwrap_or(&told);
            let what = format!("{name}:{}:{}: not JSON: {told}", place.line, place.column);
            invalid(what)
        })?;
        let reading = Json { name, text, lines: line_starts(text) };
        Ok(Self { name: name.to_owned(), root: reading.node(raw, 0)? })
    }

    /// Reads the first document of a YAML file; an empty one is null.
    pub fn yaml(name: &str, text: &str) -> Result<Self> {
        let mut builder = Yaml { name, anchors: HashMap::new(), budget: ALIASED };
        let mut parser = Parser::new_from_str(text.trim_start_matches('\u{feff}'));
        let root = builder.document(&mut parser)?;
        Ok(Self { name: name.to_owned(), root })
    }

    /// The whole document.
    pub fn root(&self) -> At<'_> {
        At { name: &self.name, path: String::new(), node: &self.root }
    }
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::DocumentInvalid, what)
}

/// Where each line begins.
fn line_starts(text: &str) -> Vec<usize> {
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).collect()
}

struct Json<'a> {
    name: &'a str,
    text: &'a str,
    lines: Vec<usize>,
}

impl Json<'_> {
    /// Where a piece of the text begins.
    fn place(&self, piece: &str) -> Place {
        let at = (piece.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count()) + 1;
        Place { line, column }
    }

    fn node(&self, raw: &RawValue, depth: usize) -> Result<Node> {
        let text = raw.get();
        let place = self.place(text);
        if depth > DEEPEST {
            return Err(invalid(format!(
                "{}:{}: more than {DEEPEST} levels within each other",
                self.name, place.line
            )));
        }
        let bad = |error: serde_json::Error| {
            invalid(format!("{}:{}: not JSON", self.name, place.line)).source(error)
        };
        let value = match text.as_bytes().first() {
            Some(b'{') => {
                let pairs: Pairs<'_> = serde_json::from_str(text).map_err(bad)?;
                let mut map: Vec<(String, Place, Node)> = Vec::with_capacity(pairs.0.len());
                for (key, raw) in pairs.0 {
                    let node = self.node(raw, depth + 1)?;
                    // Keys are not borrowed: their escapes may have been taken away.
                    let at = node.place;
                    put(&mut map, key, at, node);
                }
                Value::Map(map)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(bad)?;
                let items = items.into_iter().map(|raw| self.node(raw, depth + 1));
                Value::List(items.collect::<Result<_>>()?)
            }
            Some(b'"') => Value::Text(serde_json::from_str(text).map_err(bad)?),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') | None => Value::Null,
            Some(_) => Value::Number(text.to_owned()),
        };
        Ok(Node { value, place })
    }
}

fn put(map: &mut Vec<(String, Place, Node)>, key: String, place: Place, node: Node) {
    match map.iter_mut().find(|(known, ..)| *known == key) {
        Some(slot) => *slot = (key, place, node),
        None => map.push((key, place, node)),
    }
}

/// Keys and values of an object in their order, each value as it stands in the text.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Visit;
        impl<'de> serde::de::Visitor<'de> for Visit {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    pairs.push((key, map.next_value()?));
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(Visit)
    }
}

struct Yaml<'a> {
    name: &'a str,
    anchors: HashMap<usize, Node>,
    budget: usize,
}

fn place(mark: Marker) -> Place {
    Place { line: mark.line(), column: mark.col() + 1 }
}

impl Yaml<'_> {
    fn next<'i>(
        &self,
        parser: &mut Parser<'i, saphyr_parser::StrInput<'i>>,
    ) -> Result<(Event<'i>, Place)> {
        match parser.next_event() {
            Some(Ok((event, span))) => Ok((event, place(span.start))),
            Some(Err(error)) => {
                let at = place(*error.marker());
                Err(invalid(format!(
                    "{}:{}:{}: not YAML: {}",
                    self.name,
                    at.line,
                    at.column,
                    error.info()
                )))
            }
            None => Ok((Event::StreamEnd, Place::default())),
        }
    }

    fn document<'i>(
        &mut self,
        parser: &mut Parser<'i, saphyr_parser::StrInput<'i>>,
    ) -> Result<Node> {
        loop {
            let (event, at) = self.next(parser)?;
            match event {
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
                Event::StreamEnd | Event::DocumentEnd => {
                    return Ok(Node { value: Value::Null, place: Place { line: 1, column: 1 } });
                }
                event => return self.node(parser, event, at, 0),
            }
        }
    }

    fn node<'i>(
        &mut self,
        parser: &mut Parser<'i, saphyr_parser::StrInput<'i>>,
        event: Event<'i>,
        at: Place,
        depth: usize,
    ) -> Result<Node> {
        if depth > DEEPEST {
            return Err(invalid(format!(
                "{}:{}: more than {DEEPEST} levels within each other",
                self.name, at.line
            )));
        }
        let (value, anchor) = match event {
            Event::Alias(id) => {
                let node = self
                    .anchors
                    .get(&id)
                    .cloned()
                    .unwrap_or(Node { value: Value::Null, place: at });
                let size = weight(&node);
                self.budget = self.budget.checked_sub(size).ok_or_else(|| {
                    invalid(format!("{}:{}: aliases repeat too much", self.name, at.line))
                })?;
                return Ok(Node { place: at, ..node });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                (if plain { scalar(&text) } else { Value::Text(text.into_owned()) }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    let (event, at) = self.next(parser)?;
                    match event {
                        Event::SequenceEnd | Event::StreamEnd => break,
                        event => items.push(self.node(parser, event, at, depth + 1)?),
                    }
                }
                (Value::List(items), anchor)
            }
            Event::MappingStart(anchor, _) => {
                let mut map = Vec::new();
                loop {
                    let (event, key_at) = self.next(parser)?;
                    if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                        break;
                    }
                    let key = match self.node(parser, event, key_at, depth + 1)?.value {
                        Value::Text(text) | Value::Number(text) => text,
                        Value::Bool(flag) => flag.to_string(),
                        Value::Null => "null".to_owned(),
                        Value::List(_) | Value::Map(_) => {
                            let what = format!("{}:{}: a key must be text", self.name, key_at.line);
                            return Err(invalid(what));
                        }
                    };
                    let (event, at) = self.next(parser)?;
                    let node = self.node(parser, event, at, depth + 1)?;
                    put(&mut map, key, key_at, node);
                }
                (Value::Map(map), anchor)
            }
            _ => (Value::Null, 0),
        };
        let node = Node { value, place: at };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }
}

fn weight(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(weight).sum(),
        Value::Map(items) => items.iter().map(|(_, _, node)| weight(node)).sum(),
        _ => 0,
    }
}

/// A plain scalar, read as YAML's readers in Python read it, for the words that matter here.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && text.parse::<f64>().is_ok_and(f64::is_finite) =>
        {
            Value::Number(text.to_owned())
        }
        _ => Value::Text(text.to_owned()),
    }
}

/// A node of a document with its path, for reading it and for saying what is wrong with it.
#[derive(Debug, Clone)]
pub struct At<'a> {
    name: &'a str,
    path: String,
    node: &'a Node,
}

impl<'a> At<'a> {
    /// The node itself.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// An error of this place: file, line, path, `what`.
    pub fn error(&self, what: impl fmt::Display) -> Error {
        self.error_at(self.node.place, what)
    }

    fn error_at(&self, place: Place, what: impl fmt::Display) -> Error {
        invalid(self.said(place, what))
    }

    /// File and line.
    pub fn spot(&self) -> String {
        format!("{}:{}", self.name, self.node.place.line)
    }

    /// What an error of this place would say, for a warning.
    pub fn says(&self, what: impl fmt::Display) -> String {
        self.said(self.node.place, what)
    }

    fn said(&self, place: Place, what: impl fmt::Display) -> String {
        let path = if self.path.is_empty() { String::new() } else { format!("`{}` ", self.path) };
        format!("{}:{}: {path}{what}", self.name, place.line)
    }

    fn down(&self, step: &str, node: &'a Node) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { name: self.name, path: format!("{}{dot}{step}", self.path), node }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        self.node.value == Value::Null
    }

    fn wrong(&self, wanted: &str) -> Error {
        self.error(format!("must be {wanted}, not {}", self.node.value.word()))
    }

    /// The pairs of an object.
    fn pairs(&self) -> Result<&'a [(String, Place, Node)]> {
        match &self.node.value {
            Value::Map(pairs) => Ok(pairs),
            _ => Err(self.wrong("an object")),
        }
    }

    /// Keys of the object that are not among `known`, each with what is to be said of it.
    pub fn unknown(&self, known: &[&str]) -> Result<Vec<(Place, String)>> {
        let strange = self.pairs()?.iter().filter(|(key, ..)| !known.contains(&key.as_str()));
        Ok(strange
            .map(|(key, place, _)| {
                let near = nearest(key, known)
                    .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                let full =
                    if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
                let what =
                    format!("{}:{}: `{full}` is not known here{near}", self.name, place.line);
                (*place, what)
            })
            .collect())
    }

    /// An error if the object has a key that is not among `known`.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        match self.unknown(known)?.into_iter().next() {
            None => Ok(()),
            Some((_, what)) => Err(invalid(what).hint(format!("allowed are {}", known.join(", ")))),
        }
    }

    /// The value of a key; None if it is not there or null.
    pub fn get(&self, key: &str) -> Result<Option<Self>> {
        let found = self.pairs()?.iter().find(|(known, ..)| known == key);
        Ok(found.map(|(key, _, node)| self.down(key, node)).filter(|at| !at.is_null()))
    }

    /// The value of a key that must be there.
    pub fn need(&self, key: &str) -> Result<Self> {
        self.get(key)?.ok_or_else(|| {
            let dot = if self.path.is_empty() { "" } else { "." };
            let at = self.node.place.line;
            invalid(format!("{}:{at}: `{}{dot}{key}` is required", self.name, self.path))
        })
    }

    /// Its items.
    pub fn list(&self) -> Result<Vec<Self>> {
        match &self.node.value {
            Value::List(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(at, node)| self.down(&at.to_string(), node))
                .collect()),
            _ => Err(self.wrong("a list")),
        }
    }

    /// Text.
    pub fn text(&self) -> Result<&'a str> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.wrong("text")),
        }
    }

    /// Texts.
    pub fn texts(&self) -> Result<Vec<String>> {
        self.list()?.iter().map(|item| item.text().map(str::to_owned)).collect()
    }

    /// True or false.
    pub fn flag(&self) -> Result<bool> {
        match &self.node.value {
            Value::Bool(flag) => Ok(*flag),
            Value::Text(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Value::Text(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    /// A whole number from `least` to `most`.
    pub fn number(&self, least: u64, most: u64) -> Result<u64> {
        let (Value::Number(text) | Value::Text(text)) = &self.node.value else {
            return Err(self.wrong("a whole number"));
        };
        text.parse()
            .ok()
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.error(format!("must be a whole number from {least} to {most}")))
    }

    /// One of some words, in any case of letters; answers it as `words` write it.
    pub fn word<'w>(&self, words: &[&'w str]) -> Result<&'w str> {
        let text = self.text()?;
        words.iter().find(|word| word.eq_ignore_ascii_case(text)).copied().ok_or_else(|| {
            self.error(format!("is `{text}`")).hint(format!("allowed are {}", words.join(", ")))
        })
    }
}

/// A whole document as plain JSON, for what is kept as it is.
pub fn plain(node: &Node) -> serde_json::Value {
    use serde_json::Value as J;
    match &node.value {
        Value::Null => J::Null,
        Value::Bool(flag) => J::Bool(*flag),
        Value::Number(text) => {
            serde_json::from_str(text).unwrap_or_else(|_| J::String(text.clone()))
        }
        Value::Text(text) => J::String(text.clone()),
        Value::List(items) => J::Array(items.iter().map(plain).collect()),
        Value::Map(items) => {
            J::Object(items.iter().map(|(key, _, node)| (key.clone(), plain(node))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_line_and_path() {
        let json = "{\n \"entries\": [\n  {\"dataPath\": 5,\n   \"depht\": 1}\n ]\n}";
        let yaml = "entries:\n  - dataPath: 5\n    depht: 1\n";
        for document in [Document::json("f.json", json), Document::yaml("f.yaml", yaml)] {
            let document = document.unwrap();
            let entry = document.root().need("entries").unwrap().list().unwrap().remove(0);
            let wrong = entry.need("dataPath").unwrap().text().unwrap_err();
            assert!(wrong.message().ends_with("`entries.0.dataPath` must be text, not a number"));
            let line = if wrong.message().starts_with("f.json") { 3 } else { 2 };
            assert!(wrong.message().contains(&format!(":{line}: ")), "{wrong}");
            let unknown = entry.only(&["dataPath", "depth"]).unwrap_err();
            assert!(
                unknown
                    .message()
                    .contains("`entries.0.depht` is not known here; did you mean `depth`?"),
                "{unknown}"
            );
            assert_eq!(unknown.hint_text(), Some("allowed are dataPath, depth"));
        }
    }

    #[test]
    fn broken_files_say_where_they_break() {
        let json = Document::json("m", "{\"entries\": [ {\"dataPath\": \"a\", } ]}").unwrap_err();
        insta::assert_snapshot!(json, @"m:1:33: not JSON: key must be a string");
        let yaml = Document::yaml("w.yaml", "a: [1, 2\nb: 3\n").unwrap_err();
        assert!(yaml.message().starts_with("w.yaml:2:"), "{yaml}");
        let deep = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
        assert!(Document::json("m", &deep).is_err());
        assert!(Document::yaml("m", &deep).is_err());
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d]\n";
        assert!(Document::yaml("m", bomb).unwrap_err().message().contains("aliases"));
    }

    #[test]
    fn values_of_yaml_are_those_of_json() {
        let yaml = "a: 'x'\nb: 5\nc: yes\nd: ~\ne: {f: [1, \"2\"]}\ng: -1.5\nh: ${MOTO}\n";
        let document = Document::yaml("w", yaml).unwrap();
        assert_eq!(
            plain(document.root().node()),
            serde_json::json!({"a": "x", "b": 5, "c": true, "d": null, "e": {"f": [1, "2"]}, "g": -1.5, "h": "${MOTO}"})
        );
        assert!(Document::yaml("w", "").unwrap().root().is_null());
    }
}
