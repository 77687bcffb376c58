//! PROFILE: what is in each column, in one pass and bounded memory (P-X2).
//!
//! Distinct values are counted exactly up to [`EXACT`] and estimated beyond (`HyperLogLog`); the most
//! frequent are exact while there are at most [`CANDIDATES`] and lower bounds beyond (Misra and Gries);
//! the histogram is of every n-th value.

use crate::schema::sql;
use arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, Result};

/// Distinct values that are told apart.
const EXACT: usize = 4096;
/// Registers of the estimate: an error of 1.6 percent.
const REGISTERS: usize = 1 << 12;
/// Values whose frequency is followed.
const CANDIDATES: usize = 1000;
/// Characters of a value that is shown.
const SHOWN: usize = 64;
/// Values that a histogram is made of.
const VALUES: usize = 10_000;
const TOP: usize = 4;
const BUCKETS: usize = 10;

/// How many distinct values there are.
#[derive(Default)]
struct Distinct {
    seen: HashSet<u64>,
    registers: Vec<u8>,
}

impl Distinct {
    fn add(&mut self, hash: u64) {
        if self.registers.is_empty() {
            self.seen.insert(hash);
            if self.seen.len() > EXACT {
                self.registers = vec![0; REGISTERS];
                for hash in std::mem::take(&mut self.seen) {
                    self.register(hash);
                }
            }
        } else {
            self.register(hash);
        }
    }

    fn register(&mut self, hash: u64) {
        let bits = REGISTERS.trailing_zeros();
        let at = usize::try_from(hash >> (64 - bits)).unwrap_or_default();
        let rank = u8::try_from((hash << bits | 1 << (bits - 1)).leading_zeros() + 1).unwrap_or(64);
        self.registers[at] = self.registers[at].max(rank);
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    fn count(&self) -> (u64, bool) {
        if self.registers.is_empty() {
            return (self.seen.len() as u64, true);
        }
        let m = REGISTERS as f64;
        let sum: f64 = self.registers.iter().map(|rank| 2_f64.powi(-i32::from(*rank))).sum();
        let zeros: usize = self.registers.iter().map(|rank| usize::from(*rank == 0)).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let estimate = if raw <= 2.5 * m && zeros > 0 { m * (m / zeros as f64).ln() } else { raw };
        (estimate.round() as u64, false)
    }
}

/// The most frequent values.
#[derive(Default)]
struct Top {
    counts: HashMap<String, u64>,
    taken: u64,
}

impl Top {
    fn add(&mut self, value: &str) {
        if let Some(count) = self.counts.get_mut(value) {
            *count += 1;
        } else if self.counts.len() < CANDIDATES {
            self.counts.insert(value.to_owned(), 1);
        } else {
            self.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
            self.taken += 1;
        }
    }

    fn list(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> =
            self.counts.iter().map(|(value, count)| (value.as_str(), *count)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(TOP);
        all
    }
}

/// Every n-th value, n growing so that they stay few.
struct Every {
    values: Vec<f64>,
    step: u64,
    at: u64,
}

impl Every {
    fn add(&mut self, value: f64) {
        if self.at.is_multiple_of(self.step) {
            if self.values.len() == VALUES {
                let mut keep = false;
                self.values.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.step *= 2;
            }
            if self.at.is_multiple_of(self.step) {
                self.values.push(value);
            }
        }
        self.at += 1;
    }
}

struct Column {
    name: String,
    kind: DataType,
    rows: u64,
    nulls: u64,
    blanks: u64,
    distinct: Distinct,
    top: Top,
    least: Option<MinAccumulator>,
    most: Option<MaxAccumulator>,
    sum: f64,
    numbers: Every,
    lengths: Option<(u64, u64, u64)>,
}

/// The profile of rows that pass by.
pub(crate) struct Profile(Vec<Column>);

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorCode::Internal, "a column cannot be profiled").source(error)
}

impl Profile {
    pub(crate) fn new(schema: &SchemaRef) -> Self {
        Self(
            schema
                .fields()
                .iter()
                .map(|field| Column {
                    name: field.name().clone(),
                    kind: field.data_type().clone(),
                    rows: 0,
                    nulls: 0,
                    blanks: 0,
                    distinct: Distinct::default(),
                    top: Top::default(),
                    least: ordered(field.data_type())
                        .then(|| MinAccumulator::try_new(field.data_type()).ok())
                        .flatten(),
                    most: ordered(field.data_type())
                        .then(|| MaxAccumulator::try_new(field.data_type()).ok())
                        .flatten(),
                    sum: 0.0,
                    numbers: Every { values: Vec::new(), step: 1, at: 0 },
                    lengths: None,
                })
                .collect(),
        )
    }

