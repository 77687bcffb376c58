//! Which paths the filters of a query can want: judged by evaluating them, never by guessing.
//!
//! A filter whose columns are all known of a folder drops the folder when it is not true of it. That
//! needs the names of all folders; comparisons with constants ([`Span`]) also say where among many
//! names to look. What is not surely understood drops nothing.

use crate::date_pattern::DatePattern;
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use datafusion::common::DFSchema;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is known of a path: a value for each column, None where only what is below will tell.
pub(crate) type Known = Vec<Option<ScalarValue>>;

/// The filters of all scans of one table.
pub(crate) struct Prune {
    state: SessionState,
    /// Columns that paths tell.
    pub(crate) fields: Vec<Field>,
    /// A path is wanted if every filter of one of these may be true of it.
    scans: Vec<Vec<Expr>>,
    /// Columns that the filters name.
    pub(crate) named: BTreeSet<usize>,
    pub(crate) pattern: Option<DatePattern>,
}

/// Where values begin and end that a filter can want, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Span {
    Text(String, String),
    Number(i64, i64),
    Day(NaiveDate, NaiveDate),
    Moment(NaiveDateTime, NaiveDateTime),
}

/// Filters that are worth more than this many places to look are not.
const SPANS: usize = 32;

impl Prune {
    /// None: the filters of some scan want every path.
    pub(crate) fn new(
        state: &SessionState,
        fields: Vec<Field>,
        scans: Vec<Vec<Expr>>,
        pattern: Option<DatePattern>,
    ) -> Option<Self> {
        let index = |name: &str| fields.iter().position(|field| field.name() == name);
        let mut named = BTreeSet::new();
        let mut kept = Vec::with_capacity(scans.len());
        for scan in scans {
            let mut filters = Vec::new();
            for filter in scan {
                let columns: Option<Vec<usize>> =
                    filter.column_refs().iter().map(|column| index(&column.name)).collect();
                if let Some(columns) = columns.filter(|columns| !columns.is_empty()) {
                    named.extend(columns);
                    filters.push(filter);
                }
            }
            if filters.is_empty() {
                return None;
            }
            kept.push(filters);
        }
        (!kept.is_empty()).then(|| Self {
            state: state.clone(),
            fields,
            scans: kept,
            named,
            pattern,
        })
    }

    /// The index of a column.
    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name() == name)
    }

    /// Whether each path may be wanted.
    pub(crate) fn keep(&self, rows: &[Known]) -> Vec<bool> {
        let mut keep = vec![false; rows.len()];
        for scan in &self.scans {
            let mut wanted = vec![true; rows.len()];
            for filter in scan {
                self.judge(filter, rows, &mut wanted);
            }
            keep.iter_mut().zip(wanted).for_each(|(keep, wanted)| *keep |= wanted);
        }
        keep
    }

    /// Takes back what the filter is not true of; rows it knows too little of stay.
    fn judge(&self, filter: &Expr, rows: &[Known], wanted: &mut [bool]) {
        let columns: Vec<usize> =
            filter.column_refs().iter().filter_map(|column| self.index(&column.name)).collect();
        let told: Vec<usize> = (0..rows.len())
            .filter(|row| wanted[*row] && columns.iter().all(|at| rows[*row][*at].is_some()))
            .collect();
        if told.is_empty() {
            return;
        }
        let evaluate = || -> datafusion::error::Result<Vec<bool>> {
            let fields: Vec<Field> = columns.iter().map(|at| self.fields[*at].clone()).collect();
            let schema = Arc::new(Schema::new(fields));
            let arrays = columns
                .iter()
                .map(|at| {
                    ScalarValue::iter_to_array(
                        told.iter().filter_map(|row| rows[*row][*at].clone()),
                    )
                })
                .collect::<datafusion::error::Result<Vec<_>>>()?;
            let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
            let bare = unqualified(filter.clone())?;
            let expression = self.state.create_physical_expr(bare, &DFSchema::try_from(schema)?)?;
            let answer = expression.evaluate(&batch)?.into_array(told.len())?;
            let answer = answer.as_boolean_opt().ok_or_else(|| {
                datafusion::error::DataFusionError::Internal("a filter is not boolean".to_owned())
            })?;
            Ok((0..told.len()).map(|at| answer.is_valid(at) && answer.value(at)).collect())
        };
        // What fails here fails again, and is said, where the rows are filtered.
        if let Ok(answer) = evaluate() {
            told.iter().zip(answer).for_each(|(row, answer)| wanted[*row] = answer);
        }
    }

    /// Where the wanted values of a column are; None: anywhere.
    pub(crate) fn spans(&self, column: usize) -> Option<Vec<Span>> {
        let field = &self.fields[column];
        let mut all: Vec<Span> = Vec::new();
        for scan in &self.scans {
            let mut of_scan: Option<Vec<Span>> = None;
            let (mut low, mut high): (Option<Value>, Option<Value>) = (None, None);
            for filter in scan {
                if let Some((from, to)) = half(filter, field) {
                    low = match (low, from) {
                        (Some(a), Some(b)) => Some(if b.cmp(&a).is_gt() { b } else { a }),
                        (a, b) => a.or(b),
                    };
                    high = match (high, to) {
                        (Some(a), Some(b)) => Some(if b.cmp(&a).is_lt() { b } else { a }),
                        (a, b) => a.or(b),
                    };
                } else if let Some(found) = points(filter, field) {
                    of_scan = Some(found);
                }
            }
            if of_scan.is_none()
                && let (Some(low), Some(high)) = (low, high)
            {
                of_scan = Some(vec![span(low, high)?]);
            }
            all.extend(of_scan?);
        }
        (all.len() <= SPANS).then_some(all)
    }
}

