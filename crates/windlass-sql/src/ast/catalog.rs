//! Statements about the catalogue.

use super::Change;

/// A statement about the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogStatement {
    /// `ALTER CONTAINER 'name' [COLUMN 'path'] SET ... RESET ...`
    Alter {
        /// The container: its fully qualified name, `connection:path` or `s3://bucket/path`.
        container: String,
        /// One of its columns, as a dotted path.
        column: Option<String>,
        /// What changes, in the order written.
        changes: Vec<Change>,
    },
    /// `SEARCH 'words' [LIMIT n]`
    Search {
        /// The words.
        question: String,
        /// Most rows.
        limit: Option<u64>,
    },
    /// `SHOW LINEAGE OF 'name' [UPSTREAM|DOWNSTREAM] [DEPTH n] [AS DOT|OPENLINEAGE]`
    Lineage {
        /// A container, or a place that runs read or wrote: `connection:path`.
        of: String,
        /// One direction only.
        direction: Option<Direction>,
        /// How many steps from it at most.
        depth: Option<u64>,
        /// How it is shown.
        shown: LineageAs,
    },
}

/// A direction of lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Where data came from.
    Upstream,
    /// Where it went.
    Downstream,
}

impl Direction {
    /// Both, upstream first.
    pub const ALL: [Self; 2] = [Self::Upstream, Self::Downstream];

    /// Its keyword.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "UPSTREAM",
            Self::Downstream => "DOWNSTREAM",
        }
    }
}

/// How lineage is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineageAs {
    /// Rows, indented as a tree.
    Tree,
    /// A graph in the language of Graphviz.
    Dot,
    /// Events of `OpenLineage`, one JSON document a row.
    OpenLineage,
}

impl LineageAs {
    /// Its keyword; a tree has none.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Tree => None,
            Self::Dot => Some("DOT"),
            Self::OpenLineage => Some("OPENLINEAGE"),
        }
    }
}
