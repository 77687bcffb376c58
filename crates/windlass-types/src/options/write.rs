//! Options of writing files: COPY TO, INSERT INTO a path, CREATE FILE TABLE AS.

use super::OptionType::{Bool, Choice, Group, Size, Text, TextList};
use super::{Alter::Free, CONTENT_TYPE_OPTIONS, OptionDef, def};

const FILE_FORMAT: OptionDef = def(
    "FILE_FORMAT",
    Group(FILE_FORMAT_OPTIONS),
    false,
    Free,
    "by the name",
    "Format of the files: a word such as PARQUET, or a group `(TYPE = CSV, HEADER = FALSE)` (P-W1, U-W2).",
);
pub(super) const COMPRESSION: OptionDef = def(
    "COMPRESSION",
    Choice(&["AUTO", "NONE", "GZIP", "ZSTD", "BZIP2", "XZ", "SNAPPY", "LZ4", "BROTLI"]),
    false,
    Free,
    "AUTO",
    "Compression; AUTO goes by the name, and is SNAPPY for Parquet (U-W5).",
);
pub(super) const PARTITIONED_BY: OptionDef = def(
    "PARTITIONED_BY",
    TextList,
    false,
    Free,
    "",
    "Columns whose values become folders, `dt=2026-01-31/`; they are not in the files.",
);
const DATE_PATTERN: OptionDef = def(
    "DATE_PATTERN",
    Text,
    false,
    Free,
    "",
    "Folders by the time of DATE_COLUMN, in letters of Java such as `yyyy/MM/dd/HH/mm`; other text goes in quotes, `'''dt=''yyyy-MM-dd'` (U-W6).",
);
const DATE_COLUMN: OptionDef = def(
    "DATE_COLUMN",
    Text,
    false,
    Free,
    "the time of the run",
    "Column that DATE_PATTERN goes by: a date or a timestamp, in UTC; without one the time of the run. It stays in the files.",
);
const MODE: OptionDef = def(
    "MODE",
    Choice(&["ERROR", "APPEND", "OVERWRITE", "OVERWRITE_PARTITIONS"]),
    false,
    Free,
    "ERROR; of INSERT INTO a folder APPEND",
    "What becomes of files that are there: an error, beside them, instead of all of them, or instead of those in the partitions that are written.",
);
pub(super) const MAX_FILE_SIZE: OptionDef = def(
    "MAX_FILE_SIZE",
    Size,
    false,
    Free,
    "no limit",
    "A file that has grown to this size is followed by another; by estimate, after compression.",
);
const SINGLE: OptionDef = def(
    "SINGLE",
    Bool,
    false,
    Free,
    "FALSE",
    "Exactly one file in each folder; contradicts MAX_FILE_SIZE.",
);
pub(super) const FILE_NAME: OptionDef = def(
    "FILE_NAME",
    Text,
    false,
    Free,
    "part-{n}, or {run}-{n}",
    "Name of the files below the path, without extension: `{n}` is a number, which APPEND begins after those that are there, `{run}` the id of the run.",
);
const AFTER_READ: OptionDef = def(
    "AFTER_READ",
    Choice(&["KEEP", "DELETE", "MOVE"]),
    false,
    Free,
    "KEEP",
    "What becomes of the files the query has read, once the output is there; only of the versions that were read (P-R7, P-R8).",
);
const AFTER_READ_LOCATION: OptionDef = def(
    "AFTER_READ_LOCATION",
    Text,
    false,
    Free,
    "",
    "Folder of the same connection that AFTER_READ = MOVE moves them to; what follows their bucket stays their name.",
);

/// Options of `COPY ... TO` and of `INSERT INTO connection."path"`.
pub const WRITE_OPTIONS: &[OptionDef] = &[
    FILE_FORMAT,
    COMPRESSION,
    PARTITIONED_BY,
    DATE_PATTERN,
    DATE_COLUMN,
    MODE,
    MAX_FILE_SIZE,
    SINGLE,
    FILE_NAME,
    AFTER_READ,
    AFTER_READ_LOCATION,
];

/// Options of `CREATE FILE TABLE ... AS`.
pub const CREATE_TABLE_AS_OPTIONS: &[OptionDef] = &[
    def(
        "CONTENT_TYPE",
        Group(CONTENT_TYPE_OPTIONS),
        false,
        Free,
        "PARQUET",
        "How the files are written and read: a word such as CSV, or a group `(TYPE = CSV, HEADER = TRUE)`.",
    ),
    def("COMMENT", Text, false, Free, "", "A description."),
    COMPRESSION,
    PARTITIONED_BY,
    DATE_PATTERN,
    DATE_COLUMN,
    MODE,
    MAX_FILE_SIZE,
    SINGLE,
    FILE_NAME,
    AFTER_READ,
    AFTER_READ_LOCATION,
];

/// Options inside `FILE_FORMAT = (...)`.
pub const FILE_FORMAT_OPTIONS: &[OptionDef] = &[
    def(
        "TYPE",
        Choice(&[
            "AUTO",
            "CSV",
            "TSV",
            "JSON",
            "JSON_ARRAY",
            "PARQUET",
            "ARROW",
            "AVRO",
            "XLSX",
            "XML",
        ]),
        false,
        Free,
        "AUTO",
        "Format; AUTO goes by the name. JSON is one object a line, JSON_ARRAY one array.",
    ),
    def(
        "HEADER",
        Bool,
        false,
        Free,
        "TRUE",
        "CSV, XLSX: names of columns in the first row (U-W4).",
    ),
    def(
        "DELIMITER",
        Text,
        false,
        Free,
        ",",
        "CSV: character between fields; a tab is `'\\t'` or `TAB`, a control character such as `'\\x01'` (U-W3).",
    ),
    def("QUOTE", Text, false, Free, "\"", "CSV: character around quoted fields; empty for none."),
    def(
        "ESCAPE",
        Text,
        false,
        Free,
        "doubled quote",
        "CSV: character before a quote, or before itself, in a quoted field.",
    ),
    def("NULL_VALUE", Text, false, Free, "empty", "CSV: text that means NULL."),
    def("LINE_END", Choice(&["LF", "CRLF", "CR"]), false, Free, "LF", "CSV: what ends a line."),
    def(
        "QUOTING",
        Choice(&["NECESSARY", "ALWAYS", "STRINGS", "NEVER"]),
        false,
        Free,
        "NECESSARY",
        "CSV: which fields are quoted; with NEVER a value that needs it is an error.",
    ),
    def(
        "ENCODING",
        Text,
        false,
        Free,
        "UTF-8",
        "CSV, JSON, XML: such as `ISO-8859-1`, `windows-1252`, `CP850` or `UTF-16LE`; a character it lacks is an error.",
    ),
    def("BOM", Bool, false, Free, "FALSE", "CSV, JSON, XML: a byte order mark at the beginning."),
    def("ROOT_TAG", Text, false, Free, "rows", "XML: the element around all rows."),
    def("ROW_TAG", Text, false, Free, "row", "XML: the element of a row."),
    def("ATTRIBUTES", TextList, false, Free, "", "XML: columns that are attributes of their row."),
    def("SHEET", Text, false, Free, "Sheet1", "XLSX: name of the sheet."),
    def(
        "SHEET_COLUMN",
        Text,
        false,
        Free,
        "",
        "XLSX: column whose values are the names of sheets; each has the rows of its value, without the column.",
    ),
];
