//! The passwords of locked workbooks: options name secrets, never passwords.

use crate::format::{Declared, content};
use crate::resolve::Resolver;
use windlass_types::{Error, ErrorCode, OptionMap, OptionValue, Result};

impl Declared {
    /// Takes the passwords that the options name out of where they are kept.
    pub(crate) async fn unlock(&mut self, resolver: &dyn Resolver) -> Result<()> {
        if let Some(name) = &self.password_secret {
            self.xlsx.password = Some(resolver.secret(name).await.map_err(without_name)?);
        }
        Ok(())
    }
}

/// The secret that these options name.
pub fn password_secret(options: &OptionMap) -> Option<&str> {
    content(options).into_iter().find_map(|(name, value)| match value {
        OptionValue::Text(secret) | OptionValue::Word(secret) if name == "PASSWORD_SECRET" => {
            Some(secret.as_str())
        }
        _ => None,
    })
}

/// An error of finding a secret, which may be the password itself: who wrote that does not see it again.
pub fn without_name(error: Error) -> Error {
    match error.code() {
        ErrorCode::SecretNotFound | ErrorCode::NameInvalid | ErrorCode::UsageInvalid => {
            Error::new(ErrorCode::SecretNotFound, "PASSWORD_SECRET names no secret").hint(
                "it takes the name of a secret, not the password: CREATE SECRET book = '...', then PASSWORD_SECRET = 'book'",
            )
        }
        _ => error,
    }
}
