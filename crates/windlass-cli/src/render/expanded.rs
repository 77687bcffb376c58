//! Rows one below the other, a line a column: for what a window cannot show side by side.

use crate::render::text::{safe, width};

/// Least columns of a window in which values are still broken into lines.
const LEAST: usize = 16;

/// Appends a row as a block: a rule, then `column │ value` a line. Line ends in a value stay line
/// ends; a value longer than the window goes on below itself, so nothing of it is lost.
pub(super) fn row(
    names: &[String],
    cells: &[String],
    number: usize,
    window: Option<usize>,
    out: &mut String,
) {
    let widest = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let room = window.map(|window| window.saturating_sub(widest + 3).max(LEAST));
    let title = format!("─ row {number} ");
    out.push_str(&title);
    let rest = window.map_or(32, |window| window.min(80)).saturating_sub(width(&title));
    out.extend(std::iter::repeat_n('─', rest));
    out.push('\n');
    for (name, cell) in names.iter().zip(cells) {
        let mut left = name.as_str();
        for line in lines(cell, room) {
            out.push_str(left);
            out.extend(std::iter::repeat_n(' ', widest.saturating_sub(width(left))));
            left = "";
            out.push_str(" │ ");
            out.push_str(&line);
            while out.ends_with(' ') {
                out.pop();
            }
            out.push('\n');
        }
    }
}

/// The lines of a value: its own, each broken to fit; at least one.
pub(super) fn lines(cell: &str, room: Option<usize>) -> Vec<String> {
    let own: Vec<&str> = cell.split('\n').map(|line| line.trim_end_matches('\r')).collect();
    let own = match own.as_slice() {
        [rest @ .., ""] if !rest.is_empty() => rest,
        all => all,
    };
    own.iter()
        .flat_map(|line| match room {
            Some(room) => wrapped(&safe(line), room),
            None => vec![safe(line).into_owned()],
        })
        .collect()
}

/// Text in lines of at most `room` columns, broken at blanks where there are any.
pub(super) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        if width(&line) + width(word.trim_end()) <= room {
            line.push_str(word);
            continue;
        }
        if !line.trim_end().is_empty() {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        line.clear();
        for c in word.chars() {
            let wide = width(c.encode_utf8(&mut [0; 4]));
            if width(&line) + wide > room && c != ' ' {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line.trim_end().to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_block_and_no_word_of_it_is_lost() {
        let names = ["step", "message", "hint"].map(str::to_owned);
        let cells = ["list place", "no permission: `s3:ListBucket` on `s3://lake/` is denied", ""]
            .map(str::to_owned);
        let mut out = String::new();
        row(&names, &cells, 1, Some(40), &mut out);
        insta::assert_snapshot!(out, @r"
        ─ row 1 ────────────────────────────────
        step    │ list place
        message │ no permission: `s3:ListBucket`
                │ on `s3://lake/` is denied
        hint    │
        ");
        assert!(out.lines().all(|line| width(line) <= 40));
    }

    #[test]
    fn words_longer_than_the_room_are_broken_and_blanks_kept_inside() {
        assert_eq!(wrapped("abcdef gh", 4), ["abcd", "ef", "gh"]);
        assert_eq!(wrapped("a  b", 10), ["a  b"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(lines("a\nb\u{1b}\n", None), ["a", "b\\u{1b}"]);
    }
}
