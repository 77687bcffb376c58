//! Which of PostgreSQL's five-character states an error is, for programs that speak its protocol.

use crate::error::{ErrorClass, ErrorCode};

impl ErrorCode {
    /// The SQLSTATE of this code: the nearest of PostgreSQL's, so that drivers raise what they would
    /// raise for PostgreSQL. Codes without one of their own have that of their class.
    pub const fn sqlstate(self) -> &'static str {
        match self {
            Self::SqlSyntax => "42601",
            Self::SqlPlan => "42000",
            Self::SqlExecution => "22000",
            Self::StatementUnsupported => "0A000",
            Self::StatementTimeout | Self::Interrupted | Self::RunCancelled => "57014",
            Self::MemoryExceeded => "53200",
            Self::OptionInvalid | Self::UsageInvalid => "22023",
            Self::NameInvalid => "42602",
            Self::TableNotFound | Self::FormatEmpty => "42P01",
            Self::TableExists => "42P07",
            Self::SchemaNotFound => "3F000",
            Self::SchemaExists => "42P06",
            Self::SchemaInUse
            | Self::ConnectionInUse
            | Self::SecretInUse
            | Self::FabricInUse
            | Self::SchemaReserved => "2BP01",
            Self::FabricNotFound => "3D000",
            Self::FabricExists => "42P04",
            Self::ConnectionReadOnly => "25006",
            Self::ConnectionCredentials | Self::VaultKey => "28000",
            Self::ConnectionUnreachable | Self::ConnectionTimeout | Self::ConnectionFailed => {
                "08006"
            }
            Self::FormatInvalid => "22P04",
            Self::ObjectChanged => "40001",
            _ => match self.class() {
                ErrorClass::InvalidInput => "22023",
                ErrorClass::NotFound => "42704",
                ErrorClass::Conflict => "42710",
                ErrorClass::Denied => "42501",
                ErrorClass::Unavailable => "58000",
                ErrorClass::Internal => "XX000",
                ErrorClass::Interrupted => "57014",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_state_of_five_characters() {
        for code in ErrorCode::ALL {
            let state = code.sqlstate();
            assert!(state.len() == 5 && state.bytes().all(|b| b.is_ascii_alphanumeric()), "{code}");
            // Success and warnings are no errors.
            assert!(!state.starts_with("00") && !state.starts_with("01"), "{code}");
        }
    }
}
