//! Options of `CRAWL`.

use super::Alter::Free;
use super::OptionType::{Bool, Integer, Text, TextList};
use super::{OptionDef, def};

const fn row(
    name: &'static str,
    kind: super::OptionType,
    default: &'static str,
    doc: &'static str,
) -> OptionDef {
    def(name, kind, false, Free, default, doc)
}

/// Options of `CRAWL` and `EXPLAIN CRAWL`.
pub const CRAWL_OPTIONS: &[OptionDef] = &[
    row(
        "SERVICE",
        Text,
        "the connection's name",
        "Name of the service that the containers belong to.",
    ),
    row("DESCRIPTION", Text, "", "What is said of the service."),
    row("BUCKETS", TextList, "all", "Only buckets whose names match one of these globs."),
    row("EXCLUDE_BUCKETS", TextList, "", "Never buckets whose names match; wins over BUCKETS."),
    row(
        "INCLUDE",
        TextList,
        "everything",
        "Only containers whose paths below the bucket match one of these globs, or lie below what does.",
    ),
    row("EXCLUDE", TextList, "", "Never containers whose paths match; wins over INCLUDE."),
    row("DISCOVER", Bool, "TRUE", "Find tables that no manifest names, by the keys."),
    row("MANIFESTS", Bool, "TRUE", "Read `openmetadata.json` of each bucket."),
    row(
        "GLOBAL_MANIFEST",
        Text,
        "",
        "A manifest for several buckets: a path of the connection, or an address on the web.",
    ),
    row(
        "DEFAULT_MANIFEST",
        Text,
        "",
        "JSON of a manifest for buckets that have none; an entry without `containerName` is for every bucket.",
    ),
    row("TAGS", Bool, "FALSE", "Read tags of buckets, and of objects that are containers."),
    row(
        "SAMPLE_FILES",
        Integer(1, 4),
        "4",
        "Most files read of each container: the newest, the oldest, the largest, the first by hash.",
    ),
    row("FULL", Bool, "FALSE", "Read files also of containers in which nothing changed."),
    row("MARK_DELETED", Bool, "TRUE", "Mark what is gone."),
    row(
        "ALLOW_MASS_DELETE",
        Bool,
        "FALSE",
        "Mark what is gone also if it is more than 30 of a hundred containers.",
    ),
    row(
        "CONSOLE",
        Text,
        "the AWS console",
        "URL of a console that links to containers begin with.",
    ),
];
