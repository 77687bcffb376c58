//! The ways anything in Windlass can go wrong, in one table.
//!
//! A code is a stable dotted word; its class decides HTTP status, exit code and whether trying
//! again can help. `Display` never prints the source: the edge prints the chain once.

use std::error::Error as StdError;
use std::fmt;

/// A result of this workspace.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Fix the request and send it again.
    InvalidInput,
    /// The named thing is not here.
    NotFound,
    /// It is already here, in use, or changed under you.
    Conflict,
    /// Who you are does not allow it; for S3, whose credentials.
    Denied,
    /// The same request may succeed later.
    Unavailable,
    /// Our bug.
    Internal,
    /// Somebody asked for it to stop.
    Interrupted,
}

impl ErrorClass {
    /// Status for the HTTP API.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidInput => 400,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Denied => 403,
            Self::Unavailable => 503,
            Self::Internal => 500,
            Self::Interrupted => 499,
        }
    }

    /// Exit code of the command line: 1 the user's, 2 ours or the world's.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::InvalidInput | Self::NotFound | Self::Conflict | Self::Denied => 1,
            Self::Unavailable | Self::Internal => 2,
            Self::Interrupted => 130,
        }
    }

    /// Whether trying again, unchanged, can help.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable)
    }

    /// Name used in the documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid input",
            Self::NotFound => "not found",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::Interrupted => "interrupted",
        }
    }
}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $class:ident;)+) => {
        /// A stable word for one kind of failure. Add one only when a caller must act differently.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode { $($(#[doc = $doc])+ $variant,)+ }

        impl ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The dotted word, such as `connection.denied`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The class it belongs to.
            pub const fn class(self) -> ErrorClass {
                match self { $(Self::$variant => ErrorClass::$class,)+ }
            }

            /// One line for the reference.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }

        impl std::str::FromStr for ErrorCode {
            type Err = ();
            fn from_str(text: &str) -> std::result::Result<Self, ()> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(()) }
            }
        }
    };
}

