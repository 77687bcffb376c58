//! What is sent to OpenMetadata: bodies made of containers (reference section 7).

use crate::model::{ContainerKind, Found};
use crate::openmetadata;
use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Most characters of a name.
const NAME: usize = 256;

/// Formats that a container of OpenMetadata may have, by our words.
const FORMATS: &[(&str, &str)] = &[
    ("zip", "zip"),
    ("gz", "gz"),
    ("gzip", "gz"),
    ("zstd", "zstd"),
    ("csv", "csv"),
    ("tsv", "tsv"),
    ("json", "json"),
    ("jsonl", "json"),
    ("parquet", "parquet"),
    ("avro", "avro"),
    ("mf4", "MF4"),
];

/// A container to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// Fully qualified name.
    pub fqn: String,
    /// That of what it lies in; None for a bucket.
    pub parent: Option<String>,
    /// What was found.
    pub found: Found,
    /// What people say of it.
    pub description: Option<String>,
    /// What people say of its columns, by dotted path.
    pub columns: Vec<(String, String)>,
}

/// Why a container cannot be published.
pub(super) fn refusal(entity: &Entity) -> Option<String> {
    let name = &entity.found.name;
    if name.contains('"') {
        return Some("OpenMetadata takes no name with a double quote".to_owned());
    }
    match name.chars().count() {
        0 => Some("it has no name".to_owned()),
        count if count > NAME => {
            Some(format!("its name has {count} characters, OpenMetadata takes {NAME}"))
        }
        _ => None,
    }
}

/// The body of `PUT /containers`.
pub(super) fn container(entity: &Entity, service: &str, parent: Option<&str>) -> Value {
    let found = &entity.found;
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            body.insert(name.to_owned(), value);
        }
    };
    put("name", found.name.as_str().into());
    put("service", service.into());
    put("parent", parent.map_or(Value::Null, |id| json!({"id": id, "type": "container"})));
    put("prefix", found.prefix.as_str().into());
    put("fullPath", found.full_path.as_str().into());
    put("sourceUrl", found.source_url.as_str().into());
    // What is not known is not sent: a 0 would be taken for a figure.
    put("size", found.figures.size.into());
    if found.kind != ContainerKind::File && found.kind != ContainerKind::Member {
        put("numberOfObjects", found.figures.objects.into());
    }
    put("fileFormats", formats(found).into());
    put("description", entity.description.clone().into());
    if let Some(columns) = found.columns.as_ref().filter(|columns| !columns.is_empty()) {
        let note = |path: &str| {
            let said = entity.columns.iter().find(|(of, _)| of == path);
            said.map(|(_, text)| text.clone())
        };
        let mut columns = openmetadata::columns(columns, &note);
        rename(&mut columns);
        let partitioned = found.partitioned.unwrap_or(false);
        put("dataModel", json!({"isPartitioned": partitioned, "columns": columns}));
    }
    let tags: Vec<Value> = tags(found).map(|(key, value)| label(key, value)).collect();
    if !tags.is_empty() {
        put("tags", tags.into());
    }
    let mut hash = String::with_capacity(32);
    for byte in Md5::digest(Value::Object(body.clone()).to_string()) {
        let _ = write!(hash, "{byte:02x}");
    }
    body.insert("sourceHash".to_owned(), hash.into());
    Value::Object(body)
}

/// Its formats in OpenMetadata's words; those that it has none for are left out.
fn formats(found: &Found) -> Vec<&'static str> {
    let mut all: Vec<&str> = Vec::new();
    for format in &found.formats {
        let known = FORMATS.iter().find(|(word, _)| format.eq_ignore_ascii_case(word));
        if let Some((_, word)) = known
            && !all.contains(word)
        {
            all.push(word);
        }
    }
    all
}

/// Names of columns without what OpenMetadata reserves; how they are shown stays.
fn rename(columns: &mut Value) {
    const RESERVED: &[(&str, &str)] = &[
        ("::", "__reserved__colon__"),
        (">", "__reserved__arrow__"),
        ("\"", "__reserved__quote__"),
        ("\n", "__reserved__newline__"),
        ("\t", "__reserved__tab__"),
    ];
    for column in columns.as_array_mut().into_iter().flatten() {
        if let Some(Value::String(name)) = column.get_mut("name") {
            for (text, word) in RESERVED {
                if name.contains(text) {
                    *name = name.replace(text, word).chars().take(NAME).collect();
                }
            }
        }
        if let Some(children) = column.get_mut("children") {
            rename(children);
        }
    }
}

