//! Options inside `CONTENT_TYPE = (...)`: how files are read.

use super::Alter::Free;
use super::OptionDef;
use super::OptionType::{self, Bool, Choice, Integer, Text, TextList};

const fn def(
    name: &'static str,
    kind: OptionType,
    default: &'static str,
    doc: &'static str,
) -> OptionDef {
    OptionDef { name, kind, secret: false, alter: Free, default, doc }
}

/// Options inside `CONTENT_TYPE = (...)`.
pub const CONTENT_TYPE_OPTIONS: &[OptionDef] = &[
    def(
        "TYPE",
        Choice(&[
            "AUTO",
            "CSV",
            "TSV",
            "JSON",
            "JSONL",
            "PARQUET",
            "AVRO",
            "ARROW",
            "ORC",
            "XLSX",
            "XML",
            "FIXED_WIDTH",
            "REGEX",
            "LINES",
        ]),
        "AUTO",
        "Format of the files; AUTO goes by name and content. JSON is of any layout, JSONL one object a line (P-R2).",
    ),
    def(
        "COMPRESSION",
        Choice(&["AUTO", "NONE", "GZIP", "ZSTD", "BZIP2", "XZ", "SNAPPY", "LZ4", "ZIP"]),
        "AUTO",
        "Compression of the files; AUTO goes by the name, then by the first bytes. Of ZIP, each member is a file.",
    ),
    def(
        "MEMBERS",
        Text,
        "all",
        "Glob of the members that are read of ZIP archives, such as `**/*.csv`.",
    ),
    def(
        "ENCODING",
        Text,
        "UTF-8",
        "Encoding of text files, such as `windows-1252`, `ISO-8859-2`, `UTF-16LE`, `CP850`; UTF-16 is known by its byte order mark (P-2.5).",
    ),
    def(
        "ON_ERROR",
        Choice(&["FAIL", "SKIP", "NULL"]),
        "FAIL",
        "What a row that cannot be read does: fail the query, be left out, or have NULL for what is bad; told in `system.read_errors`.",
    ),
    def(
        "HEADER",
        Bool,
        "TRUE",
        "Whether the first record of a CSV file, or the first row of a sheet, names columns.",
    ),
    def("DELIMITER", Text, ",", "Character between the fields of a CSV file."),
    def("QUOTE", Text, "\"", "Character around quoted fields of a CSV file."),
    def("ESCAPE", Text, "doubled quote", "Character that escapes a quote."),
    def("NULL_VALUE", Text, "empty", "Text that means NULL in a CSV file."),
    def("COMMENT", Text, "none", "Character that begins a comment line."),
    def(
        "TYPES",
        TextList,
        "",
        "Types of columns, each as `name TYPE`: `('id TEXT', 'price DECIMAL(10, 2)')`; others are inferred.",
    ),
    def(
        "INFER",
        Choice(&["SAMPLE", "FULL", "NONE"]),
        "SAMPLE",
        "What decides types: first rows of some files, every row, or nothing (columns of text).",
    ),
    def("SAMPLE_FILES", Integer(1, 1_000_000), "8", "Files read to learn columns."),
    def(
        "MAX_LINE",
        Integer(1, 2048),
        "16",
        "Longest header, line, JSON value or XML element, in MiB.",
    ),
    def(
        "SPLIT_ROOT_ARRAY",
        Bool,
        "TRUE",
        "Whether the items of an array at the root of JSON are rows; else the array is one value.",
    ),
    def(
        "STORE_JSON_AS_STRING",
        Text,
        "none",
        "Name of one more column, which holds the JSON text of each row.",
    ),
    def("ROW_TAG", Text, "below the root", "Name of the XML elements that are rows (P-2.5)."),
    def("ATTRIBUTE_PREFIX", Text, "_", "What stands before the names of XML attributes."),
    def(
        "PATTERN",
        Text,
        "",
        "Regular expression of TYPE = REGEX; its named groups are the columns, as in `(?P<level>\\w+)`.",
    ),
    def(
        "COLUMNS",
        TextList,
        "",
        "Columns of TYPE = FIXED_WIDTH, each as `name TYPE OFFSET LENGTH` in characters from 0; TYPE may be left out (P-2.5).",
    ),
    def(
        "SKIP_ROWS",
        Integer(0, 1_000_000_000),
        "0",
        "Lines, records or rows at the start of each CSV, fixed width or XLSX file that are none.",
    ),
    def(
        "SKIP_BYTES",
        Integer(0, 1_000_000),
        "0",
        "Characters between fixed width records that no line ends.",
    ),
    def("LINE_DELIMITED", Bool, "TRUE", "Whether each line is a fixed width record."),
    def(
        "STRIP_BLANKS",
        Bool,
        "FALSE",
        "Whether blanks at the end of fixed width text are left out.",
    ),
    def("DECIMAL_POINT", Text, ".", "Decimal point of fixed width numbers."),
    def("SHEET", Text, "the first", "Name of the sheet of a workbook."),
    def(
        "SHEETS",
        TextList,
        "",
        "Names of sheets whose rows are read together; `'ALL'` is every one.",
    ),
    def("SHEET_PREFIX", Text, "", "Reads the sheets whose names begin so."),
    def("SHEET_SUFFIX", Text, "", "Reads the sheets whose names end so."),
    def("SHEET_CONTAINS", Text, "", "Reads the sheets whose names have this in them."),
    def(
        "SHEET_COLUMN",
        Text,
        "none",
        "Name of one more column, which holds the name of the sheet.",
    ),
    def(
        "EMPTY_ROWS",
        Choice(&["KEEP", "SKIP", "FAIL"]),
        "KEEP",
        "What rows of a sheet without any value are: rows of NULL, nothing, or bad rows.",
    ),
    def(
        "INCOMPLETE_ROWS",
        Choice(&["KEEP", "FAIL"]),
        "KEEP",
        "Whether rows of a sheet that lack a value are rows or bad rows.",
    ),
];
