//! Walking lineage: from a place upstream and downstream, each edge once.

use std::collections::{BTreeSet, VecDeque};
use windlass_sql::Direction;
use windlass_state::{EdgeRow, LineageEnd};

/// One step of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Which way.
    pub(super) direction: Direction,
    /// How many steps from the place asked for.
    pub(super) depth: u64,
    /// The edge, by its number.
    pub(super) edge: usize,
    /// The step before it, by its number in the walk.
    pub(super) before: Option<usize>,
}

/// Whether two ends share data: one is the other, or lies in it.
pub(super) fn overlap(one: &LineageEnd, other: &LineageEnd) -> bool {
    one.connection == other.connection
        && one.bucket == other.bucket
        && (within(&one.path, &other.path) || within(&other.path, &one.path))
}

/// Whether a path is a folder, or lies in it.
fn within(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The steps from places in one direction, at most `depth` of them in a row; what lies near comes
/// first. A place that was reached is not gone on from again.
pub(super) fn walk(
    edges: &[EdgeRow],
    from: &[LineageEnd],
    direction: Direction,
    depth: u64,
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut used: BTreeSet<usize> = BTreeSet::new();
    let mut seen: BTreeSet<LineageEnd> = from.iter().cloned().collect();
    let mut open: VecDeque<(LineageEnd, u64, Option<usize>)> =
        from.iter().map(|end| (end.clone(), 0, None)).collect();
    while let Some((place, far, before)) = open.pop_front() {
        if far >= depth {
            continue;
        }
        for (number, row) in edges.iter().enumerate() {
            let (near, next) = match direction {
                Direction::Upstream => (&row.edge.to, &row.edge.from),
                Direction::Downstream => (&row.edge.from, &row.edge.to),
            };
            if !overlap(near, &place) || !used.insert(number) {
                continue;
            }
            steps.push(Step { direction, depth: far + 1, edge: number, before });
            if seen.insert(next.clone()) {
                open.push_back((next.clone(), far + 1, Some(steps.len() - 1)));
            }
        }
    }
    steps
}

/// Steps as a tree is read: each followed by those that go on from it.
pub(super) fn as_tree(steps: &[Step]) -> Vec<&Step> {
    // From the last of each level on, so that the first comes off the stack first.
    let after = |of: Option<usize>| {
        let numbers = (0..steps.len()).rev();
        numbers.filter(move |number| steps[*number].before == of)
    };
    let mut stack: Vec<usize> = after(None).collect();
    let mut out = Vec::with_capacity(steps.len());
    while let Some(number) = stack.pop() {
        out.push(&steps[number]);
        stack.extend(after(Some(number)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use windlass_state::NewEdge;
    use windlass_types::RunId;

    fn end(path: &str) -> LineageEnd {
        LineageEnd {
            connection: None,
            name: "c".to_owned(),
            bucket: "b".to_owned(),
            path: path.to_owned(),
        }
    }

    fn edges(pairs: &[(&str, &str)]) -> Vec<EdgeRow> {
        let edge = |(from, to): &(&str, &str)| EdgeRow {
            edge: NewEdge {
                from: end(from),
                to: end(to),
                kind: "copy".to_owned(),
                columns: vec![],
            },
            run: RunId::new(),
            runs: 1,
            first: DateTime::UNIX_EPOCH,
            last: DateTime::UNIX_EPOCH,
        };
        pairs.iter().map(edge).collect()
    }

    fn shown(edges: &[EdgeRow], from: &str, direction: Direction, depth: u64) -> Vec<String> {
        let steps = walk(edges, &[end(from)], direction, depth);
        as_tree(&steps)
            .into_iter()
            .map(|step| {
                let edge = &edges[step.edge].edge;
                let depth = usize::try_from(step.depth).unwrap();
                format!("{}{} > {}", " ".repeat(depth), edge.from.path, edge.to.path)
            })
            .collect()
    }

    #[test]
    fn lineage_is_followed_both_ways_through_folders_and_what_lies_in_them() {
        let edges = edges(&[("in", "raw"), ("raw/orders", "out/a"), ("out", "end"), ("x", "raws")]);
        assert_eq!(
            shown(&edges, "in", Direction::Downstream, 9),
            [" in > raw", "  raw/orders > out/a", "   out > end"]
        );
        assert_eq!(
            shown(&edges, "end", Direction::Upstream, 9),
            [" out > end", "  raw/orders > out/a", "   in > raw"]
        );
        assert_eq!(shown(&edges, "in", Direction::Downstream, 1), [" in > raw"]);
        assert_eq!(shown(&edges, "", Direction::Downstream, 1).len(), 4, "the whole bucket");
        assert!(shown(&edges, "nowhere", Direction::Upstream, 9).is_empty());
    }

    #[test]
    fn circles_end() {
        let edges = edges(&[("a", "b"), ("b", "c"), ("c", "a"), ("a", "c")]);
        assert_eq!(
            shown(&edges, "a", Direction::Downstream, 100),
            [" a > b", "  b > c", " a > c", "  c > a"]
        );
    }
}
