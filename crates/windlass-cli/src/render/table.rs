//! Rows as a table that fits the window.
//!
//! The first rows choose the widths; later rows follow under the same widths, so a long result
//! streams in constant memory.

use crate::render::text::{fit, safe, width};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use windlass_core::value::text;

/// Rows held back to choose widths.
const LOOK_AHEAD: usize = 1000;
/// No column gets narrower than this, however small the window.
const NARROWEST: usize = 4;

struct Column {
    name: String,
    right: bool,
}

/// Writes the rows of one result.
pub struct Table {
    columns: Vec<Column>,
    window: Option<usize>,
    waiting: Vec<Vec<String>>,
    /// Chosen widths, of as many columns as are shown.
    widths: Option<Vec<usize>>,
}

impl Table {
    /// A table for a window of so many columns; None never cuts.
    pub fn new(schema: &SchemaRef, window: Option<usize>) -> Self {
        let columns = schema
            .fields()
            .iter()
            .map(|field| Column {
                name: safe(field.name()).into_owned(),
                right: field.data_type().is_numeric(),
            })
            .collect();
        Self { columns, window, waiting: Vec::new(), widths: None }
    }

    /// Whether rows wait for widths.
    pub fn holds_back(&self) -> bool {
        self.widths.is_none() && !self.waiting.is_empty()
    }

    /// Appends rows.
    pub fn batch(&mut self, batch: &RecordBatch, out: &mut String) {
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = batch
                .columns()
                .iter()
                .map(|column| {
                    text(column.as_ref(), row).map(|t| safe(&t).into_owned()).unwrap_or_default()
                })
                .collect();
            if let Some(widths) = &self.widths {
                self.line(&cells, widths, out);
                continue;
            }
            self.waiting.push(cells);
            if self.waiting.len() >= LOOK_AHEAD {
                self.settle(out);
            }
        }
    }

    /// Chooses the widths and writes what waits.
    pub fn settle(&mut self, out: &mut String) {
        if self.widths.is_some() {
            return;
        }
        let mut widths: Vec<usize> = self.columns.iter().map(|c| width(&c.name)).collect();
        for row in &self.waiting {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        if let Some(window) = self.window {
            widths = fitted(widths, window);
        }
        rule('┌', '┬', '┐', &widths, out);
        let names: Vec<String> = self.columns.iter().map(|c| c.name.clone()).collect();
        self.line(&names, &widths, out);
        rule('├', '┼', '┤', &widths, out);
        for row in std::mem::take(&mut self.waiting) {
            self.line(&row, &widths, out);
        }
        self.widths = Some(widths);
    }

    /// Ends the table.
    pub fn finish(&mut self, out: &mut String) {
        self.settle(out);
        rule('└', '┴', '┘', self.widths.as_deref().unwrap_or_default(), out);
    }

    /// Says so if the window was too small for every column.
    pub fn note(&self) -> Option<String> {
        let shown = self.widths.as_ref()?.len();
        (shown < self.columns.len()).then(|| {
            format!(
                "{shown} of {} columns fit the window; `-o json` shows them all",
                self.columns.len()
            )
        })
    }

    fn line(&self, cells: &[String], widths: &[usize], out: &mut String) {
        for ((cell, wide), column) in cells.iter().zip(widths).zip(&self.columns) {
            let cell = match self.window {
                Some(_) => fit(cell, *wide),
                None => cell.as_str().into(),
            };
            let room = wide.saturating_sub(width(&cell));
            out.push_str("│ ");
            if column.right {
                out.extend(std::iter::repeat_n(' ', room));
                out.push_str(&cell);
            } else {
                out.push_str(&cell);
                out.extend(std::iter::repeat_n(' ', room));
            }
            out.push(' ');
        }
        out.push_str("│\n");
    }
}

fn rule(left: char, between: char, right: char, widths: &[usize], out: &mut String) {
    out.push(left);
    for (at, wide) in widths.iter().enumerate() {
        if at > 0 {
            out.push(between);
        }
        out.extend(std::iter::repeat_n('─', wide + 2));
    }
    out.push(right);
    out.push('\n');
}

