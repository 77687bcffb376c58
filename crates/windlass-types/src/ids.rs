//! Identifiers. One macro, so every id parses, prints and serialises alike.
//!
//! An id prints with its prefix (`cn_0198…`), so a log line or a pasted command says which room
//! it came from, and the wrong kind fails to parse.

use std::{fmt, str::FromStr};
use uuid::Uuid;

/// The text was not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id like `{prefix}_…`, found `{found}`")]
pub struct ParseIdError {
    prefix: &'static str,
    found: String,
}

macro_rules! define_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// A fresh id; later ids sort after earlier ones.
            #[allow(clippy::new_without_default, reason = "a default id would hide a bug")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// For fixed ids in tests and for rows read from the store.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", Self::PREFIX, self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or_else(|| ParseIdError { prefix: Self::PREFIX, found: text.to_owned() })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

define_id!(
    /// A stored connection.
    ConnectionId, "cn"
);
define_id!(
    /// A fabric: an environment owned by one team.
    FabricId, "fb"
);
define_id!(
    /// A file table.
    FileTableId, "ft"
);
define_id!(
    /// A durable definition of work.
    JobId, "jb"
);
define_id!(
    /// One execution of a job or of a one-off statement.
    RunId, "rn"
);
define_id!(
    /// A stored secret.
    SecretId, "se"
);
define_id!(
    /// A service of the catalogue: what one crawl keeps its containers under.
    ServiceId, "sv"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_another_kind_does_not_parse() {
        let run = RunId::from_uuid(Uuid::nil()).to_string();
        insta::assert_snapshot!(
            run.parse::<ConnectionId>().unwrap_err(),
            @"expected an id like `cn_…`, found `rn_00000000000000000000000000000000`"
        );
    }
}
