//! Options of `CRAWL`.

use super::OptionType::{Bool, Integer, Text, TextList};
use super::{OptionDef, free};

/// Options of `CRAWL` and `EXPLAIN CRAWL`.
pub const CRAWL_OPTIONS: &[OptionDef] = &[
    free(
        "SERVICE",
        Text,
        "the connection's name",
        "Name of the service that the containers belong to.",
    ),
    free("DESCRIPTION", Text, "", "What is said of the service."),
    free("BUCKETS", TextList, "all", "Only buckets whose names match one of these globs."),
    free("EXCLUDE_BUCKETS", TextList, "", "Never buckets whose names match; wins over BUCKETS."),
    free(
        "INCLUDE",
        TextList,
        "everything",
        "Only containers whose paths below the bucket match one of these globs, or lie below what does.",
    ),
    free("EXCLUDE", TextList, "", "Never containers whose paths match; wins over INCLUDE."),
    free("DISCOVER", Bool, "TRUE", "Find tables that no manifest names, by the keys."),
    free("MANIFESTS", Bool, "TRUE", "Read `openmetadata.json` of each bucket."),
    free(
        "GLOBAL_MANIFEST",
        Text,
        "",
        "A manifest for several buckets: a path of the connection, or an address on the web.",
    ),
    free(
        "DEFAULT_MANIFEST",
        Text,
        "",
        "JSON of a manifest for buckets that have none; an entry without `containerName` is for every bucket.",
    ),
    free("TAGS", Bool, "FALSE", "Read tags of buckets, and of objects that are containers."),
    free(
        "SAMPLE_FILES",
        Integer(1, 4),
        "4",
        "Most files read of each container: the newest, the oldest, the largest, then others by hash.",
    ),
    free("FULL", Bool, "FALSE", "Read files also of containers in which nothing changed."),
    free("MARK_DELETED", Bool, "TRUE", "Mark what is gone."),
    free(
        "ALLOW_MASS_DELETE",
        Bool,
        "FALSE",
        "Mark what is gone also if it is more than 30 of a hundred containers.",
    ),
    free(
        "CONSOLE",
        Text,
        "the AWS console",
        "URL of a console that links to containers begin with.",
    ),
    free(
        "PUBLISH_TO",
        Text,
        "",
        "An HTTP connection to an OpenMetadata server (up to and with `/api`), to which the service is published afterwards.",
    ),
];
