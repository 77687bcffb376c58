//! Named secrets: used, never read back.

use crate::engine::Answer;
use crate::rows::done;
use crate::windlass::Windlass;
use chrono::Utc;
use secrecy::SecretString;
use windlass_sql::SecretInput;
use windlass_state::{FabricRow as Fabric, SecretOrigin, SecretRow};
use windlass_types::{Error, ErrorCode, Name, Result};

/// Largest secret, in bytes.
const MAX_SECRET: usize = 64 * 1024;

impl Windlass {
    /// The secret of this name, or an error that suggests the nearest.
    pub(crate) async fn secret(&self, fabric: &Fabric, name: &Name) -> Result<SecretRow> {
        let rows = self.inner.store.secrets(fabric.id).await?;
        if let Some(row) = rows.iter().find(|row| row.name == *name) {
            return Ok(row.clone());
        }
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let near = windlass_types::options::nearest(name.as_str(), &names)
            .map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        Err(Error::new(ErrorCode::SecretNotFound, format!("no secret `{}`", name.as_str()))
            .hint(format!("{near}`CREATE SECRET {name} FROM ENV 'VARIABLE'` makes it")))
    }

    pub(crate) async fn create_secret(
        &self,
        fabric: &Fabric,
        name: Name,
        if_not_exists: bool,
        source: SecretInput,
        remote: bool,
    ) -> Result<Answer> {
        let name = name.not_reserved()?;
        if self.inner.store.secrets(fabric.id).await?.iter().any(|row| row.name == name) {
            if if_not_exists {
                return Ok(done(
                    format!("secret `{}` exists; nothing changed", name.as_str()),
                    vec![],
                ));
            }
            return Err(Error::new(
                ErrorCode::SecretExists,
                format!("secret `{}` exists", name.as_str()),
            )
            .hint("use `ALTER SECRET` to give it another value"));
        }
        let (value, origin) = self.read_secret(&source, remote)?;
        self.inner.store.create_secret(fabric.id, &name, &value, origin, Utc::now()).await?;
        Ok(done(format!("secret `{}` created", name.as_str()), vec![]))
    }

    pub(crate) async fn alter_secret(
        &self,
        fabric: &Fabric,
        name: &Name,
        source: SecretInput,
        remote: bool,
    ) -> Result<Answer> {
        self.secret(fabric, name).await?;
        let (value, origin) = self.read_secret(&source, remote)?;
        self.inner.store.alter_secret(fabric.id, name, &value, origin, Utc::now()).await?;
        Ok(done(format!("secret `{}` altered", name.as_str()), vec![]))
    }

    pub(crate) async fn drop_secret(
        &self,
        fabric: &Fabric,
        name: &Name,
        if_exists: bool,
    ) -> Result<Answer> {
        match self.secret(fabric, name).await {
            Ok(_) => {}
            Err(error) if if_exists && error.code() == ErrorCode::SecretNotFound => {
                return Ok(done(format!("no secret `{}`; nothing changed", name.as_str()), vec![]));
            }
            Err(error) => return Err(error),
        }
        self.inner.store.drop_secret(fabric.id, name).await?;
        Ok(done(format!("secret `{}` dropped", name.as_str()), vec![]))
    }

    /// The value and where it came from. One line end at the end of a file is not part of it.
    fn read_secret(
        &self,
        source: &SecretInput,
        remote: bool,
    ) -> Result<(SecretString, SecretOrigin)> {
        let (value, origin) = match source {
            SecretInput::Literal(text) => (text.expose().to_owned(), SecretOrigin::Value),
            SecretInput::Env(_) | SecretInput::File(_) if remote => {
                return Err(Error::new(
                    ErrorCode::SecretSource,
                    "FROM ENV and FROM FILE read the machine of the server, which a client may not ask for",
                )
                .hint("send the value itself from standard input: `windlass sql -c -`"));
            }
            SecretInput::Env(variable) => {
                let value = (self.inner.settings.environment)(variable).ok_or_else(|| {
                    Error::new(
                        ErrorCode::SecretSource,
                        format!("the environment variable `{variable}` is not set"),
                    )
                    .hint("set it for the process that runs this statement")
                })?;
                (value, SecretOrigin::Env)
            }
            SecretInput::File(path) => {
                let value = std::fs::read_to_string(path).map_err(|error| {
                    Error::new(
                        ErrorCode::SecretSource,
                        format!("cannot read the secret file `{path}`"),
                    )
                    .source(error)
                    .hint("give the path of a text file this process may read")
                })?;
                let value = value.strip_suffix('\n').unwrap_or(&value);
                (value.strip_suffix('\r').unwrap_or(value).to_owned(), SecretOrigin::File)
            }
        };
        if value.is_empty() || value.len() > MAX_SECRET {
            return Err(Error::new(
                ErrorCode::SecretSource,
                format!("a secret has 1 to {MAX_SECRET} bytes; this one has {}", value.len()),
            )
            .hint("check where the value comes from"));
        }
        Ok((SecretString::from(value), origin))
    }
}
