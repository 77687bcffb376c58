//! Options of services of objects other than S3: Azure Blob Storage and Google Cloud Storage.

use super::Alter::{Free, NoDependents};
use super::OptionType::{Bool, Text};
use super::remote::{ALLOW_HTTP, COMMENT, LABEL, READ_ONLY, TIMEOUT, concurrency};
use super::shared::{ALLOW_METADATA, CA_FILE, SKIP_VALIDATION};
use super::{OptionDef, def};

/// Options of `CREATE AZURE_BLOB CONNECTION`.
pub const AZURE_BLOB_OPTIONS: &[OptionDef] = &[
    def("ACCOUNT", Text, false, NoDependents, "", "Name of the storage account; required."),
    def("ACCOUNT_KEY", Text, true, Free, "", "Key of the account, base64."),
    def("SAS_TOKEN", Text, true, Free, "", "Shared access signature, instead of ACCOUNT_KEY."),
    def(
        "ANONYMOUS",
        Bool,
        false,
        Free,
        "FALSE",
        "Send unsigned requests: public containers only, for reading.",
    ),
    def(
        "CONTAINER",
        Text,
        false,
        NoDependents,
        "all containers",
        "Bind the connection to one container.",
    ),
    def(
        "PREFIX",
        Text,
        false,
        NoDependents,
        "the whole container",
        "Bind it to one folder of CONTAINER.",
    ),
    def(
        "ENDPOINT",
        Text,
        false,
        NoDependents,
        "https://ACCOUNT.blob.core.windows.net",
        "URL of the blob service; of an emulator, with the account as its path.",
    ),
    CA_FILE,
    ALLOW_HTTP,
    ALLOW_METADATA,
    LABEL,
    COMMENT,
    READ_ONLY,
    concurrency("64"),
    TIMEOUT,
    SKIP_VALIDATION,
];

/// Options of `CREATE GCS CONNECTION`.
pub const GCS_OPTIONS: &[OptionDef] = &[
    def(
        "SERVICE_ACCOUNT_JSON",
        Text,
        true,
        Free,
        "",
        "Text of the key file of a service account; required without ANONYMOUS.",
    ),
    def("ANONYMOUS", Bool, false, Free, "FALSE", "Send unsigned requests: public buckets only."),
    def(
        "PROJECT",
        Text,
        false,
        Free,
        "that of the service account",
        "Project whose buckets are listed and in which they are made.",
    ),
    def("BUCKET", Text, false, NoDependents, "all buckets", "Bind the connection to one bucket."),
    def(
        "PREFIX",
        Text,
        false,
        NoDependents,
        "the whole bucket",
        "Bind it to one folder of BUCKET.",
    ),
    def(
        "ENDPOINT",
        Text,
        false,
        NoDependents,
        "https://storage.googleapis.com",
        "URL of the service, for a private endpoint or an emulator.",
    ),
    CA_FILE,
    ALLOW_HTTP,
    ALLOW_METADATA,
    LABEL,
    COMMENT,
    READ_ONLY,
    concurrency("64"),
    TIMEOUT,
    SKIP_VALIDATION,
];