error_codes! {
    /// The statement could not be read.
    SqlSyntax = "sql.syntax", InvalidInput;
    /// The statement is understood but cannot be planned: an unknown column, a wrong type.
    SqlPlan = "sql.plan", InvalidInput;
    /// The statement failed while it ran.
    SqlExecution = "sql.execution", InvalidInput;
    /// The command line, or a request to the server, is not understood.
    UsageInvalid = "usage.invalid", InvalidInput;
    /// An option is unknown, repeated, ill-typed or contradicts another.
    OptionInvalid = "option.invalid", InvalidInput;
    /// A name breaks the rules for names.
    NameInvalid = "name.invalid", InvalidInput;
    /// A path, URL or pattern cannot be read, or does not fit where it stands.
    PathInvalid = "path.invalid", InvalidInput;
    /// The path lies outside the bucket or folder the connection is bound to.
    PathOutside = "path.outside", Denied;
    /// No connection of that name.
    ConnectionNotFound = "connection.not_found", NotFound;
    /// A connection of that name exists.
    ConnectionExists = "connection.exists", Conflict;
    /// Other things still depend on the connection.
    ConnectionInUse = "connection.in_use", Conflict;
    /// Somebody else changed the connection since it was read.
    ConnectionChanged = "connection.changed", Conflict;
    /// The connection was tested and a required step failed.
    ConnectionUntested = "connection.test_failed", Denied;
    /// The service refused what was asked with these credentials.
    ConnectionDenied = "connection.denied", Denied;
    /// No credentials were found, or they are wrong or expired.
    ConnectionCredentials = "connection.credentials", Denied;
    /// The connection is `READ_ONLY` and the request would have written.
    ConnectionReadOnly = "connection.read_only", Denied;
    /// The service could not be reached: name, network, TLS, proxy.
    ConnectionUnreachable = "connection.unreachable", Unavailable;
    /// The service took too long.
    ConnectionTimeout = "connection.timeout", Unavailable;
    /// The service asked to slow down, or failed on its side, more often than we retry.
    ConnectionBusy = "connection.busy", Unavailable;
    /// The service does not take the request as it was sent.
    ConnectionRejected = "connection.rejected", InvalidInput;
    /// The service answered with something unexpected.
    ConnectionFailed = "connection.failed", Unavailable;
    /// No bucket of that name.
    BucketNotFound = "bucket.not_found", NotFound;
    /// The bucket exists already, or is not empty.
    BucketConflict = "bucket.conflict", Conflict;
    /// No object with that key.
    ObjectNotFound = "object.not_found", NotFound;
    /// The object changed while it was being read or copied, or exists already.
    ObjectChanged = "object.changed", Conflict;
    /// The bytes received or stored are not the bytes sent.
    ObjectCorrupt = "object.corrupt", Unavailable;
    /// The object is archived and must be restored first.
    ObjectArchived = "object.archived", Conflict;
    /// No secret of that name.
    SecretNotFound = "secret.not_found", NotFound;
    /// A secret of that name exists.
    SecretExists = "secret.exists", Conflict;
    /// A connection still uses the secret.
    SecretInUse = "secret.in_use", Conflict;
    /// The environment variable or file a secret should come from cannot be read.
    SecretSource = "secret.source", InvalidInput;
    /// The master key is missing or is not the one the store was sealed with.
    VaultKey = "vault.key", InvalidInput;
    /// A sealed value does not open: it was changed or moved.
    VaultCorrupt = "vault.corrupt", Internal;
    /// No table, file table or system table of that name.
    TableNotFound = "table.not_found", NotFound;
    /// A table of that name exists.
    TableExists = "table.exists", Conflict;
    /// The catalogue has no container of that name.
    ContainerNotFound = "container.not_found", NotFound;
    /// No schema of that name.
    SchemaNotFound = "schema.not_found", NotFound;
    /// A schema of that name exists.
    SchemaExists = "schema.exists", Conflict;
    /// The schema still holds tables.
    SchemaInUse = "schema.in_use", Conflict;
    /// The schema always is there.
    SchemaReserved = "schema.reserved", Conflict;
    /// No fabric of that name.
    FabricNotFound = "fabric.not_found", NotFound;
    /// A fabric of that name exists.
    FabricExists = "fabric.exists", Conflict;
    /// The statement or option is understood, but not done here.
    StatementUnsupported = "statement.unsupported", InvalidInput;
    /// The statement took longer than `statement_timeout`.
    StatementTimeout = "statement.timeout", Conflict;
    /// The query needed more memory than `memory_limit`, even with what it could move to disk.
    MemoryExceeded = "memory.exceeded", Unavailable;
    /// No job of that name.
    JobNotFound = "job.not_found", NotFound;
    /// A job of that name exists.
    JobExists = "job.exists", Conflict;
    /// Somebody else changed the job since it was read.
    JobChanged = "job.changed", Conflict;
    /// The job is already running, and its overlap rule says that one is enough.
    JobRunning = "job.running", Conflict;
    /// A schedule, a time zone or a calendar cannot be read, or never comes.
    ScheduleInvalid = "job.schedule", InvalidInput;
    /// No run of that id.
    RunNotFound = "run.not_found", NotFound;
    /// The run is not in a state that allows it: it has ended already.
    RunEnded = "run.ended", Conflict;
    /// The run was cancelled.
    RunCancelled = "run.cancelled", Interrupted;
    /// The run took longer than its time limit.
    RunTimeLimit = "run.time_limit", Conflict;
    /// Another process took the run over.
    RunLost = "run.lost", Unavailable;
    /// An alert could not be delivered, or may not go there.
    AlertFailed = "alert.failed", Unavailable;
    /// The fabric still holds something, or is the one that always is.
    FabricInUse = "fabric.in_use", Conflict;
    /// A file cannot be read as the format it should have.
    FormatInvalid = "format.invalid", InvalidInput;
    /// What is to be written does not fit the format.
    FormatUnwritable = "format.unwritable", InvalidInput;
    /// No file matches.
    FormatEmpty = "format.no_files", NotFound;
    /// A manifest or a workflow file is not what it should be; the error names line and key.
    DocumentInvalid = "document.invalid", InvalidInput;
    /// A local file or folder is not there.
    LocalNotFound = "local.not_found", NotFound;
    /// A local file or folder may not be read or written.
    LocalDenied = "local.denied", Denied;
    /// Reading or writing a local file failed.
    LocalFailed = "local.failed", Unavailable;
    /// Every item of a transfer failed.
    TransferFailed = "transfer.failed", Denied;
    /// A transfer would do what it may not: write names the destination cannot have, delete more
    /// than allowed.
    TransferRefused = "transfer.refused", Conflict;
    /// Some items of a transfer failed.
    TransferPartial = "transfer.partial", Unavailable;
    /// The store of state cannot be opened, read or written.
    StateFailed = "state.failed", Unavailable;
    /// The store was made by a newer Windlass.
    StateNewer = "state.newer", InvalidInput;
    /// The home folder cannot be used.
    HomeInvalid = "home.invalid", InvalidInput;
    /// The server could not be reached or did not answer as a Windlass server does.
    ServerUnreachable = "server.unreachable", Unavailable;
    /// The server may not listen there.
    ServerListen = "server.listen", InvalidInput;
    /// A check of the installation failed.
    DoctorFailed = "doctor.failed", InvalidInput;
    /// Interrupted.
    Interrupted = "interrupted", Interrupted;
    /// A bug in Windlass.
    Internal = "internal", Internal;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What happened (`Display`), why (`source`), what to do (`hint`), and a word for machines (`code`).
///
/// Boxed inside, so that a `Result` stays small. Never put a secret into any part of it.
pub struct Error(Box<Inner>);

struct Inner {
    code: ErrorCode,
    message: String,
    hint: Option<String>,
    source: Option<Source>,
}

impl Error {
    /// An error of `code`; `message` in lower case, without a full stop, values in backticks.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { code, message: message.into(), hint: None, source: None }))
    }

    /// Adds what the person can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// Whether it says that an object, a file or a folder is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self.code(), ErrorCode::ObjectNotFound | ErrorCode::LocalNotFound)
    }

    /// The class of the code.
    pub fn class(&self) -> ErrorClass {
        self.0.code.class()
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do, where we have advice.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The causes, outermost first; consecutive repetitions are dropped.
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = StdError::source(self);
        while let Some(cause) = next {
            let text = one_line(&cause.to_string());
            if !text.is_empty() && causes.last().is_none_or(|last| !last.contains(&text)) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }

    /// Message and causes on one line.
    pub fn chain(&self) -> String {
        let mut text = one_line(&self.0.message);
        for cause in self.causes() {
            text.push_str(": ");
            text.push_str(&cause);
        }
        text
    }

    /// Removes `secret` from every part: for text that came from elsewhere and may quote it.
    #[must_use]
    pub fn without(mut self, secret: &str) -> Self {
        if secret.len() < 4 || !self.chain().contains(secret) {
            return self;
        }
        let causes: Vec<String> =
            self.causes().into_iter().map(|cause| cause.replace(secret, "***")).collect();
        self.0.message = self.0.message.replace(secret, "***");
        self.0.hint = self.0.hint.map(|hint| hint.replace(secret, "***"));
        self.0.source = causes.into_iter().rev().fold(None, |inner: Option<Source>, text| {
            Some(Box::new(Cause { text, inner }) as Source)
        });
        self
    }
}

