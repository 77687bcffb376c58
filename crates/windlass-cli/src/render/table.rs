//! Rows as a table that fits the window.
//!
//! The first rows choose the widths; later rows follow under the same widths, so a long result
//! streams in constant memory.

use crate::render::expanded;
use crate::render::text::{fit, safe, width};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use windlass_core::value::text;

/// Rows held back to choose widths.
const LOOK_AHEAD: usize = 1000;
/// No column gets narrower than this for the sake of another one, which is left out instead.
const NARROWEST: usize = 12;
/// A column cut to less than this shows too little; then rows are shown one below the other.
const LEGIBLE: usize = 12;
/// As [`LEGIBLE`], of tables whose texts are broken into lines.
const LEGIBLE_LINES: usize = 24;
/// Most rows that are shown one below the other without being asked for.
const FEW: usize = 50;

struct Column {
    name: String,
    right: bool,
}

/// Writes the rows of one result.
pub struct Table {
    columns: Vec<Column>,
    window: Option<usize>,
    /// As they came: made safe when they are written.
    waiting: Vec<Vec<String>>,
    /// Chosen widths, of as many columns as are shown.
    widths: Option<Vec<usize>>,
    /// A row is a block of lines: asked for, or chosen when the result had ended.
    expanded: bool,
    /// Rows written as blocks.
    blocks: usize,
    /// Cells are broken into lines, not cut: rows that say what to do must be readable whole.
    wraps: bool,
}

impl Table {
    /// A table for a window of so many columns; None never cuts.
    pub fn new(schema: &SchemaRef, window: Option<usize>) -> Self {
        let columns: Vec<Column> = schema
            .fields()
            .iter()
            .map(|field| Column {
                name: safe(field.name()).into_owned(),
                right: field.data_type().is_numeric(),
            })
            .collect();
        let wraps = columns.iter().any(|column| column.name == "hint");
        Self {
            columns,
            window,
            waiting: Vec::new(),
            widths: None,
            expanded: false,
            blocks: 0,
            wraps,
        }
    }

