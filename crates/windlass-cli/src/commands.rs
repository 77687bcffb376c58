//! The commands, one file each: arguments in, engine and storage called, answer printed.

pub mod bucket;
pub mod cat;
pub mod completion;
pub mod connection;
pub mod copy;
pub mod crawl;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod du;
pub mod head;
pub mod job;
pub mod key;
pub mod ls;
pub mod policy;
pub mod presign;
pub mod rm;
pub mod serve;
pub mod sql;
pub mod stat;
pub mod sync;
pub mod undelete;
pub mod uploads;

use crate::failure::{Failure, Outcome};
use crate::session::Session;
use clap::Subcommand;
use std::io::ErrorKind;
use std::path::Path;
use windlass_types::{Error, ErrorCode};

/// How a command ends.
pub type Ending = Result<Outcome, Failure>;

/// The text of a file that the command line names.
async fn text_of(path: &Path) -> Result<String, Error> {
    tokio::fs::read_to_string(path).await.map_err(|error| {
        let (code, hint) = match error.kind() {
            ErrorKind::NotFound => {
                (ErrorCode::LocalNotFound, "the name is taken from the folder you are in")
            }
            ErrorKind::PermissionDenied => (ErrorCode::LocalDenied, "make it readable for you"),
            ErrorKind::InvalidData => (ErrorCode::FormatInvalid, "save it as UTF-8"),
            _ => (ErrorCode::LocalFailed, "name a text file"),
        };
        Error::new(code, format!("cannot read `{}`", path.display())).source(error).hint(hint)
    })
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run statements, or open a prompt
    Sql(sql::Sql),
    /// Show and test connections
    Connection(connection::Connection),
    /// Look at jobs, run them, read what their runs said
    Job(job::Job),
    /// Look at what is there, and keep it in the catalogue
    Crawl(crawl::Crawl),
    /// List buckets, folders and objects
    Ls(ls::Ls),
    /// Write objects to standard output
    Cat(cat::Cat),
    /// Show the beginning of an object
    Head(head::Head),
    /// Show what is known of one object
    Stat(stat::Stat),
    /// Sum up sizes
    Du(du::Du),
    /// Compare two places
    Diff(diff::Diff),
    /// Copy objects and files
    Cp(copy::Copy),
    /// Move objects and files
    Mv(copy::Move),
    /// Make a place like another
    Sync(sync::Sync),
    /// Delete objects
    Rm(rm::Rm),
    /// Bring back deleted objects of a versioned bucket
    Undelete(undelete::Undelete),
    /// List uploads that were never ended, and give them up
    Uploads(uploads::Uploads),
    /// Sign a URL that works without credentials
    Presign(presign::Presign),
    /// Make a bucket
    Mb(bucket::Make),
    /// Remove an empty bucket
    Rb(bucket::Remove),
    /// Print the least IAM policy that a connection needs
    Policy(policy::Policy),
    /// Check the installation
    Doctor(doctor::Doctor),
    /// The master key that seals secrets
    Key(key::Key),
    /// Answer over HTTP, and run jobs when their time comes
    Serve(serve::Serve),
    /// See everything work on sample data
    Demo(demo::Demo),
    /// Print a script with which a shell completes commands, connections and paths
    Completion(completion::Completion),
}

impl Command {
    /// As it is typed.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sql(_) => "sql",
            Self::Connection(_) => "connection",
            Self::Job(_) => "job",
            Self::Crawl(_) => "crawl",
            Self::Ls(_) => "ls",
            Self::Cat(_) => "cat",
            Self::Head(_) => "head",
            Self::Stat(_) => "stat",
            Self::Du(_) => "du",
            Self::Diff(_) => "diff",
            Self::Cp(_) => "cp",
            Self::Mv(_) => "mv",
            Self::Sync(_) => "sync",
            Self::Rm(_) => "rm",
            Self::Undelete(_) => "undelete",
            Self::Uploads(_) => "uploads",
            Self::Presign(_) => "presign",
            Self::Mb(_) => "mb",
            Self::Rb(_) => "rb",
            Self::Policy(_) => "policy",
            Self::Doctor(_) => "doctor",
            Self::Key(_) => "key",
            Self::Serve(_) => "serve",
            Self::Demo(_) => "demo",
            Self::Completion(_) => "completion",
        }
    }

    /// Whether it makes sense only in this process.
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::Serve(_) | Self::Demo(_) | Self::Key(_) | Self::Completion(_))
    }

    /// Whether it stops by itself when asked to, to leave things in order.
    pub(crate) const fn winds_down(&self) -> bool {
        matches!(self, Self::Cp(_) | Self::Mv(_) | Self::Sync(_) | Self::Serve(_) | Self::Crawl(_))
            || self.handles_interrupts()
    }

    /// Whether it looks after Ctrl-C itself when it has a terminal: the prompt.
    pub(crate) const fn handles_interrupts(&self) -> bool {
        match self {
            Self::Sql(sql) => sql.is_prompt(),
            Self::Demo(demo) => demo.prompt,
            _ => false,
        }
    }
}

/// `1 object`, `1,234 objects`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {what}{}", if number == 1 { "" } else { "s" })
}

/// Runs a command.
pub async fn run(session: &Session, command: Command) -> Ending {
    match command {
        Command::Sql(args) => sql::run(session, args).await,
        Command::Connection(args) => connection::run(session, args).await,
        Command::Job(args) => job::run(session, args).await,
        Command::Crawl(args) => crawl::run(session, args).await,
        Command::Ls(args) => ls::run(session, args).await,
        Command::Cat(args) => cat::run(session, args).await,
        Command::Head(args) => head::run(session, args).await,
        Command::Stat(args) => stat::run(session, args).await,
        Command::Du(args) => du::run(session, args).await,
        Command::Diff(args) => diff::run(session, args).await,
        Command::Cp(args) => copy::copy(session, args).await,
        Command::Mv(args) => copy::move_(session, args).await,
        Command::Sync(args) => sync::run(session, args).await,
        Command::Rm(args) => rm::run(session, args).await,
        Command::Undelete(args) => undelete::run(session, args).await,
        Command::Uploads(args) => uploads::run(session, args).await,
        Command::Presign(args) => presign::run(session, args).await,
        Command::Mb(args) => bucket::make(session, args).await,
        Command::Rb(args) => bucket::remove(session, args).await,
        Command::Policy(args) => policy::run(session, args).await,
        Command::Doctor(args) => doctor::run(session, args).await,
        Command::Key(args) => key::run(session, args).await,
        Command::Serve(args) => serve::run(session, args).await,
        Command::Demo(args) => demo::run(session, args).await,
        Command::Completion(args) => completion::run(session, &args),
    }
}

#[cfg(test)]
mod tests;
