//! Columns in OpenMetadata's words (reference section 7).

use crate::model::Column;
use serde_json::{Map, Value};

/// Most characters of a name.
const NAME: usize = 256;

/// Columns as OpenMetadata has them. What people say of a column, given its dotted path, stands
/// before what a file says.
pub fn columns(columns: &[Column], note: &dyn Fn(&str) -> Option<String>) -> Value {
    below("", columns, note)
}

fn below(parent: &str, columns: &[Column], note: &dyn Fn(&str) -> Option<String>) -> Value {
    let each = |column: &Column| {
        let path = crate::changes::dotted(parent, &column.name);
        let mut out = Map::new();
        let cut: String = column.name.chars().take(NAME).collect();
        out.insert("name".to_owned(), cut.into());
        out.insert("displayName".to_owned(), column.name.as_str().into());
        out.insert("dataType".to_owned(), column.data_type.as_str().into());
        out.insert("dataTypeDisplay".to_owned(), column.display.as_str().into());
        if let Some(kind) = &column.array_data_type {
            out.insert("arrayDataType".to_owned(), kind.as_str().into());
        }
        if let Some(length) = column.length {
            out.insert("dataLength".to_owned(), length.into());
        }
        if let Some(text) = note(&path).or_else(|| column.description.clone()) {
            out.insert("description".to_owned(), text.into());
        }
        if !column.children.is_empty() {
            out.insert("children".to_owned(), below(&path, &column.children, note));
        }
        Value::Object(out)
    };
    Value::Array(columns.iter().map(each).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{column, structure};
    use serde_json::json;

    #[test]
    fn columns_have_the_fields_of_the_golden_containers() {
        let mut bytes = column("raw", "BINARY");
        bytes.length = Some(-1);
        let mut list = column("tags", "ARRAY<TEXT>");
        list.array_data_type = Some("STRING".to_owned());
        let pair = structure("p", vec![column("x", "BIGINT")]);
        let note = |path: &str| (path == "p.x").then(|| "across".to_owned());
        let expected = json!([
            {"name": "raw", "displayName": "raw", "dataType": "BINARY", "dataTypeDisplay": "BINARY", "dataLength": -1},
            {"name": "tags", "displayName": "tags", "dataType": "ARRAY", "dataTypeDisplay": "ARRAY<TEXT>", "arrayDataType": "STRING"},
            {"name": "p", "displayName": "p", "dataType": "STRUCT", "dataTypeDisplay": "STRUCT<x BIGINT>", "children": [
                {"name": "x", "displayName": "x", "dataType": "BIGINT", "dataTypeDisplay": "BIGINT", "description": "across"},
            ]},
        ]);
        assert_eq!(columns(&[bytes, list, pair], &note), expected);
    }
}
