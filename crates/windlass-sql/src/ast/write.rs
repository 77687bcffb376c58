//! What is said of writing files.

use super::{FilesPlace, OptionSetting, TableName};

/// Where rows are written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteTo {
    /// `COPY ... TO 'connection:path'`
    Place(FilesPlace),
    /// `INSERT INTO connection."path"`, or a file table with or without its schema: which, is for
    /// who knows the connections.
    Named {
        /// The connection, or the schema of a table.
        first: Option<String>,
        /// The path, or the table.
        last: String,
        /// The columns that are listed; none: all, in order.
        columns: Vec<String>,
    },
    /// `CREATE FILE TABLE [IF NOT EXISTS] name ON connection LOCATION = 'path' ... AS`
    Table {
        /// IF NOT EXISTS was said.
        if_not_exists: bool,
        /// Its name.
        name: TableName,
        /// Its files.
        place: FilesPlace,
    },
}

/// A query whose rows are written to files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteStatement {
    /// Where to.
    pub to: WriteTo,
    /// Checked options, in the order written.
    pub options: Vec<OptionSetting>,
    /// The query, as text.
    pub query: String,
}