/// A cause that has lost its type: from another process, or after a secret was cut out.
#[derive(Debug)]
struct Cause {
    text: String,
    inner: Option<Source>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.as_deref().map(|inner| inner as _)
    }
}

fn one_line(text: &str) -> String {
    text.split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.0.code, self.chain())?;
        if let Some(hint) = &self.0.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The error as other programs read it: `{"error": {code, message, causes, hint}}`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ErrorBody {
    /// The code's dotted word.
    pub code: String,
    /// What happened.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl From<&Error> for ErrorBody {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code().to_string(),
            message: error.message().to_owned(),
            causes: error.causes(),
            hint: error.hint_text().map(str::to_owned),
        }
    }
}

impl From<ErrorBody> for Error {
    fn from(body: ErrorBody) -> Self {
        let code = body.code.parse().unwrap_or(ErrorCode::Internal);
        let source = body.causes.into_iter().rev().fold(None, |inner: Option<Source>, text| {
            Some(Box::new(Cause { text, inner }) as Source)
        });
        Self(Box::new(Inner { code, message: body.message, hint: body.hint, source }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_prints_its_chain_once_and_its_hint() {
        let error = Error::new(ErrorCode::ObjectNotFound, "no object `a`")
            .source(std::io::Error::other("404\n  NoSuchKey"))
            .hint("list the bucket");
        insta::assert_snapshot!(format!("{error:?}"), @r"
        error[object.not_found]: no object `a`: 404 NoSuchKey
        hint: list the bucket
        ");
    }

    #[test]
    fn every_code_is_unique_and_reads_back() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert!(!ErrorCode::ALL[..index].iter().any(|other| other.as_str() == code.as_str()));
            assert!(!code.doc().trim().is_empty());
        }
    }

    #[test]
    fn a_secret_is_cut_out_of_every_part() {
        let error = Error::new(ErrorCode::Internal, "sent hunter22")
            .source(std::io::Error::other("refused hunter22"))
            .hint("do not use hunter22")
            .without("hunter22");
        assert!(!format!("{error:?}").contains("hunter22"), "{error:?}");
        assert_eq!(error.causes(), ["refused ***"]);
    }

    #[test]
    fn an_error_survives_the_wire() {
        let error = Error::new(ErrorCode::PathOutside, "outside")
            .source(std::io::Error::other("because"))
            .hint("stay inside");
        let back = Error::from(ErrorBody::from(&error));
        assert_eq!(format!("{back:?}"), format!("{error:?}"));
    }
}