    /// Takes rows into account.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.iter_mut().zip(batch.columns()).try_for_each(|(column, array)| column.add(array))
    }

    /// One row for each column.
    pub(crate) fn finish(mut self) -> Result<RecordBatch> {
        let text = |texts: Vec<Option<String>>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
        let whole = |numbers: Vec<Option<u64>>| -> ArrayRef {
            Arc::new(
                numbers
                    .into_iter()
                    .map(|n| n.and_then(|n| i64::try_from(n).ok()))
                    .collect::<Int64Array>(),
            )
        };
        let real =
            |numbers: Vec<Option<f64>>| -> ArrayRef { Arc::new(Float64Array::from(numbers)) };
        let mut bounds = Vec::new();
        for column in &mut self.0 {
            bounds.push(column.bounds()?);
        }
        let of = &self.0;
        let lengths = |pick: fn(&(u64, u64, u64)) -> u64| {
            whole(of.iter().map(|column| column.lengths.as_ref().map(pick)).collect())
        };
        RecordBatch::try_from_iter_with_nullable([
            ("column_name", text(of.iter().map(|c| Some(c.name.clone())).collect()), false),
            ("data_type", text(of.iter().map(|c| Some(sql(&c.kind))).collect()), false),
            ("rows", whole(of.iter().map(|c| Some(c.rows)).collect()), false),
            ("nulls", whole(of.iter().map(|c| Some(c.nulls)).collect()), false),
            ("null_share", real(of.iter().map(|c| share(c.nulls, c.rows)).collect()), true),
            ("blanks", whole(of.iter().map(|c| Some(c.blanks)).collect()), false),
            ("blank_share", real(of.iter().map(|c| share(c.blanks, c.rows)).collect()), true),
            ("distinct", whole(of.iter().map(|c| Some(c.distinct())).collect()), false),
            ("min", text(bounds.iter().map(|(least, _)| least.clone()).collect()), true),
            ("max", text(bounds.into_iter().map(|(_, most)| most).collect()), true),
            ("mean", real(of.iter().map(Column::mean).collect()), true),
            ("min_length", lengths(|l| l.0), true),
            ("max_length", lengths(|l| l.1), true),
            (
                "mean_length",
                real(of.iter().map(|c| share(c.lengths?.2, c.rows - c.nulls)).collect()),
                true,
            ),
            ("top_values", text(of.iter().map(Column::top_values).collect()), true),
            ("histogram", text(of.iter().map(Column::histogram).collect()), true),
        ])
        .map_err(internal)
    }
}

/// Whether values of a type have a least and a most.
fn ordered(kind: &DataType) -> bool {
    kind.is_numeric()
        || kind.is_temporal() && !matches!(kind, DataType::Interval(_))
        || matches!(
            kind,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean
        )
}

#[allow(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

impl Column {
    fn add(&mut self, array: &ArrayRef) -> Result<()> {
        self.rows += array.len() as u64;
        self.nulls += array.null_count() as u64;
        if let (Some(least), Some(most)) = (&mut self.least, &mut self.most) {
            least.update_batch(&[Arc::clone(array)]).map_err(internal)?;
            most.update_batch(&[Arc::clone(array)]).map_err(internal)?;
        }
        let text = matches!(self.kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let options = FormatOptions::default();
        let shown = ArrayFormatter::try_new(array, &options).map_err(internal)?;
        let mut value = String::new();
        for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
            value.clear();
            write!(value, "{}", shown.value(row)).map_err(internal)?;
            let mut hasher = DefaultHasher::new();
            value.hash(&mut hasher);
            self.distinct.add(hasher.finish());
            if text {
                let length = value.chars().count() as u64;
                self.blanks += u64::from(value.trim().is_empty());
                let (least, most, sum) = self.lengths.unwrap_or((u64::MAX, 0, 0));
                self.lengths = Some((least.min(length), most.max(length), sum + length));
            }
            if let Some((end, _)) = value.char_indices().nth(SHOWN) {
                value.truncate(end);
                value.push('…');
            }
            self.top.add(&value);
        }
        if self.kind.is_numeric() {
            let numbers = cast(array, &DataType::Float64).map_err(internal)?;
            for number in numbers.as_primitive::<Float64Type>().iter().flatten() {
                self.sum += number;
                if number.is_finite() {
                    self.numbers.add(number);
                }
            }
        }
        Ok(())
    }

