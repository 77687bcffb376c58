//! `connection`: show and test what was defined.

use crate::commands::{Ending, sql};
use crate::session::Session;
use clap::{Args, Subcommand};
use windlass_types::Name;

/// Show and test connections.
#[derive(Debug, Args)]
pub struct Connection {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do with connections.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the connections
    #[command(after_help = "Examples:
  1. All:            windlass connection list
  2. For programs:   windlass connection list -o json")]
    List,
    /// Show the options of a connection; secrets are masked
    #[command(after_help = "Examples:
  1. Its options:                  windlass connection show landing
  2. The statement that makes it:  windlass connection show landing --sql")]
    Show {
        /// The connection
        name: Name,
        /// Print the statement that makes it
        #[arg(long)]
        sql: bool,
    },
    /// Test a connection step by step; exit 1 when a step fails
    #[command(after_help = "Examples:
  1. Read only:             windlass connection test landing
  2. Writing and deleting:  windlass connection test landing --write")]
    Test {
        /// The connection
        name: Name,
        /// Also write and delete a small object
        #[arg(long)]
        write: bool,
    },
}

/// `connection`.
pub async fn run(session: &Session, args: Connection) -> Ending {
    let statement = match args.verb {
        Verb::List => "SHOW CONNECTIONS".to_owned(),
        Verb::Show { name, sql: false } => format!("DESCRIBE CONNECTION {name}"),
        Verb::Show { name, sql: true } => format!("SHOW CREATE CONNECTION {name}"),
        Verb::Test { name, write: false } => format!("TEST CONNECTION {name}"),
        Verb::Test { name, write: true } => format!("TEST CONNECTION {name} WITH WRITE"),
    };
    sql::execute(session, &session.printer, &mut session.ctx(), &statement, false).await
}