/// A filter without the names of tables before its columns.
pub(crate) fn unqualified(filter: Expr) -> datafusion::error::Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode as _};
    filter
        .transform(|expr| {
            Ok(match expr {
                Expr::Column(column) if column.relation.is_some() => Transformed::yes(
                    Expr::Column(datafusion::common::Column::new_unqualified(column.name)),
                ),
                other => Transformed::no(other),
            })
        })
        .map(|transformed| transformed.data)
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Text(String),
    Number(i64),
    Day(NaiveDate),
    Moment(NaiveDateTime),
}

fn span(low: Value, high: Value) -> Option<Span> {
    Some(match (low, high) {
        (Value::Text(low), Value::Text(high)) => Span::Text(low, high),
        (Value::Number(low), Value::Number(high)) => Span::Number(low, high),
        (Value::Day(low), Value::Day(high)) => Span::Day(low, high),
        (Value::Moment(low), Value::Moment(high)) => Span::Moment(low, high),
        _ => return None,
    })
}

/// The column, alone or as a time of another precision, which keeps the order of times.
fn is_column(expr: &Expr, field: &Field) -> bool {
    match expr {
        Expr::Column(column) => column.name == *field.name(),
        Expr::Cast(cast)
            if matches!(field.data_type(), DataType::Timestamp(_, None))
                && matches!(cast.field.data_type(), DataType::Timestamp(_, None)) =>
        {
            is_column(&cast.expr, field)
        }
        _ => false,
    }
}

/// A constant that compares with the column as its own type does.
fn constant(expr: &Expr, field: &Field) -> Option<Value> {
    let Expr::Literal(value, _) = expr else { return None };
    match (field.data_type(), value) {
        (
            DataType::Utf8,
            ScalarValue::Utf8(Some(text))
            | ScalarValue::LargeUtf8(Some(text))
            | ScalarValue::Utf8View(Some(text)),
        ) => Some(Value::Text(text.clone())),
        (DataType::Int64, ScalarValue::Int64(Some(number))) => Some(Value::Number(*number)),
        (DataType::Date32, ScalarValue::Date32(Some(days))) => NaiveDate::default()
            .checked_add_signed(TimeDelta::days(i64::from(*days)))
            .map(Value::Day),
        (DataType::Timestamp(TimeUnit::Microsecond, None), value) => {
            let time = match value {
                ScalarValue::TimestampSecond(Some(n), None) => {
                    chrono::DateTime::from_timestamp(*n, 0)
                }
                ScalarValue::TimestampMillisecond(Some(n), None) => {
                    chrono::DateTime::from_timestamp_millis(*n)
                }
                ScalarValue::TimestampMicrosecond(Some(n), None) => {
                    chrono::DateTime::from_timestamp_micros(*n)
                }
                ScalarValue::TimestampNanosecond(Some(n), None) => {
                    Some(chrono::DateTime::from_timestamp_nanos(*n))
                }
                _ => None,
            };
            time.map(|time| Value::Moment(time.naive_utc()))
        }
        _ => None,
    }
}

/// What `column < constant` and the like say: from where, up to where.
fn half(filter: &Expr, field: &Field) -> Option<(Option<Value>, Option<Value>)> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (op, value) = if is_column(left, field) {
                (*op, constant(right, field)?)
            } else if is_column(right, field) {
                (op.swap()?, constant(left, field)?)
            } else {
                return None;
            };
            match op {
                Operator::Gt | Operator::GtEq => Some((Some(value), None)),
                Operator::Lt | Operator::LtEq => Some((None, Some(value))),
                _ => None,
            }
        }
        Expr::Between(between) if !between.negated && is_column(&between.expr, field) => {
            Some((Some(constant(&between.low, field)?), Some(constant(&between.high, field)?)))
        }
        _ => None,
    }
}

