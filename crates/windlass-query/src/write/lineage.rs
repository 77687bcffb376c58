//! Where the columns of a query come from, as its plan says.

use crate::files::Place;
use crate::free;
use datafusion::common::{DFSchema, JoinType, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A place that a query reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReadPlace {
    /// The connection.
    pub connection: String,
    /// The bucket.
    pub bucket: String,
    /// A key, or a folder without `/` at its end.
    pub path: String,
}

/// Which places a query reads, and which of its columns come from which of theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The places.
    pub places: Vec<ReadPlace>,
    /// Columns: of which place (by its number), the column there, the column of the query.
    pub columns: Vec<(usize, String, String)>,
}

impl ReadPlace {
    /// What a path of a table spells out of where its files are.
    pub(crate) fn of(place: &Place) -> Self {
        let path = if place.is_exact() { place.prefix() } else { place.base().to_owned() };
        Self {
            connection: place.storage.name().as_str().to_owned(),
            bucket: place.bucket.clone(),
            path: path.trim_end_matches('/').to_owned(),
        }
    }
}

/// Columns of tables that one column comes from.
type From = BTreeSet<(TableReference, String)>;

/// What a plan takes from the places of its tables.
pub(crate) fn lineage(
    plan: &LogicalPlan,
    tables: &BTreeMap<TableReference, Vec<ReadPlace>>,
    full: &dyn Fn(TableReference) -> TableReference,
) -> Lineage {
    let mut all: Vec<ReadPlace> = tables.values().flatten().cloned().collect();
    all.sort();
    all.dedup();
    let mut columns = BTreeSet::new();
    for (field, from) in plan.schema().fields().iter().zip(trace(plan)) {
        for (table, column) in from {
            let places = tables.get(&unmarked(full(table))).map_or(&[] as &[_], Vec::as_slice);
            for place in places {
                if let Ok(at) = all.binary_search(place) {
                    columns.insert((at, column.clone(), field.name().clone()));
                }
            }
        }
    }
    Lineage { places: all, columns: columns.into_iter().collect() }
}

fn unmarked(name: TableReference) -> TableReference {
    let (table, _) = free::marked(name.table());
    match (name.catalog(), name.schema()) {
        (Some(catalog), Some(schema)) => {
            TableReference::full(catalog.to_owned(), schema.to_owned(), table.to_owned())
        }
        _ => name,
    }
}

/// Where each column of a plan comes from; nothing for one that comes from nowhere, or from what
/// is not understood here.
fn trace(plan: &LogicalPlan) -> Vec<From> {
    let width = plan.schema().fields().len();
    let mut from = match plan {
        LogicalPlan::TableScan(scan) => {
            let fields = scan.projected_schema.fields().iter();
            fields
                .map(|field| From::from([(scan.table_name.clone(), field.name().clone())]))
                .collect()
        }
        LogicalPlan::Projection(node) => of_all(&node.expr, &node.input),
        LogicalPlan::Aggregate(node) => {
            let all: Vec<Expr> = node.group_expr.iter().chain(&node.aggr_expr).cloned().collect();
            of_all(&all, &node.input)
        }
        LogicalPlan::Window(node) => {
            let mut from = trace(&node.input);
            from.extend(of_all(&node.window_expr, &node.input));
            from
        }
        LogicalPlan::Join(node) => match node.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => trace(&node.left),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => trace(&node.right),
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                let mut from = trace(&node.left);
                from.extend(trace(&node.right));
                from
            }
        },
        LogicalPlan::Union(node) => {
            let mut all = vec![From::new(); width];
            for input in &node.inputs {
                for (one, more) in all.iter_mut().zip(trace(input)) {
                    one.extend(more);
                }
            }
            all
        }
        LogicalPlan::Unnest(node) => {
            let input = trace(&node.input);
            let of = |at: &usize| input.get(*at).cloned().unwrap_or_default();
            node.dependency_indices.iter().map(of).collect()
        }
        LogicalPlan::SubqueryAlias(node) => trace(&node.input),
        LogicalPlan::Filter(node) => trace(&node.input),
        LogicalPlan::Sort(node) => trace(&node.input),
        LogicalPlan::Limit(node) => trace(&node.input),
        LogicalPlan::Repartition(node) => trace(&node.input),
        LogicalPlan::Distinct(node) => match node {
            datafusion::logical_expr::Distinct::All(input) => trace(input),
            datafusion::logical_expr::Distinct::On(on) => of_all(&on.select_expr, &on.input),
        },
        LogicalPlan::Subquery(Subquery { subquery, .. }) => trace(subquery),
        LogicalPlan::RecursiveQuery(node) => trace(&node.static_term),
        _ => Vec::new(),
    };
    // Grouping sets have columns that no expression names.
    from.resize(width, From::new());
    from
}

fn of_all(expressions: &[Expr], input: &LogicalPlan) -> Vec<From> {
    let (schema, from) = (input.schema(), trace(input));
    expressions.iter().map(|expression| of(expression, schema, &from)).collect()
}

fn of(expression: &Expr, schema: &DFSchema, from: &[From]) -> From {
    let columns = expression.column_refs();
    let places = columns.iter().filter_map(|column| schema.maybe_index_of_column(column));
    places.filter_map(|at| from.get(at)).flatten().cloned().collect()
}
