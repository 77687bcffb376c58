//! Columns in OpenMetadata's words, made from what metadata of tables says.

use crate::model::Column;
use serde_json::Value;

/// A column without children.
pub fn column(name: &str, data_type: &str, display: impl Into<String>, nullable: bool) -> Column {
    Column {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        display: display.into(),
        array_data_type: None,
        length: None,
        precision: None,
        scale: None,
        nullable,
        partition: false,
        ordinal: 1,
        description: None,
        children: Vec::new(),
        hints: Vec::new(),
    }
}

/// Gives siblings their places, at every level.
pub fn number(columns: &mut [Column]) {
    for (place, column) in (1..).zip(columns.iter_mut()) {
        column.ordinal = place;
        number(&mut column.children);
    }
}

/// A decimal.
pub fn decimal(name: &str, precision: i32, scale: i32, nullable: bool) -> Column {
    let display = format!("DECIMAL({precision},{scale})");
    Column {
        precision: Some(precision),
        scale: Some(scale),
        ..column(name, "DECIMAL", display, nullable)
    }
}

/// A list; the members of structs in it are its children.
pub fn list(name: &str, item: Column, nullable: bool) -> Column {
    let display = format!("ARRAY<{}>", item.display);
    Column {
        array_data_type: Some(item.data_type.clone()),
        children: if item.data_type == "STRUCT" { item.children } else { Vec::new() },
        ..column(name, "ARRAY", display, nullable)
    }
}

/// A struct.
pub fn record(name: &str, mut members: Vec<Column>, nullable: bool) -> Column {
    number(&mut members);
    let inner: Vec<String> =
        members.iter().map(|member| format!("{} {}", member.name, member.display)).collect();
    let display = format!("STRUCT<{}>", inner.join(", "));
    Column { children: members, ..column(name, "STRUCT", display, nullable) }
}

/// A map, with its key and its value as children.
pub fn map(name: &str, key: Column, value: Column, nullable: bool) -> Column {
    let display = format!("MAP<{}, {}>", key.display, value.display);
    let mut children = vec![
        Column { name: "key".to_owned(), nullable: false, ..key },
        Column { name: "value".to_owned(), ..value },
    ];
    number(&mut children);
    Column { children, ..column(name, "MAP", display, nullable) }
}

/// A type by the word that Iceberg or Delta has for it.
fn simple(name: &str, word: &str, nullable: bool) -> Column {
    let word = word.trim();
    let (data_type, display) = match word {
        "boolean" => ("BOOLEAN", "BOOLEAN"),
        "byte" => ("TINYINT", "TINYINT"),
        "short" => ("SMALLINT", "SMALLINT"),
        "int" | "integer" => ("INT", "INTEGER"),
        "long" => ("BIGINT", "BIGINT"),
        "float" => ("FLOAT", "REAL"),
        "double" => ("DOUBLE", "DOUBLE"),
        "date" => ("DATE", "DATE"),
        "time" => ("TIME", "TIME"),
        "timestamp" | "timestamp_ntz" | "timestamp_ns" => ("TIMESTAMP", "TIMESTAMP"),
        "timestamptz" | "timestamptz_ns" => ("TIMESTAMPZ", "TIMESTAMP WITH TIME ZONE"),
        "string" => ("STRING", "TEXT"),
        "uuid" => ("UUID", "UUID"),
        "binary" => ("BINARY", "BYTEA"),
        "variant" => ("VARIANT", "VARIANT"),
        _ => {
            let inside = |prefix: &str, close: char| {
                word.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(close))
            };
            if let Some(digits) = inside("decimal(", ')') {
                let mut parts = digits.split(',').map(|part| part.trim().parse().unwrap_or(0));
                let (precision, scale) = (parts.next().unwrap_or(38), parts.next().unwrap_or(0));
                return decimal(name, precision, scale, nullable);
            }
            if let Some(length) = inside("fixed[", ']') {
                let length = length.parse().ok();
                return Column { length, ..column(name, "BINARY", "BYTEA", nullable) };
            }
            return column(name, "UNKNOWN", word.to_ascii_uppercase(), nullable);
        }
    };
    let length = (data_type == "BINARY").then_some(-1);
    Column { length, ..column(name, data_type, display, nullable) }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// Levels of types within each other; deeper ones are unknown.
