//! Rows as JSON: an array per result, or an object per line.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use std::collections::HashSet;
use windlass_core::value::{json, quote};

/// Writes the rows of one result.
pub struct Json {
    /// `"name":` of each column.
    names: Vec<String>,
    array: bool,
    first: bool,
}

impl Json {
    /// One array on one line.
    pub fn array(schema: &SchemaRef, out: &mut String) -> Self {
        out.push('[');
        Self { names: names(schema), array: true, first: true }
    }

    /// One object per line.
    pub fn lines(schema: &SchemaRef) -> Self {
        Self { names: names(schema), array: false, first: true }
    }

    /// Appends rows.
    pub fn batch(&mut self, batch: &RecordBatch, out: &mut String) {
        for row in 0..batch.num_rows() {
            if self.array && !self.first {
                out.push(',');
            }
            self.first = false;
            out.push('{');
            for (at, (name, column)) in self.names.iter().zip(batch.columns()).enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(name);
                json(column.as_ref(), row, out);
            }
            out.push('}');
            if !self.array {
                out.push('\n');
            }
        }
    }

    /// Ends the result.
    pub fn finish(&mut self, out: &mut String) {
        if self.array {
            out.push_str("]\n");
        }
    }

    /// Ends the line, not the array: the result broke off.
    pub fn abandon(&mut self, out: &mut String) {
        if self.array {
            out.push('\n');
        }
    }
}

/// Column names as JSON keys; a name that comes again gets a number, since most readers of JSON
/// keep only the last of equal keys.
fn names(schema: &SchemaRef) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    let mut names = Vec::new();
    for field in schema.fields() {
        let mut name = field.name().clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{}_{number}", field.name());
            number += 1;
        }
        let mut key = String::new();
        quote(&name, &mut key);
        key.push(':');
        names.push(key);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    #[test]
    fn equal_names_are_numbered() {
        let fields = ["id", "id", "id_2", "id"].map(|name| Field::new(name, DataType::Int64, true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        assert_eq!(names(&schema), ["\"id\":", "\"id_2\":", "\"id_2_2\":", "\"id_3\":"]);
    }
}
