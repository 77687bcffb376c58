//! Names of connections, secrets, tables, fabrics.
//!
//! Grammar (design contract, U-C2): `[A-Za-z_][A-Za-z0-9_]*`, folded to lower case, or
//! `"quoted"` with `""` for one quote. This type holds the folded or unquoted text.

use crate::error::{Error, ErrorCode, Result};
use std::fmt;

/// Names no connection, schema or table may take.
pub const RESERVED: &[&str] = &["system", "information_schema", "pg_catalog", "public", "main"];

/// Longest name, in bytes.
pub const MAX_LENGTH: usize = 128;

/// A name as it is stored: after folding or unquoting.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// A name from exactly this text, as a quoted identifier gives it.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if text.is_empty() {
            return Err(Error::new(ErrorCode::NameInvalid, "a name cannot be empty"));
        }
        if text.len() > MAX_LENGTH {
            return Err(Error::new(
                ErrorCode::NameInvalid,
                format!("a name has at most {MAX_LENGTH} bytes; this one has {}", text.len()),
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(Error::new(
                ErrorCode::NameInvalid,
                "a name cannot hold control characters",
            ));
        }
        Ok(Self(text))
    }

    /// Reads what a person types: a bare word folds to lower case, `"quoted"` is kept.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(inner) = text.strip_prefix('"') {
            let inner = inner.strip_suffix('"').ok_or_else(|| {
                Error::new(ErrorCode::NameInvalid, format!("the quote in `{text}` is not closed"))
            })?;
            if inner.replace("\"\"", "").contains('"') {
                return Err(Error::new(
                    ErrorCode::NameInvalid,
                    format!("`{text}` has a quote inside"),
                )
                .hint("write a quote inside a quoted name twice: `\"\"`"));
            }
            return Self::new(inner.replace("\"\"", "\""));
        }
        if !is_bare(text) {
            return Err(Error::new(ErrorCode::NameInvalid, format!("`{text}` is not a name")).hint(
                "a bare name has letters, digits and `_` and does not begin with a digit; put anything else in double quotes",
            ));
        }
        Self::new(text.to_ascii_lowercase())
    }

    /// The text without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An error if the name is reserved.
    pub fn not_reserved(self) -> Result<Self> {
        if RESERVED.contains(&self.0.as_str()) {
            return Err(Error::new(
                ErrorCode::NameInvalid,
                format!("the name `{}` is reserved", self.0),
            )
            .hint(format!("reserved are {}", RESERVED.join(", "))));
        }
        Ok(self)
    }
}

fn is_bare(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl fmt::Display for Name {
    /// As SQL writes it: bare where that reads back, quoted otherwise.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_bare(&self.0) && !self.0.bytes().any(|b| b.is_ascii_uppercase()) {
            f.write_str(&self.0)
        } else {
            write!(f, "\"{}\"", self.0.replace('"', "\"\""))
        }
    }
}

impl std::str::FromStr for Name {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_prints_and_reads_back(text in "[^\\p{Cc}]{1,30}") {
            let name = Name::new(text).unwrap();
            prop_assert_eq!(Name::parse(&name.to_string()).unwrap(), name);
        }
    }

    #[test]
    fn bare_names_fold_and_quoted_names_stay() {
        assert_eq!(Name::parse("Landing_EU").unwrap().as_str(), "landing_eu");
        assert_eq!(Name::parse("\"Landing \"\"EU\"\"\"").unwrap().as_str(), "Landing \"EU\"");
        assert!(Name::parse("9lives").is_err() && Name::parse("").is_err());
        assert!(Name::parse("\"a\"b\"").is_err());
        assert!(Name::parse("public").unwrap().not_reserved().is_err());
    }
}