const DEEPEST: usize = 32;

/// A column of an Iceberg schema.
fn iceberg_type(name: &str, kind: &Value, nullable: bool, depth: usize) -> Column {
    if depth > DEEPEST {
        return column(name, "UNKNOWN", "UNKNOWN", nullable);
    }
    let part = |key: &str, required: &str, label: &str| {
        let nullable = !kind.get(required).and_then(Value::as_bool).unwrap_or(false);
        iceberg_type(label, kind.get(key).unwrap_or(&Value::Null), nullable, depth + 1)
    };
    match (kind.as_str(), text(kind, "type")) {
        (Some(word), _) => simple(name, word, nullable),
        (_, Some("struct")) => record(name, iceberg_fields(kind, depth + 1), nullable),
        (_, Some("list")) => list(name, part("element", "element-required", "element"), nullable),
        (_, Some("map")) => {
            map(name, part("key", "key", "key"), part("value", "value-required", "value"), nullable)
        }
        _ => column(name, "UNKNOWN", "UNKNOWN", nullable),
    }
}

fn iceberg_fields(schema: &Value, depth: usize) -> Vec<Column> {
    let fields = schema.get("fields").and_then(Value::as_array).map(Vec::as_slice);
    let mut columns: Vec<Column> = fields
        .unwrap_or_default()
        .iter()
        .map(|field| {
            let name = text(field, "name").unwrap_or_default();
            let nullable = !field.get("required").and_then(Value::as_bool).unwrap_or(false);
            let kind = field.get("type").unwrap_or(&Value::Null);
            let column = iceberg_type(name, kind, nullable, depth);
            Column { description: text(field, "doc").map(str::to_owned), ..column }
        })
        .collect();
    number(&mut columns);
    columns
}

/// What an Iceberg table's metadata file says: columns, and rows of its present snapshot.
pub fn iceberg(metadata: &Value) -> Option<(Vec<Column>, Option<u64>)> {
    let current = metadata.get("current-schema-id").and_then(Value::as_i64);
    let schemas = metadata.get("schemas").and_then(Value::as_array);
    let schema = schemas
        .and_then(|all| {
            all.iter().find(|one| one.get("schema-id").and_then(Value::as_i64) == current)
        })
        .or_else(|| metadata.get("schema"))?;
    let mut columns = iceberg_fields(schema, 0);
    if columns.is_empty() {
        return None;
    }
    let spec = metadata.get("default-spec-id").and_then(Value::as_i64);
    let specs = metadata.get("partition-specs").and_then(Value::as_array);
    let parts = specs
        .and_then(|all| all.iter().find(|one| one.get("spec-id").and_then(Value::as_i64) == spec));
    let fields = parts.and_then(|spec| spec.get("fields")).and_then(Value::as_array);
    for field in fields.into_iter().flatten() {
        if text(field, "transform") == Some("identity")
            && let Some(name) = text(field, "name")
            && let Some(column) = columns.iter_mut().find(|column| column.name == name)
        {
            column.partition = true;
        }
    }
    let snapshot = metadata.get("current-snapshot-id").and_then(Value::as_i64);
    let rows = metadata
        .get("snapshots")
        .and_then(Value::as_array)
        .and_then(|all| {
            all.iter().find(|one| one.get("snapshot-id").and_then(Value::as_i64) == snapshot)
        })
        .and_then(|one| one.get("summary"))
        .and_then(|summary| text(summary, "total-records"))
        .and_then(|number| number.parse().ok());
    Some((columns, rows))
}