/// Tags of the service with both a key and a value (section 9).
pub(super) fn tags(found: &Found) -> impl Iterator<Item = (&str, &str)> {
    let tags = found.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    tags.filter(|(key, value)| !key.trim().is_empty() && !value.trim().is_empty())
}

/// A tag as it hangs on a container.
fn label(key: &str, value: &str) -> Value {
    json!({
        "tagFQN": crate::names::fqn([key, value]),
        "source": "Classification",
        "labelType": "Automated",
        "state": "Suggested",
    })
}

/// The body of `PUT /classifications`.
pub(super) fn classification(key: &str) -> Value {
    json!({"name": key, "description": "Key of tags of a storage service."})
}

/// The body of `PUT /tags`.
pub(super) fn tag(key: &str, value: &str) -> Value {
    json!({"classification": key, "name": value, "description": "Value of a tag of a storage service."})
}

/// The body that makes the service. The connection stays here: its secrets are nobody's business.
pub(super) fn service(name: &str, description: Option<&str>) -> Value {
    let mut body = json!({"name": name, "serviceType": "S3"});
    if let Some(text) = description {
        body["description"] = text.into();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{column, dataset, structure};

    fn entity(found: Found) -> Entity {
        let parent = Some("svc.lake".to_owned());
        let fqn = format!("svc.lake.{}", found.path);
        Entity { fqn, parent, found, description: None, columns: Vec::new() }
    }

    #[test]
    fn a_container_has_the_fields_of_section_7() {
        let mut orders = dataset("raw/orders", &[("id", "BIGINT")]);
        orders.formats = vec!["jsonl".to_owned(), "json".to_owned(), "orc".to_owned()];
        let mut body = container(&entity(orders.clone()), "svc", Some("id-1"));
        let hash = body["sourceHash"].take();
        assert_eq!(hash.as_str().unwrap().len(), 32);
        assert_eq!(
            body,
            json!({
                "name": "raw/orders", "service": "svc", "parent": {"id": "id-1", "type": "container"},
                "prefix": "/raw/orders", "fullPath": "s3://lake/raw/orders",
                "sourceUrl": "https://console/lake/raw/orders/", "size": 100, "numberOfObjects": 2,
                "fileFormats": ["json"],
                "dataModel": {"isPartitioned": false, "columns": [{
                    "name": "id", "displayName": "id", "dataType": "BIGINT", "dataTypeDisplay": "BIGINT",
                }]},
                "sourceHash": null,
            })
        );
        // Unknown figures are left out, and another structure has another hash.
        orders.figures.size = None;
        orders.columns = None;
        let other = container(&entity(orders), "svc", None);
        assert!(other.get("size").is_none() && other.get("dataModel").is_none());
        assert!(other.get("parent").is_none() && other["sourceHash"] != hash);
    }

    #[test]
    fn names_that_openmetadata_reserves_are_replaced_and_shown_as_they_are() {
        let mut t = dataset("t", &[]);
        t.columns = Some(vec![structure("a::b", vec![column("x>y\"\n\t", "BIGINT")])]);
        let body = container(&entity(t), "svc", None);
        let column = &body["dataModel"]["columns"][0];
        assert_eq!(column["name"], "a__reserved__colon__b");
        assert_eq!(column["displayName"], "a::b");
        let name = column["children"][0]["name"].as_str().unwrap();
        assert!(!name.contains(['>', '"', '\n', '\t']), "{name}");
        assert!(refusal(&entity(dataset("a\"b", &[]))).is_some());
        assert!(refusal(&entity(dataset(&"x".repeat(257), &[]))).is_some());
        assert!(refusal(&entity(dataset(&"ä".repeat(256), &[]))).is_none());
    }

    #[test]
    fn tags_without_a_value_are_left_out() {
        let mut bucket = dataset("t", &[]);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        bucket.tags = vec![pair("team", "a.b"), pair("empty", " "), pair("", "x")];
        let body = container(&entity(bucket), "svc", None);
        assert_eq!(
            body["tags"],
            json!([{"tagFQN": "team.\"a.b\"", "source": "Classification", "labelType": "Automated", "state": "Suggested"}])
        );
    }
}
