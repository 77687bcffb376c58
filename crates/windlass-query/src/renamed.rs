//! Columns that files have under other names than their table: in another case, or by their place alone.
//!
//! They are read as the files name them. Of several names each file has one, so that the first value
//! that is not NULL is that of the row.

use crate::schema::Column;
use arrow::datatypes::{Field, SchemaRef};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column as At, case, is_not_null, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// How the columns of a table are named in its files.
#[derive(Debug)]
pub(crate) struct Renamed {
    /// The columns that are read, each with the type that the table has for it.
    pub(crate) fields: Vec<Field>,
    /// For each column of the table, where it is among those; nowhere: it is NULL.
    places: Vec<Vec<usize>>,
}

impl Renamed {
    /// None: files call every column what the table calls it.
    pub(crate) fn of(columns: &[Column]) -> Option<Self> {
        let same = |column: &Column| match column.names.as_slice() {
            [] => true,
            [name] => name == column.field.name(),
            _ => false,
        };
        if columns.iter().all(same) {
            return None;
        }
        let mut renamed = Self { fields: Vec::new(), places: Vec::new() };
        for column in columns {
            let mut places = Vec::new();
            for name in &column.names {
                places.push(renamed.fields.len());
                renamed.fields.push(column.field.clone().with_name(name));
            }
            renamed.places.push(places);
        }
        // A column that no file was seen with may be in others, under its own name.
        for (at, column) in columns.iter().enumerate() {
            let name = column.field.name();
            let taken = renamed.fields.iter().any(|field| field.name() == name);
            if column.names.is_empty() && !taken {
                renamed.places[at].push(renamed.fields.len());
                renamed.fields.push(column.field.clone());
            }
        }
        Some(renamed)
    }

    /// Columns of the table.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// What to read for these columns of the table, after which come those that paths tell.
    pub(crate) fn reads(&self, wanted: &[usize]) -> Vec<usize> {
        let told = |at: usize| at - self.places.len() + self.fields.len();
        let mut reads: Vec<usize> = Vec::new();
        for at in wanted {
            match self.places.get(*at) {
                Some(places) => reads.extend(places),
                None => reads.push(told(*at)),
            }
        }
        reads.sort_unstable();
        reads.dedup();
        reads
    }

    /// The wanted columns of the table with this schema, of a plan that brings [`Self::reads`] of them.
    pub(crate) fn named(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        wanted: &[usize],
        schema: &SchemaRef,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if wanted.is_empty() {
            return Ok(plan);
        }
        let reads = self.reads(wanted);
        let read = plan.schema();
        let column = |at: usize| -> Option<Arc<dyn PhysicalExpr>> {
            let place = reads.iter().position(|read| *read == at)?;
            Some(Arc::new(At::new(read.field(place).name(), place)))
        };
        let mut expressions = Vec::with_capacity(wanted.len());
        for at in wanted {
            let field = schema.field(*at);
            let told = [(at + self.fields.len()).saturating_sub(self.places.len())];
            let places = self.places.get(*at).map_or(&told[..], Vec::as_slice);
            let mut columns: Vec<_> = places.iter().filter_map(|place| column(*place)).collect();
            let expression = match (columns.pop(), columns.is_empty()) {
                (Some(only), true) => only,
                (last, _) => {
                    let whens = columns
                        .into_iter()
                        .map(|column| Ok((is_not_null(Arc::clone(&column))?, column)))
                        .collect::<Result<Vec<_>>>()?;
                    match last {
                        Some(last) => case(None, whens, Some(last))?,
                        None => lit(ScalarValue::try_from(field.data_type())?),
                    }
                }
            };
            expressions.push((expression, field.name().clone()));
        }
        Ok(Arc::new(ProjectionExec::try_new(expressions, plan)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;

    fn column(name: &str, names: &[&str]) -> Column {
        Column {
            field: Field::new(name, DataType::Int64, true),
            note: None,
            known: true,
            from: Vec::new(),
            decimal: None,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn columns_are_read_by_the_names_of_the_files() {
        let same = [column("a", &["a"]), column("b", &[])];
        assert!(Renamed::of(&same).is_none());
        let columns = [
            column("a", &["a", "A"]),
            column("b", &["column_2"]),
            column("c", &[]),
            column("A", &[]),
        ];
        let renamed = Renamed::of(&columns).unwrap();
        let names: Vec<&str> = renamed.fields.iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["a", "A", "column_2", "c"]);
        assert_eq!(renamed.places, [vec![0, 1], vec![2], vec![3], vec![]]);
        // The fifth is told by the path, and comes after what files have.
        assert_eq!(renamed.reads(&[1, 0, 4]), [0, 1, 2, 4]);
        assert!(renamed.reads(&[3]).is_empty());
    }
}