    /// Shows a row as a block of lines, whatever the window.
    #[must_use]
    pub fn expanded(mut self, expanded: bool) -> Self {
        self.expanded = expanded;
        self
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
                .map(|column| text(column.as_ref(), row).unwrap_or_default())
                .collect();
            if self.expanded {
                self.block(&cells, out);
            } else if let Some(widths) = &self.widths {
                self.line(&safe_row(&cells), widths, out);
            } else {
                self.waiting.push(cells);
                if self.waiting.len() >= LOOK_AHEAD {
                    self.settle(out);
                }
            }
        }
    }

    /// Chooses the widths and writes what waits.
    pub fn settle(&mut self, out: &mut String) {
        if self.widths.is_some() {
            return;
        }
        let rows: Vec<Vec<String>> =
            std::mem::take(&mut self.waiting).iter().map(|row| safe_row(row)).collect();
        let (_, widths) = self.widths_of(&rows);
        rule('┌', '┬', '┐', &widths, out);
        let names = self.names();
        self.line(&names, &widths, out);
        rule('├', '┼', '┤', &widths, out);
        for row in rows {
            self.line(&row, &widths, out);
        }
        self.widths = Some(widths);
    }

    fn names(&self) -> Vec<String> {
        self.columns.iter().map(|c| c.name.clone()).collect()
    }

    /// What the columns need, and what they get.
    fn widths_of(&self, rows: &[Vec<String>]) -> (Vec<usize>, Vec<usize>) {
        let mut needed: Vec<usize> = self.columns.iter().map(|c| width(&c.name)).collect();
        for row in rows {
            for (widest, cell) in needed.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        let given = match self.window {
            Some(window) => fitted(needed.clone(), window),
            None => needed.clone(),
        };
        (needed, given)
    }

    /// Whether the whole result, which is here, would show too little side by side.
    fn is_cramped(&self) -> bool {
        if self.window.is_none() || self.waiting.is_empty() || self.waiting.len() > FEW {
            return false;
        }
        let rows: Vec<Vec<String>> = self.waiting.iter().map(|row| safe_row(row)).collect();
        let (needed, given) = self.widths_of(&rows);
        let least = if self.wraps { LEGIBLE_LINES } else { LEGIBLE };
        given.len() < needed.len()
            || needed.iter().zip(&given).any(|(needed, given)| given < needed && *given < least)
    }

    /// Ends the table.
    pub fn finish(&mut self, out: &mut String) {
        if self.expanded || (self.widths.is_none() && self.text(out)) {
            return;
        }
        if self.widths.is_none() && self.is_cramped() {
            self.expanded = true;
            for row in std::mem::take(&mut self.waiting) {
                self.block(&row, out);
            }
            return;
        }
        self.settle(out);
        rule('└', '┴', '┘', self.widths.as_deref().unwrap_or_default(), out);
    }

    /// Writes a result that is text of several lines as it is, so that it can be read, copied and
    /// run: the only cell of an answer, or a plan with its kind above it.
    fn text(&mut self, out: &mut String) -> bool {
        let has_lines = self.waiting.iter().flatten().any(|cell| cell.contains('\n'));
        let one = self.columns.len() == 1 && self.waiting.len() == 1;
        let plans = self.columns.len() == 2 && self.columns[1].name == "plan";
        if !has_lines || !(one || plans) {
            return false;
        }
        for row in std::mem::take(&mut self.waiting) {
            if let [kind, _] = row.as_slice() {
                out.push_str(&safe(kind));
                out.push_str(":\n");
            }
            for line in row.last().into_iter().flat_map(|cell| expanded::lines(cell, None)) {
                out.push_str(&line);
                out.push('\n');
            }
        }
        true
    }

    /// Says so if the window was too small for every column.
    pub fn note(&self) -> Option<String> {
        let shown = self.widths.as_ref()?.len();
        (shown < self.columns.len()).then(|| {
            format!(
                "{shown} of {} columns fit the window; `-o json` shows them all, `\\x` in the prompt one below the other",
                self.columns.len()
            )
        })
    }

    fn block(&mut self, cells: &[String], out: &mut String) {
        self.blocks += 1;
        expanded::row(&self.names(), cells, self.blocks, self.window, out);
    }

    fn line(&self, cells: &[String], widths: &[usize], out: &mut String) {
        if self.window.is_some() && self.wraps {
            let broken: Vec<Vec<String>> = cells
                .iter()
                .zip(widths)
                .map(|(cell, wide)| expanded::wrapped(cell, *wide))
                .collect();
            let height = broken.iter().map(Vec::len).max().unwrap_or(1);
            for at in 0..height {
                let cells: Vec<&str> =
                    broken.iter().map(|lines| lines.get(at).map_or("", String::as_str)).collect();
                self.one_line(&cells, widths, out);
            }
            return;
        }
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        self.one_line(&cells, widths, out);
    }

    fn one_line(&self, cells: &[&str], widths: &[usize], out: &mut String) {
        for ((cell, wide), column) in cells.iter().zip(widths).zip(&self.columns) {
            let cell = match self.window {
                Some(_) => fit(cell, *wide),
                None => (*cell).into(),
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

fn safe_row(cells: &[String]) -> Vec<String> {
    cells.iter().map(|cell| safe(cell).into_owned()).collect()
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

/// Narrows the widest columns until the table fits; where they would say too little, leaves out the
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
        rendered(&batch(COLUMNS, &rows).unwrap(), window)
    }

    fn rendered(batch: &RecordBatch, window: Option<usize>) -> String {
        let mut table = Table::new(&batch.schema(), window);
        let mut out = String::new();
        table.batch(batch, &mut out);
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

    fn probe(message: &str, hint: &str, window: Option<usize>) -> String {
        const STEPS: Columns = &[
            ("step", Kind::Text),
            ("permission", Kind::Text),
            ("status", Kind::Text),
            ("milliseconds", Kind::Integer),
            ("message", Kind::Text),
            ("hint", Kind::Text),
        ];
        let row = vec![
            Cell::from("list place"),
            Cell::from("s3:ListBucket"),
            Cell::from("failed"),
            Cell::from(12_u64),
            Cell::from(message),
            Cell::from(hint),
        ];
        rendered(&batch(STEPS, &[row]).unwrap(), window)
    }

    #[test]
    fn a_failed_step_can_be_read_whole_in_any_window() {
        let (message, hint) = (
            "no permission: `s3:ListBucket` on `arn:aws:s3:::lake` is denied",
            "grant `s3:ListBucket` there; `windlass policy landing --for read` prints the policy",
        );
        for window in [40, 80, 100, 120, 160, 200] {
            let text = probe(message, hint, Some(window));
            assert!(text.lines().all(|line| width(line) <= window), "{window}: {text}");
            for word in message.split(' ').chain(hint.split(' ')) {
                let halves = window < 80 || text.contains(word);
                assert!(halves, "{window} lost {word}: {text}");
            }
        }
        insta::assert_snapshot!("a_step_at_80_columns", probe(message, hint, Some(80)));
        insta::assert_snapshot!("a_step_at_160_columns", probe(message, hint, Some(160)));
    }

    #[test]
    fn many_rows_of_many_columns_show_the_first_columns_legibly() {
        const WIDE: Columns =
            &[("a", Kind::Text), ("b", Kind::Text), ("c", Kind::Text), ("d", Kind::Text)];
        let row = || ["x", "landing.lake", "lake/orders/2026/11/22/part-1.csv", "active"];
        let rows: Vec<Vec<Cell>> =
            (0..=FEW).map(|_| row().into_iter().map(Cell::from).collect()).collect();
        let rows = batch(WIDE, &rows).unwrap();
        let mut table = Table::new(&rows.schema(), Some(40));
        let mut out = String::new();
        table.batch(&rows, &mut out);
        table.finish(&mut out);
        assert_eq!(out.lines().nth(3), Some("│ x │ landing.lake │ lake/orders/2026… │"));
        assert!(table.note().unwrap().starts_with("3 of 4 columns fit the window"));
    }

    #[test]
    fn text_of_several_lines_is_shown_as_it_is_so_that_it_can_be_run() {
        let one = batch(
            &[("statement", Kind::Text)],
            &[vec![Cell::from("CREATE S3 CONNECTION a\n  REGION = 'x\u{1b}'")]],
        )
        .unwrap();
        let plan = batch(
            &[("plan_type", Kind::Text), ("plan", Kind::Text)],
            &[vec![Cell::from("logical_plan"), Cell::from("A\n  B")]],
        )
        .unwrap();
        let text = |batch: &RecordBatch| {
            let mut table = Table::new(&batch.schema(), Some(20));
            let mut out = String::new();
            table.batch(batch, &mut out);
            table.finish(&mut out);
            out
        };
        assert_eq!(text(&one), "CREATE S3 CONNECTION a\n  REGION = 'x\\u{1b}'\n");
        assert_eq!(text(&plan), "logical_plan:\nA\n  B\n");
    }

    #[test]
    fn expanded_rows_are_shown_at_once() {
        let batch = batch(COLUMNS, &[vec![Cell::from("a"), Cell::from(1_u64)]]).unwrap();
        let mut table = Table::new(&batch.schema(), None).expanded(true);
        let mut out = String::new();
        table.batch(&batch, &mut out);
        assert!(out.ends_with("name │ a\nsize │ 1\n"), "{out}");
        assert!(!table.holds_back());
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
        assert_eq!(fitted(vec![10; 20], 40).len(), 3);
        for window in 1..60 {
            for columns in 1..8 {
                let widths = fitted(vec![30; columns], window);
                let total = widths.iter().sum::<usize>() + widths.len() * 3 + 1;
                assert!(total <= window.max(5), "{columns} in {window}: {widths:?}");
            }
        }
    }
}