/// Narrows the widest columns until the table fits; if even the narrowest do not, leaves out the
/// last ones.
fn fitted(mut widths: Vec<usize>, window: usize) -> Vec<usize> {
    let frame = |columns: usize| columns * 3 + 1;
    let least = |widths: &[usize]| -> usize {
        frame(widths.len()) + widths.iter().map(|w| (*w).min(NARROWEST)).sum::<usize>()
    };
    while widths.len() > 1 && least(&widths) > window {
        widths.pop();
    }
    let room = window.saturating_sub(frame(widths.len())).max(1);
    // The level to which the widest columns come down, found by halving: the total grows with it.
    let total = |level: usize| widths.iter().map(|w| (*w).min(level)).sum::<usize>();
    let widest = widths.iter().copied().max().unwrap_or(0);
    if total(widest) <= room {
        return widths;
    }
    let (mut low, mut high) = (1, widest);
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        if total(middle) <= room { low = middle } else { high = middle }
    }
    let mut spare = room.saturating_sub(total(low));
    for wide in &mut widths {
        if *wide > low {
            let extra = usize::from(spare > 0);
            spare -= extra;
            *wide = low + extra;
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Cell, Columns, Kind, batch};

    const COLUMNS: Columns = &[("name", Kind::Text), ("size", Kind::Integer)];

    fn table(rows: &[(&str, u64)], window: Option<usize>) -> String {
        let rows: Vec<Vec<Cell>> =
            rows.iter().map(|(name, size)| vec![Cell::from(*name), Cell::from(*size)]).collect();
        let batch = batch(COLUMNS, &rows).unwrap();
        let mut table = Table::new(&batch.schema(), window);
        let mut out = String::new();
        table.batch(&batch, &mut out);
        table.finish(&mut out);
        out
    }

    #[test]
    fn numbers_stand_right_and_text_left() {
        insta::assert_snapshot!(table(&[("a", 1), ("größe", 200)], None), @r"
        ┌───────┬──────┐
        │ name  │ size │
        ├───────┼──────┤
        │ a     │    1 │
        │ größe │  200 │
        └───────┴──────┘
        ");
    }

    #[test]
    fn a_long_cell_is_cut_to_the_window_and_an_evil_one_is_escaped() {
        let long = "x".repeat(100);
        let text = table(&[(&long, 1), ("\u{1b}[31m\n", 2)], Some(30));
        insta::assert_snapshot!(text, @r"
        ┌─────────────────────┬──────┐
        │ name                │ size │
        ├─────────────────────┼──────┤
        │ xxxxxxxxxxxxxxxxxx… │    1 │
        │ \u{1b}[31m\n        │    2 │
        └─────────────────────┴──────┘
        ");
        assert!(text.lines().all(|line| width(line) == 30));
        assert!(table(&[(&long, 1)], None).contains(&long));
    }

    #[test]
    fn rows_after_the_first_thousand_follow_at_once() {
        let rows: Vec<Vec<Cell>> =
            (0..=LOOK_AHEAD as u64).map(|n| vec![Cell::from("a"), Cell::from(n)]).collect();
        let batch = batch(COLUMNS, &rows).unwrap();
        let mut table = Table::new(&batch.schema(), None);
        let mut out = String::new();
        table.batch(&batch.slice(0, 10), &mut out);
        assert!(out.is_empty() && table.holds_back());
        table.batch(&batch.slice(10, LOOK_AHEAD - 9), &mut out);
        assert_eq!(out.lines().count(), LOOK_AHEAD + 4);
        assert!(!table.holds_back());
    }

    #[test]
    fn widths_share_the_window_and_columns_that_cannot_fit_are_left_out() {
        assert_eq!(fitted(vec![10, 50, 5], 40), [10, 15, 5]);
        assert_eq!(fitted(vec![50, 50], 40), [17, 16]);
        assert_eq!(fitted(vec![5, 5], 40), [5, 5]);
        assert_eq!(fitted(vec![10; 20], 40).len(), 5);
        for window in 1..60 {
            for columns in 1..8 {
                let widths = fitted(vec![30; columns], window);
                let total = widths.iter().sum::<usize>() + widths.len() * 3 + 1;
                assert!(total <= window.max(5), "{columns} in {window}: {widths:?}");
            }
        }
    }
}