/// What equality, IN, LIKE 'text%' and any of them joined by OR say.
fn points(filter: &Expr, field: &Field) -> Option<Vec<Span>> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut all = points(left, field)?;
            all.extend(points(right, field)?);
            (all.len() <= SPANS).then_some(all)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            points(left, field).or_else(|| points(right, field)).or_else(|| {
                let (a, b) = (half(left, field)?, half(right, field)?);
                Some(vec![span(a.0.or(b.0)?, a.1.or(b.1)?)?])
            })
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let value = if is_column(left, field) {
                constant(right, field)?
            } else if is_column(right, field) {
                constant(left, field)?
            } else {
                return None;
            };
            Some(vec![span(value.clone(), value)?])
        }
        Expr::InList(list) if !list.negated && is_column(&list.expr, field) => {
            let values: Option<Vec<Span>> = list
                .list
                .iter()
                .map(|item| constant(item, field).and_then(|value| span(value.clone(), value)))
                .collect();
            values.filter(|values| values.len() <= SPANS)
        }
        Expr::Like(like)
            if !like.negated
                && !like.case_insensitive
                && like.escape_char.is_none()
                && is_column(&like.expr, field) =>
        {
            let Value::Text(pattern) = constant(&like.pattern, field)? else { return None };
            let plain: String =
                pattern.chars().take_while(|c| !matches!(c, '%' | '_' | '\\')).collect();
            Some(vec![Span::Text(plain.clone(), format!("{plain}\u{10ffff}"))])
        }
        _ => None,
    }
}

/// What both texts begin with.
pub(crate) fn common<'a>(a: &'a str, b: &str) -> &'a str {
    let end = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y);
    match end {
        Some(((at, _), _)) => &a[..at],
        None => &a[..a.len().min(b.len())],
    }
}

/// What numbers begin with in names of folders, where those of one digit may have a zero before it.
fn numbers(from: i64, to: i64) -> Vec<(String, bool)> {
    if from == to {
        let padded = (0..=9).contains(&from).then(|| (format!("0{from}"), true));
        return std::iter::once((from.to_string(), true)).chain(padded).collect();
    }
    if from > to {
        return vec![(String::new(), false)];
    }
    let mut starts = Vec::new();
    if from < 0 {
        starts.push(("-".to_owned(), false));
    }
    let (mut low, mut end) = (from.max(0), 9i64);
    while low <= to {
        // Numbers of as many digits begin with what the first and the last of them begin with.
        while end < low {
            end = end.saturating_mul(10).saturating_add(9);
        }
        let (first, last) = (low.to_string(), end.min(to).to_string());
        let start = common(&first, &last);
        if start.is_empty() {
            let digits = first.as_bytes()[0]..=last.as_bytes()[0];
            starts.extend(digits.map(|digit| (char::from(digit).to_string(), false)));
        } else {
            starts.push((start.to_owned(), false));
        }
        if low <= 9 {
            starts.push(("0".to_owned(), false));
        }
        if end >= to {
            break;
        }
        low = end + 1;
    }
    starts
}

impl Span {
    /// What the values in the names of folders begin with, as far as no writer escapes it, and
    /// whether that is all of it; an empty text: with anything.
    pub(crate) fn in_folders(&self) -> Vec<(String, bool)> {
        let text = match self {
            Self::Number(from, to) => return numbers(*from, *to),
            Self::Text(from, to) => common(from, to).to_owned(),
            Self::Day(from, to) => {
                common(&from.format("%Y-%m-%d").to_string(), &to.format("%Y-%m-%d").to_string())
                    .to_owned()
            }
            Self::Moment(..) => String::new(),
        };
        let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.~".contains(*c);
        let start: String = text.chars().take_while(plain).collect();
        let whole = self.is_point() && start.len() == text.len();
        vec![(start, whole)]
    }

    /// Whether it is one value.
    pub(crate) fn is_point(&self) -> bool {
        match self {
            Self::Text(from, to) => from == to,
            Self::Number(from, to) => from == to,
            Self::Day(from, to) => from == to,
            Self::Moment(from, to) => from == to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_looked_for_as_they_may_be_written() {
        let starts = |from, to| {
            let starts = Span::Number(from, to).in_folders().into_iter();
            starts.map(|(start, whole)| if whole { format!("{start}/") } else { start })
        };
        let of = |from, to| starts(from, to).collect::<Vec<_>>().join(" ");
        assert_eq!(of(7, 7), "7/ 07/");
        assert_eq!(of(0, 0), "0/ 00/");
        assert_eq!(of(777, 777), "777/");
        assert_eq!(of(-5, -5), "-5/");
        assert_eq!(of(700, 720), "7");
        assert_eq!(of(95, 105), "9 10");
        assert_eq!(of(8, 12), "8 9 0 1");
        assert_eq!(of(-3, 2), "- 0 1 2 0");
        assert_eq!(of(12, 7), "", "nothing is known of what cannot be");
        // Every number between begins with one of them.
        for (from, to) in [(0, 9), (5, 120), (-20, 1005), (98, 10_001), (i64::MAX - 3, i64::MAX)] {
            let found: Vec<String> = starts(from, to).collect();
            let last = to.min(from.saturating_add(20_000));
            for number in from..=last {
                let plain = number.to_string();
                assert!(found.iter().any(|start| plain.starts_with(start)), "{number}: {found:?}");
            }
        }
        assert_eq!(Span::Number(i64::MIN, i64::MAX).in_folders().len(), 174);
    }
}