/// A column of a Delta schema.
fn delta_type(name: &str, kind: &Value, nullable: bool, depth: usize) -> Column {
    if depth > DEEPEST {
        return column(name, "UNKNOWN", "UNKNOWN", nullable);
    }
    let part = |key: &str, null: &str, label: &str| {
        let nullable = kind.get(null).and_then(Value::as_bool).unwrap_or(true);
        delta_type(label, kind.get(key).unwrap_or(&Value::Null), nullable, depth + 1)
    };
    match (kind.as_str(), text(kind, "type")) {
        // Delta's own has a zone; the other is a word of its own.
        (Some("timestamp"), _) => simple(name, "timestamptz", nullable),
        (Some(word), _) => simple(name, word, nullable),
        (_, Some("struct")) => record(name, delta_fields(kind, depth + 1), nullable),
        (_, Some("array")) => list(name, part("elementType", "containsNull", "element"), nullable),
        (_, Some("map")) => map(
            name,
            part("keyType", "", "key"),
            part("valueType", "valueContainsNull", "value"),
            nullable,
        ),
        _ => column(name, "UNKNOWN", "UNKNOWN", nullable),
    }
}

fn delta_fields(schema: &Value, depth: usize) -> Vec<Column> {
    let fields = schema.get("fields").and_then(Value::as_array).map(Vec::as_slice);
    let mut columns: Vec<Column> = fields
        .unwrap_or_default()
        .iter()
        .map(|field| {
            let name = text(field, "name").unwrap_or_default();
            let nullable = field.get("nullable").and_then(Value::as_bool).unwrap_or(true);
            let column =
                delta_type(name, field.get("type").unwrap_or(&Value::Null), nullable, depth);
            let comment = field.get("metadata").and_then(|metadata| text(metadata, "comment"));
            Column { description: comment.map(str::to_owned), ..column }
        })
        .collect();
    number(&mut columns);
    columns
}

/// What the `metaData` action of a commit of a Delta table says; None: the commit has none.
pub fn delta(commit: &str) -> Option<Vec<Column>> {
    let action = commit.lines().rev().find_map(|line| {
        let value: Value = serde_json::from_str(line).ok()?;
        value.get("metaData").cloned()
    })?;
    let schema: Value = serde_json::from_str(text(&action, "schemaString")?).ok()?;
    let mut columns = delta_fields(&schema, 0);
    let parts = action.get("partitionColumns").and_then(Value::as_array);
    for name in parts.into_iter().flatten().filter_map(Value::as_str) {
        if let Some(column) = columns.iter_mut().find(|column| column.name == name) {
            column.partition = true;
        }
    }
    (!columns.is_empty()).then_some(columns)
}

/// What a document that is itself a schema says: JSON Schema becomes one column `default` that
/// holds its properties, Iceberg's and Delta's their columns (section 8).
pub fn of_document(document: &Value) -> Option<Vec<Column>> {
    if document.get("$schema").is_some() && document.get("properties").is_some() {
        let members = properties(document, 0);
        let column = column("default", "RECORD", "RECORD", true);
        return Some(vec![Column { children: members, ..column }]);
    }
    iceberg(document).map(|(columns, _)| columns)
}

fn properties(schema: &Value, depth: usize) -> Vec<Column> {
    let Some(all) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|all| all.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let mut columns: Vec<Column> = all
        .iter()
        .filter(|_| depth < DEEPEST)
        .map(|(name, schema)| {
            let column = property(name, schema, !required.contains(&name.as_str()), depth);
            Column { description: text(schema, "description").map(str::to_owned), ..column }
        })
        .collect();
    number(&mut columns);
    columns
}

