//! Options of the storages that are neither S3 nor a folder of this machine.

use super::Alter::{Free, Never, NoDependents};
use super::OptionType::{Bool, Choice, Integer, Seconds, Text, TextList};
use super::shared::{ALLOW_METADATA, CA_FILE, SKIP_VALIDATION, case_sensitive};
use super::{OptionDef, def};

pub(super) const LABEL: OptionDef =
    def("LABEL", Text, false, Free, "", "A short name for people (M-C2).");
pub(super) const COMMENT: OptionDef = def("COMMENT", Text, false, Free, "", "A description.");
pub(super) const READ_ONLY: OptionDef =
    def("READ_ONLY", Bool, false, Never, "FALSE", "Nothing may write or delete through it.");
pub(super) const TIMEOUT: OptionDef = def(
    "TIMEOUT",
    Seconds(1, 3600),
    false,
    Free,
    "60",
    "Most time one request waits for an answer to begin or go on.",
);
pub(super) const ALLOW_HTTP: OptionDef =
    def("ALLOW_HTTP", Bool, false, Free, "FALSE", "Permit a plain http endpoint.");

const HOST: OptionDef =
    def("HOST", Text, false, NoDependents, "", "Name or address of the server; required.");
const ROOT: OptionDef = def(
    "ROOT",
    Text,
    false,
    NoDependents,
    "the folder after signing in",
    "Folder to bind it to; absolute, or relative to the folder after signing in.",
);

pub(super) const fn concurrency(default: &'static str) -> OptionDef {
    def("MAX_CONCURRENCY", Integer(1, 10_000), false, Free, default, "Most requests in flight.")
}

const fn sessions(default: &'static str) -> OptionDef {
    def(
        "MAX_CONCURRENCY",
        Integer(1, 1000),
        false,
        Free,
        default,
        "Most sessions open with the server at once.",
    )
}

/// Options of `CREATE SFTP CONNECTION`.
pub const SFTP_OPTIONS: &[OptionDef] = &[
    HOST,
    def("PORT", Integer(1, 65_535), false, NoDependents, "22", "Port of the server."),
    def("USER", Text, false, Free, "", "User to sign in as; required."),
    def("PASSWORD", Text, true, Free, "", "Password of the user."),
    def(
        "PRIVATE_KEY",
        Text,
        true,
        Free,
        "",
        "Private key of the user: the text of an OpenSSH, PEM or PuTTY key file.",
    ),
    def("PRIVATE_KEY_PASSPHRASE", Text, true, Free, "", "Passphrase of PRIVATE_KEY."),
    def(
        "HOST_KEY",
        TextList,
        false,
        Free,
        "",
        "Public keys the server may have, as in known_hosts, or their `SHA256:` fingerprints; required without ACCEPT_ANY_HOST_KEY.",
    ),
    def(
        "ACCEPT_ANY_HOST_KEY",
        Bool,
        false,
        Free,
        "FALSE",
        "Talk to whoever answers: anybody on the way can then read and change everything.",
    ),
    ROOT,
    LABEL,
    COMMENT,
    READ_ONLY,
    case_sensitive("TRUE"),
    sessions("8"),
    TIMEOUT,
    SKIP_VALIDATION,
];

/// Options of `CREATE FTP CONNECTION`.
pub const FTP_OPTIONS: &[OptionDef] = &[
    HOST,
    def(
        "PORT",
        Integer(1, 65_535),
        false,
        NoDependents,
        "21; 990 with TLS = IMPLICIT",
        "Port of the server.",
    ),
    def("USER", Text, false, Free, "anonymous", "User to sign in as."),
    def("PASSWORD", Text, true, Free, "", "Password of the user."),
    def(
        "TLS",
        Choice(&["EXPLICIT", "IMPLICIT", "NONE"]),
        false,
        Free,
        "EXPLICIT",
        "EXPLICIT asks for TLS before signing in, IMPLICIT begins with it; NONE needs ALLOW_PLAIN.",
    ),
    def(
        "ALLOW_PLAIN",
        Bool,
        false,
        Free,
        "FALSE",
        "Permit TLS = NONE: password and data travel in clear text.",
    ),
    CA_FILE,
    ROOT,
    LABEL,
    COMMENT,
    READ_ONLY,
    case_sensitive("TRUE"),
    sessions("4"),
    TIMEOUT,
    SKIP_VALIDATION,
];

const TOKEN: OptionDef =
    def("TOKEN", Text, true, Free, "", "Bearer token, instead of USER and PASSWORD.");

/// Options of `CREATE WEBDAV CONNECTION`.
pub const WEBDAV_OPTIONS: &[OptionDef] = &[
    def("ENDPOINT", Text, false, NoDependents, "", "URL of the service, with its path; required."),
    def("USER", Text, false, Free, "", "User for basic authentication."),
    def("PASSWORD", Text, true, Free, "", "Password of USER."),
    TOKEN,
    def(
        "ROOT",
        Text,
        false,
        NoDependents,
        "the endpoint's",
        "Folder below ENDPOINT to bind it to.",
    ),
    CA_FILE,
    ALLOW_HTTP,
    ALLOW_METADATA,
    LABEL,
    COMMENT,
    READ_ONLY,
    case_sensitive("TRUE"),
    concurrency("16"),
    TIMEOUT,
    SKIP_VALIDATION,
];

/// Options of `CREATE HTTP CONNECTION`.
pub const HTTP_OPTIONS: &[OptionDef] = &[
    def("ENDPOINT", Text, false, NoDependents, "", "URL of the folder to read from; required."),
    def("USER", Text, false, Free, "", "User for basic authentication."),
    def("PASSWORD", Text, true, Free, "", "Password of USER."),
    TOKEN,
    def(
        "HEADERS",
        TextList,
        true,
        Free,
        "",
        "Headers added to every request, each as `Name: value`; stored sealed.",
    ),
    def(
        "INDEX",
        Text,
        false,
        Free,
        "the server's index pages",
        "Path below ENDPOINT of a text with one file's path a line; it says what there is.",
    ),
    CA_FILE,
    ALLOW_HTTP,
    ALLOW_METADATA,
    LABEL,
    COMMENT,
    def("READ_ONLY", Bool, false, Never, "TRUE", "Always: a web server takes no files."),
    concurrency("16"),
    TIMEOUT,
    SKIP_VALIDATION,
];
