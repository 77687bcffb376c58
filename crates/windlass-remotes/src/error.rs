//! Errors that several storages share, with the codes that callers act on.

use std::fmt::Display;
use std::io;
use windlass_types::{Error, ErrorCode, Name};

/// No such key.
pub(crate) fn absent(key: &str) -> Error {
    if key.contains(char::REPLACEMENT_CHARACTER) {
        return Error::new(
            ErrorCode::PathInvalid,
            format!("`{key}` stands for a file whose name is not UTF-8, which cannot be a key"),
        )
        .hint("rename the file");
    }
    Error::new(ErrorCode::ObjectNotFound, format!("no object `{key}`"))
}

/// The key is no longer what it was.
pub(crate) fn changed(key: &str) -> Error {
    Error::new(ErrorCode::ObjectChanged, format!("`{key}` changed"))
}

/// The key should not be there and is.
pub(crate) fn exists(key: &str) -> Error {
    Error::new(ErrorCode::ObjectChanged, format!("`{key}` exists already"))
}

/// A folder stands where the file should be, or a file where a folder should.
pub(crate) fn is_folder(key: &str) -> Error {
    Error::new(ErrorCode::PathInvalid, format!("`{key}` is a folder here"))
        .hint(format!("to write into the folder, write `{key}/`"))
}

/// Stored bytes that are not those sent.
pub(crate) fn cut(key: &str, expected: u64, found: u64) -> Error {
    Error::new(
        ErrorCode::ObjectCorrupt,
        format!("`{key}` was stored with {found} bytes instead of {expected}"),
    )
}

/// A body that ended early.
pub(crate) fn short(key: &str, expected: u64, found: u64) -> Error {
    Error::new(ErrorCode::ObjectCorrupt, format!("`{key}` ended after {found} of {expected} bytes"))
}

/// A write through a `READ_ONLY` connection.
pub(crate) fn read_only(name: &Name) -> Error {
    Error::new(ErrorCode::ConnectionReadOnly, format!("connection `{name}` is READ_ONLY"))
        .hint("write through another connection")
}

/// What this kind of storage has no means for.
pub(crate) fn unsupported(what: &str) -> Error {
    Error::new(
        ErrorCode::UsageInvalid,
        format!("{what} is not possible with this kind of connection"),
    )
}

/// A wait that was given up.
pub(crate) fn timeout(what: &str) -> Error {
    Error::new(ErrorCode::ConnectionTimeout, format!("{what} took too long"))
        .hint("raise TIMEOUT, or check the network and the server")
}

/// Something unexpected from the other side.
pub(crate) fn failed(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::ConnectionFailed, what)
}

/// A failure to reach `place`, or to stay connected with it.
pub(crate) fn unreachable(place: &dyn Display, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there; check host and port",
        io::ErrorKind::TimedOut => "check host, port and firewalls",
        io::ErrorKind::NotFound | io::ErrorKind::Other => "check the name of the host",
        _ => "check host, port and the network",
    };
    Error::new(ErrorCode::ConnectionUnreachable, format!("cannot reach `{place}`"))
        .source(error)
        .hint(hint)
}