fn property(name: &str, schema: &Value, nullable: bool, depth: usize) -> Column {
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(word)) => vec![word],
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let nullable = nullable || kinds.contains(&"null");
    match kinds.into_iter().find(|word| *word != "null") {
        Some("integer") => column(name, "INT", "BIGINT", nullable),
        Some("number") => column(name, "DOUBLE", "DOUBLE", nullable),
        Some("boolean") => column(name, "BOOLEAN", "BOOLEAN", nullable),
        Some("string") => match text(schema, "format") {
            Some("date") => column(name, "DATE", "DATE", nullable),
            Some("date-time") => column(name, "TIMESTAMPZ", "TIMESTAMP WITH TIME ZONE", nullable),
            _ => column(name, "STRING", "TEXT", nullable),
        },
        Some("array") => {
            let item =
                property("item", schema.get("items").unwrap_or(&Value::Null), true, depth + 1);
            let display = format!("ARRAY<{}>", item.display);
            Column {
                array_data_type: Some(item.data_type),
                children: item.children,
                ..column(name, "ARRAY", display, nullable)
            }
        }
        Some("object") => Column {
            children: properties(schema, depth + 1),
            ..column(name, "RECORD", "RECORD", nullable)
        },
        _ => column(name, "UNKNOWN", "UNKNOWN", nullable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(columns: &[Column]) -> String {
        let line = |c: &Column| {
            let null = if c.nullable { "" } else { " NOT NULL" };
            let part = if c.partition { " partition" } else { "" };
            format!("{} {} {}{null}{part}", c.name, c.data_type, c.display)
        };
        columns.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn metadata_of_iceberg_and_delta_gives_true_types() {
        let metadata = json!({"format-version": 2, "current-schema-id": 1, "default-spec-id": 0, "current-snapshot-id": 7,
            "schemas": [{"schema-id": 0, "fields": []}, {"schema-id": 1, "type": "struct", "fields": [
                {"id": 1, "name": "id", "required": true, "type": "long", "doc": "key"},
                {"id": 2, "name": "amt", "type": "decimal(10, 2)"}, {"id": 3, "name": "ts", "type": "timestamptz"},
                {"id": 4, "name": "m", "type": {"type": "map", "key": "string", "value": "int", "value-required": true}},
                {"id": 5, "name": "l", "type": {"type": "list", "element": {"type": "struct", "fields": [{"id": 6, "name": "x", "type": "date"}]}}},
                {"id": 8, "name": "f", "type": "fixed[16]"}]}],
            "partition-specs": [{"spec-id": 0, "fields": [{"name": "id", "transform": "identity"}, {"name": "ts_day", "transform": "day"}]}],
            "snapshots": [{"snapshot-id": 7, "summary": {"total-records": "42"}}]});
        let (columns, rows) = iceberg(&metadata).unwrap();
        assert_eq!(rows, Some(42));
        let schema = json!({"type": "struct", "fields": [
            {"name": "id", "type": "long", "nullable": false, "metadata": {"comment": "key"}},
            {"name": "ts", "type": "timestamp", "nullable": true, "metadata": {}},
            {"name": "l", "type": {"type": "array", "elementType": "string", "containsNull": true}, "nullable": true, "metadata": {}},
            {"name": "dt", "type": "date", "nullable": true, "metadata": {}}]});
        let action =
            json!({"metaData": {"schemaString": schema.to_string(), "partitionColumns": ["dt"]}});
        let commit = format!("{{\"commitInfo\": {{}}}}\n{action}\n{{\"add\": {{}}}}");
        let delta = delta(&commit).unwrap();
        assert_eq!(delta[0].description.as_deref(), Some("key"));
        assert!(super::delta("{\"add\": {}}\nnot json").is_none());
        insta::assert_snapshot!(format!("{}\n\n{}", said(&columns), said(&delta)));
    }

    #[test]
    fn a_document_that_is_a_schema_gives_its_columns() {
        let schema = json!({"$schema": "x", "type": "object", "required": ["id"], "properties": {
            "id": {"type": "integer", "description": "the id"}, "tags": {"type": "array", "items": {"type": "string"}},
            "addr": {"type": "object", "properties": {"city": {"type": ["string", "null"]}}}}});
        let columns = of_document(&schema).unwrap();
        assert_eq!(
            (columns[0].name.as_str(), columns[0].data_type.as_str()),
            ("default", "RECORD")
        );
        assert_eq!(
            said(&columns[0].children),
            "id INT BIGINT NOT NULL\ntags ARRAY ARRAY<TEXT>\naddr RECORD RECORD"
        );
        assert!(of_document(&json!({"a": 1})).is_none());
        assert!(
            of_document(&json!({"schema": {"fields": [{"name": "a", "type": "int"}]}})).is_some()
        );
    }
}
