//! Who may come in: the password file, TLS, and what an address asks for.

use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramAuth, gen_salted_password};
use pgwire::api::auth::{AuthSource, LoginInfo, Password};
use pgwire::error::PgWireResult;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use windlass_types::{Error, ErrorCode, Result};

/// Bytes of a salt.
const SALT: usize = 16;

/// How the door is kept.
#[derive(Debug, Clone, Default)]
pub struct PgOptions {
    /// Lines `user:password`. Without it any user enters, which only loopback allows.
    pub password_file: Option<PathBuf>,
    /// Certificates in PEM, the server's own first.
    pub tls_certificate: Option<PathBuf>,
    /// Its private key in PEM.
    pub tls_key: Option<PathBuf>,
}

/// The door of one listener.
pub(crate) struct Door {
    pub(crate) scram: Option<Arc<ScramAuth>>,
    pub(crate) tls: Option<TlsAcceptor>,
    /// Others than this machine can reach it: nobody enters without TLS.
    pub(crate) open: bool,
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::ServerListen, message)
}

impl Door {
    /// Checks that the options fit the address.
    pub(crate) fn new(address: SocketAddr, options: &PgOptions) -> Result<Self> {
        let open = !address.ip().is_loopback();
        let tls = match (&options.tls_certificate, &options.tls_key) {
            (Some(certificate), Some(key)) => Some(acceptor(certificate, key)?),
            (None, None) => None,
            _ => {
                return Err(refused("a certificate and its key go together")
                    .hint("give both `--pg-tls-cert FILE` and `--pg-tls-key FILE`"));
            }
        };
        if open && (options.password_file.is_none() || tls.is_none()) {
            return Err(refused(format!(
                "`{address}` can be reached by others: passwords and TLS are required there"
            ))
            .hint("give `--pg-password-file FILE`, `--pg-tls-cert FILE` and `--pg-tls-key FILE`, or listen on 127.0.0.1"));
        }
        let scram = match &options.password_file {
            None => None,
            Some(file) => {
                let mut scram = ScramAuth::new(Arc::new(Users::read(file)?));
                // Channel binding, where the certificate is of a kind it is defined for.
                if let Some(certificate) = &options.tls_certificate
                    && let Ok(pem) = std::fs::read(certificate)
                {
                    let _ = scram.configure_certificate(&pem);
                }
                Some(Arc::new(scram))
            }
        };
        Ok(Self { scram, tls, open })
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor> {
    let unreadable = |path: &Path, what: &str| {
        refused(format!("`{}` cannot be read as {what} in PEM", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificate, "certificates").source(error))?;
    if chain.is_empty() {
        return Err(unreadable(certificate, "certificates"));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable(key, "a private key").source(error))?;
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| refused("the certificate and its key do not fit").source(error))?;
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Users and what proves them.
struct Users {
    salted: HashMap<String, (Vec<u8>, Vec<u8>)>,
    /// Makes salts of users that are not there: always the same ones, so that nobody learns who is.
    unknown: RandomState,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users").field("users", &self.salted.len()).finish_non_exhaustive()
    }
}

impl Users {
    fn read(file: &Path) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let shown = file.display();
        let unreadable = |error: std::io::Error| {
            refused(format!("the password file `{shown}` cannot be read")).source(error)
        };
        let mode = std::fs::metadata(file).map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(refused(format!("others may read the password file `{shown}`"))
                .hint(format!("run `chmod 600 {shown}`")));
        }
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        let unknown = RandomState::new();
        let mut salted = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, password) = line
                .split_once(':')
                .filter(|(user, password)| !user.is_empty() && !password.is_empty())
                .ok_or_else(|| {
                    refused(format!(
                        "line {} of the password file `{shown}` is not one",
                        number + 1
                    ))
                    .hint("write `user:password`, a line each; `#` begins a comment")
                })?;
            let salt: [u8; SALT] = RandomState::new().salt(user);
            let proof = gen_salted_password(password, &salt, SCRAM_ITERATIONS);
            salted.insert(user.to_owned(), (salt.to_vec(), proof));
        }
        if salted.is_empty() {
            return Err(refused(format!("the password file `{shown}` names nobody"))
                .hint("write `user:password`, a line each"));
        }
        Ok(Self { salted, unknown })
    }
}

/// Sixteen bytes that a secret state makes of a name.
trait Salt {
    fn salt(&self, name: &str) -> [u8; SALT];
}

impl Salt for RandomState {
    fn salt(&self, name: &str) -> [u8; SALT] {
        let mut salt = [0; SALT];
        salt[..8].copy_from_slice(&self.hash_one((0, name)).to_be_bytes());
        salt[8..].copy_from_slice(&self.hash_one((1, name)).to_be_bytes());
        salt
    }
}

#[async_trait::async_trait]
impl AuthSource for Users {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let user = login.user().unwrap_or_default();
        let (salt, proof) = self.salted.get(user).cloned().unwrap_or_else(|| {
            let salt = self.unknown.salt(user);
            // Nothing a client sends can match: a proof is of 32 bytes made from a password.
            let mut nobody = self.unknown.salt(&format!("{user}\0")).to_vec();
            nobody.extend(self.unknown.salt(&format!("\0{user}")));
            (salt.to_vec(), nobody)
        });
        Ok(Password::new(Some(salt), proof))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn said(address: &str, options: &PgOptions) -> String {
        match Door::new(address.parse().unwrap(), options) {
            Ok(_) => "opens".to_owned(),
            Err(error) => format!("{}; {}", error.message(), error.hint_text().unwrap_or_default()),
        }
    }

    #[test]
    fn a_door_to_others_needs_passwords_and_tls() {
        let passwords = file("# people\nada:lovelace\n", 0o600);
        let with = |file: &tempfile::NamedTempFile| PgOptions {
            password_file: Some(file.path().to_owned()),
            ..PgOptions::default()
        };
        assert_eq!(said("127.0.0.1:5432", &PgOptions::default()), "opens");
        assert_eq!(said("[::1]:5432", &with(&passwords)), "opens");
        assert!(said("0.0.0.0:5432", &PgOptions::default()).contains("passwords and TLS"));
        assert!(said("0.0.0.0:5432", &with(&passwords)).contains("--pg-tls-cert"));
        assert!(said("127.0.0.1:1", &with(&file("ada:x", 0o644))).contains("chmod 600"));
        assert!(said("127.0.0.1:1", &with(&file("ada", 0o600))).contains("line 1"));
        assert!(said("127.0.0.1:1", &with(&file("\n", 0o600))).contains("names nobody"));
    }
}
