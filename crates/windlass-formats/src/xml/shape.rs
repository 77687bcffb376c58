//! What elements of one name have in common, and elements as values of that type.

use super::TEXT;
use super::tree::Node;
use crate::infer::{Guess, fit};
use arrow::datatypes::{DataType, Field, Fields};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// The parts elements of one name were seen with.
#[derive(Debug, Default)]
pub(super) struct Shape {
    text: Guess,
    /// Whether one had text besides parts.
    mixed: bool,
    /// Whether one had text alone.
    leaf: bool,
    names: Vec<String>,
    parts: HashMap<String, (Shape, bool)>,
}

impl Shape {
    pub(super) fn add(&mut self, node: &Node) {
        let text = node.text.trim();
        if !text.is_empty() {
            self.text.add(text);
            if node.parts.is_empty() {
                self.leaf = true;
            } else {
                self.mixed = true;
            }
        }
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (name, part) in &node.parts {
            if !self.parts.contains_key(name) {
                self.names.push(name.clone());
            }
            let (shape, many) = self.parts.entry(name.clone()).or_default();
            shape.add(part);
            let count = seen.entry(name).or_default();
            *count += 1;
            *many |= *count > 1;
        }
    }

    /// The type of the elements; columns of text only if `text` says so.
    pub(super) fn kind(&self, text: bool) -> DataType {
        let leaf = match self.text.kind() {
            _ if text => DataType::Utf8,
            DataType::Null => DataType::Utf8,
            kind => kind,
        };
        if self.names.is_empty() {
            return leaf;
        }
        let mut fields: Vec<Field> = self
            .names
            .iter()
            .map(|name| {
                let (shape, many) = &self.parts[name];
                let mut kind = shape.kind(text);
                // A row without parts has its text as a part; the text of others is the same column.
                if name == TEXT && !*many && (self.mixed || self.leaf) && !text {
                    kind = fit(&kind, &self.text.kind());
                }
                if *many {
                    let item = Arc::new(Field::new("item", kind, true));
                    Field::new(name, DataType::List(item), true)
                } else {
                    Field::new(name, kind, true)
                }
            })
            .collect();
        if (self.mixed || self.leaf) && !self.parts.contains_key(TEXT) {
            fields.push(Field::new(TEXT, leaf, true));
        }
        DataType::Struct(fields.into())
    }

    /// The column, with what its values say besides its type.
    pub(super) fn told(&self, field: &Field) -> Field {
        match self.parts.get(field.name()) {
            Some((part, false))
                if part.names.is_empty() && part.text.kind() == *field.data_type() =>
            {
                part.text.field(field.name())
            }
            _ => field.clone(),
        }
    }
}

/// The element as an object of these fields.
pub(super) fn object(node: &Node, fields: &Fields) -> Result<Value, String> {
    let mut object = Map::new();
    for field in fields {
        let name = field.name();
        let mut parts = node.parts.iter().filter(|(part, _)| part == name).map(|(_, node)| node);
        let value = match field.data_type() {
            DataType::List(item) => {
                let values: Vec<Value> =
                    parts.map(|part| value(part, item.data_type())).collect::<Result<_, _>>()?;
                if values.is_empty() { Value::Null } else { Value::Array(values) }
            }
            kind => match (parts.next(), parts.next()) {
                (Some(part), None) => value(part, kind)?,
                (Some(_), Some(_)) => {
                    return Err(format!(
                        "`{name}` is there more than once, and was so in no row read for the schema"
                    ));
                }
                (None, _) if name == TEXT => leaf(&node.text, kind),
                (None, _) => Value::Null,
            },
        };
        object.insert(name.clone(), value);
    }
    Ok(Value::Object(object))
}

fn value(node: &Node, kind: &DataType) -> Result<Value, String> {
    match kind {
        DataType::Struct(fields) => {
            if node.parts.is_empty() && node.text.trim().is_empty() {
                return Ok(Value::Null);
            }
            object(node, fields)
        }
        DataType::Utf8 if !node.parts.is_empty() => {
            let mut text = String::new();
            inside(node, &mut text);
            Ok(Value::String(text))
        }
        _ if !node.parts.is_empty() => {
            Err("an element has parts, and had none in the rows read for the schema".to_owned())
        }
        kind => Ok(leaf(&node.text, kind)),
    }
}

fn leaf(text: &str, kind: &DataType) -> Value {
    let trimmed = text.trim();
    match kind {
        _ if trimmed.is_empty() => Value::Null,
        DataType::Utf8 => Value::String(text.to_owned()),
        DataType::Boolean if trimmed.eq_ignore_ascii_case("true") || trimmed == "1" => true.into(),
        DataType::Boolean if trimmed.eq_ignore_ascii_case("false") || trimmed == "0" => {
            false.into()
        }
        _ => Value::String(trimmed.to_owned()),
    }
}

/// What is inside of an element, as XML again.
fn inside(node: &Node, out: &mut String) {
    out.push_str(&quick_xml::escape::escape(node.text.as_str()));
    for (name, part) in &node.parts {
        out.push('<');
        out.push_str(name);
        out.push('>');
        inside(part, out);
        out.push_str("</");
        out.push_str(name);
        out.push('>');
    }
}