    fn bounds(&mut self) -> Result<(Option<String>, Option<String>)> {
        let (Some(least), Some(most)) = (&mut self.least, &mut self.most) else {
            return Ok((None, None));
        };
        let mut ends = Vec::with_capacity(2);
        for value in [least.evaluate(), most.evaluate()] {
            let value = value.map_err(internal)?;
            if value.is_null() {
                ends.push(None);
                continue;
            }
            let array = value.to_array().map_err(internal)?;
            let options = FormatOptions::default();
            let shown = ArrayFormatter::try_new(&array, &options).map_err(internal)?;
            ends.push(Some(shown.value(0).to_string()));
        }
        let most = ends.pop().flatten();
        Ok((ends.pop().flatten(), most))
    }

    #[allow(clippy::cast_precision_loss, reason = "a mean")]
    fn mean(&self) -> Option<f64> {
        let count = self.rows - self.nulls;
        (self.kind.is_numeric() && count > 0).then(|| self.sum / count as f64)
    }

    /// Distinct values; an estimate is not above the values that there are.
    fn distinct(&self) -> u64 {
        self.distinct.count().0.min(self.rows - self.nulls)
    }

    /// `[["value", count], ...]`, the most frequent first.
    fn top_values(&self) -> Option<String> {
        let list = self.top.list();
        let rows: Vec<String> =
            list.iter().map(|(value, count)| format!("[{}, {count}]", quoted(value))).collect();
        (!rows.is_empty()).then(|| format!("[{}]", rows.join(", ")))
    }

    /// `[[from, to, count], ...]`.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of ten"
    )]
    fn histogram(&self) -> Option<String> {
        let values = &self.numbers.values;
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().reduce(f64::max)?;
        let width = (most - least) / BUCKETS as f64;
        let count = if width > 0.0 && width.is_finite() { BUCKETS } else { 1 };
        let mut buckets = vec![0_u64; count];
        for value in values {
            let at = if count == 1 { 0 } else { ((value - least) / width) as usize };
            buckets[at.min(count - 1)] += self.numbers.step;
        }
        let rows: Vec<String> = buckets
            .iter()
            .enumerate()
            .map(|(at, rows)| {
                let from = least + width * at as f64;
                let to = if at + 1 == count { most } else { from + width };
                format!("[{from}, {to}, {rows}]")
            })
            .collect();
        Some(format!("[{}]", rows.join(", ")))
    }
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            c if c < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, Schema};

    #[test]
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    fn many_values_are_estimated_and_the_frequent_ones_found() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let mut profile = Profile::new(&schema);
        for part in 0..10 {
            let of_part = (0..10_000_i64).map(|n| {
                let n = part * 10_000 + n;
                (n % 10 != 0).then_some(if n % 4 == 1 { -7 } else { n })
            });
            let numbers: ArrayRef = Arc::new(of_part.collect::<Int64Array>());
            profile
                .add(&RecordBatch::try_new(Arc::clone(&schema), vec![numbers]).unwrap())
                .unwrap();
        }
        let row = profile.finish().unwrap();
        let whole = |name: &str| {
            row.column_by_name(name).unwrap().as_primitive::<arrow::datatypes::Int64Type>().value(0)
        };
        let text =
            |name: &str| row.column_by_name(name).unwrap().as_string::<i32>().value(0).to_owned();
        assert_eq!((whole("rows"), whole("nulls")), (100_000, 10_000));
        assert_eq!((text("min").as_str(), text("max").as_str()), ("-7", "99999"));
        let distinct = whole("distinct") as f64;
        assert!((distinct / 65_001.0 - 1.0).abs() < 0.06, "{distinct}");
        assert!(text("top_values").starts_with("[[\"-7\", "), "{}", text("top_values"));
        let histogram = text("histogram");
        assert_eq!(histogram.matches("], [").count(), BUCKETS - 1, "{histogram}");
    }

    #[test]
    fn there_are_never_more_distinct_values_than_rows_with_one() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let mut above = 0;
        for part in 0..24_i64 {
            let mut profile = Profile::new(&schema);
            // Every value once, and as many rows without one.
            let values = (0..20_000_i64).map(|n| (n % 2 == 0).then_some(part * 20_000 + n));
            let numbers: ArrayRef = Arc::new(values.collect::<Int64Array>());
            profile
                .add(&RecordBatch::try_new(Arc::clone(&schema), vec![numbers]).unwrap())
                .unwrap();
            above += usize::from(profile.0[0].distinct.count().0 > 10_000);
            let row = profile.finish().unwrap();
            let distinct = row.column_by_name("distinct").unwrap();
            let distinct = distinct.as_primitive::<arrow::datatypes::Int64Type>().value(0);
            assert!(distinct <= 10_000, "{distinct}");
        }
        assert!(above > 0, "no estimate was too high, so nothing was tried");
    }
}
