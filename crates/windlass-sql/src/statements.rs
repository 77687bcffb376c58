//! The grammar: one function for each word that begins a statement of ours.

mod catalog;
mod crawl;
mod jobs;
mod schedule;
mod views;
mod write;

use crate::ParseMode;
use crate::ast::{
    DescribeTarget, FilesPlace, SecretInput, SecretText, Statement, TableName, WriteTo,
};
use crate::help::{ENGINE_OBJECTS, ENGINE_SHOWS, ENGINE_STATEMENTS};
use crate::lex::Tok;
use crate::parser::{Parser, Thing, Want, error_at, located};
use sqlparser::tokenizer::Token;
use windlass_types::options::{FILE_TABLE_OPTIONS, MASK};
use windlass_types::{ConnectionKind, ErrorCode, Result};

impl Parser<'_> {
    pub(crate) fn statement(&mut self) -> Result<Statement> {
        let statement = if self.word("CREATE") {
            self.create()?
        } else if self.word("ALTER") {
            self.alter()?
        } else if self.word("DROP") {
            self.drop_()?
        } else if self.word("SHOW") {
            self.show()?
        } else if self.word("DESCRIBE") || self.word("DESC") {
            self.describe()?
        } else if self.word("TEST") {
            self.advise("write TEST CONNECTION name");
            self.need_word("CONNECTION")?;
            let name = self.name(Want::Name(Thing::Connection))?;
            Statement::Test { name, write: self.words(&["WITH", "WRITE"]) }
        } else if self.word("LIST") {
            self.list()?
        } else if self.word("USE") {
            self.advise("write USE FABRIC name");
            self.need_word("FABRIC")?;
            Statement::UseFabric { name: self.name(Want::Name(Thing::Fabric))? }
        } else if let Some(statement) = self.search()? {
            statement
        } else if let Some(statement) = self.crawl_statement()? {
            statement
        } else if let Some(statement) = self.look()? {
            statement
        } else if let Some(statement) = self.files_statement()? {
            statement
        } else if let Some(statement) = self.write_statement()? {
            statement
        } else if let Some(statement) = self.job_verb()? {
            statement
        } else {
            return self.engine_statement();
        };
        if !matches!(statement, Statement::Engine(_)) {
            self.need_end()?;
        }
        Ok(statement)
    }

    /// Passes the text on.
    fn engine(&mut self) -> Statement {
        self.pos = self.tokens.len();
        self.want(Want::Engine);
        Statement::Engine(self.source.to_owned())
    }

    fn engine_statement(&mut self) -> Result<Statement> {
        let inside = self.tokens.iter().find(|tok| tok.token != Token::LParen);
        let query = ["SELECT", "WITH", "VALUES", "TABLE", "FROM"];
        if self.peek().is_some_and(|tok| tok.token == Token::LParen)
            && inside.is_none_or(|tok| query.iter().any(|word| tok.is(word)))
        {
            return Ok(self.engine());
        }
        for word in ENGINE_STATEMENTS {
            if self.word(word) {
                return Ok(self.engine());
            }
        }
        self.sensitive = true; // what it was meant to be is not known
        let Some(tok) = self.peek() else { return Err(self.fail()) };
        let known: Vec<&str> = self
            .wanted
            .iter()
            .filter_map(|want| if let Want::Keyword(word) = want { Some(*word) } else { None })
            .collect();
        let near = tok.bare().and_then(|word| windlass_types::options::nearest(word, &known));
        let did_you_mean = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
        // A plain word is quoted; anything else may be a value that a missing `;` or quote has cut off.
        let shown = match tok.bare() {
            Some(word) if word.len() <= 20 && word.bytes().all(|b| b.is_ascii_alphabetic()) => {
                format!("`{word}`")
            }
            _ => self.shown(tok),
        };
        let error = self.error_here(&format!("no statement begins with {shown}"));
        Err(error.hint(format!("{did_you_mean}statements begin with {}", known.join(", "))))
    }

    /// Whether CREATE, ALTER or DROP names an object of the engine's.
    fn engine_object(&mut self) -> bool {
        ENGINE_OBJECTS.iter().any(|word| self.word(word))
    }

    fn create(&mut self) -> Result<Statement> {
        let replace_at = self.place();
        let or_replace = self.words(&["OR", "REPLACE"]);
        if let Some(kind) = self.connection_kind() {
            return self.create_connection(kind, or_replace, replace_at);
        }
        if self.word("JOB") {
            return self.create_job(or_replace, replace_at);
        }
        if let Some(statement) = self.create_view(or_replace, replace_at)? {
            return Ok(statement);
        }
        let ours = ["SECRET", "FILE", "SCHEMA", "FABRIC"];
        if or_replace && self.peek().is_some_and(|tok| ours.iter().any(|word| tok.is(word))) {
            return Err(error_at(
                replace_at,
                ErrorCode::SqlSyntax,
                "OR REPLACE is only for connections, jobs, views and temporary tables",
            )
            .hint("leave it out; ALTER SECRET gives a secret a new value"));
        }
        if self.word("SECRET") {
            self.sensitive = true;
            let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
            let name = self.name(Want::New(Thing::Secret))?;
            return Ok(Statement::CreateSecret {
                if_not_exists,
                name,
                source: self.secret_input()?,
            });
        }
        if self.words(&["FILE", "TABLE"]) {
            return self.create_file_table();
        }
        if self.word("SCHEMA") {
            let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
            let place = self.place();
            let name = self.name(Want::New(Thing::Schema))?;
            // `main` exists already, which is for the caller to say.
            if name.as_str() != "main" {
                name.clone().not_reserved().map_err(|error| located(&error, place))?;
            }
            self.advise("a schema is made in the fabric in use; its name has one part");
            return Ok(Statement::CreateSchema { if_not_exists, name });
        }
        if self.word("FABRIC") {
            let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
            return Ok(Statement::CreateFabric {
                if_not_exists,
                name: self.new_name(Thing::Fabric)?,
            });
        }
        self.kind_is_missing(
            "say which kind: CREATE S3 CONNECTION, AZURE_BLOB, GCS, LOCAL, SFTP, FTP, WEBDAV or HTTP",
        );
        if self.engine_object() { Ok(self.engine()) } else { Err(self.object_error()) }
    }

    /// CONNECTION without its kind, or of an unknown kind.
    fn kind_is_missing(&mut self, hint: &'static str) {
        let bare = self.peek().is_some_and(|tok| tok.is("CONNECTION"));
        let unknown = self.peek_at(1).is_some_and(|tok| tok.is("CONNECTION"));
        if bare || unknown {
            self.advise(hint);
        }
    }

    /// The error for an object nobody knows.
    fn object_error(&mut self) -> windlass_types::Error {
        self.sensitive = true; // what it was meant to be is not known
        self.fail()
    }

    fn connection_kind(&mut self) -> Option<ConnectionKind> {
        ConnectionKind::ALL.iter().copied().find(|kind| self.words(&[kind.as_str(), "CONNECTION"]))
    }

    fn create_connection(
        &mut self,
        kind: ConnectionKind,
        or_replace: bool,
        replace_at: crate::lex::Place,
    ) -> Result<Statement> {
        self.sensitive = true;
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        if or_replace && if_not_exists {
            return Err(error_at(
                replace_at,
                ErrorCode::SqlSyntax,
                "OR REPLACE and IF NOT EXISTS contradict each other",
            )
            .hint("keep one of the two"));
        }
        let name = self.new_name(Thing::Connection)?;
        self.name_is_sound();
        let options = self.settings(kind.options())?;
        Ok(Statement::CreateConnection { or_replace, if_not_exists, kind, name, options })
    }

    /// A name is one only if what follows fits; otherwise it may be a value gone astray.
    fn name_is_sound(&mut self) {
        // A quote that went astray may have put half a statement into it.
        let odd = matches!(self.tokens.get(self.pos.wrapping_sub(1)).map(|tok| &tok.token),
            Some(Token::Word(word)) if word.quote_style.is_some() && word.value.contains(['\'', '=']));
        if !odd && (self.at_end() || self.peek().and_then(Tok::bare).is_some()) {
            self.sound = self.pos;
        }
    }

    fn secret_input(&mut self) -> Result<SecretInput> {
        self.advise("write = 'value', FROM ENV 'VARIABLE' or FROM FILE 'path' after the name");
        if self.symbol(&Token::Eq, "=") {
            self.sound = self.pos;
            let (place, at) = (self.place(), self.pos);
            let text = self.text("a text")?;
            self.secrets.push(self.tokens[at].range.clone());
            self.advise("a quote inside a text is written twice: `''`");
            let wrong = match text.as_str() {
                "" => Some(("a secret cannot be empty", "leave it out where it is not needed")),
                MASK if self.mode == ParseMode::Strict => {
                    Some(("this is the mask, not a value", "give the value again"))
                }
                _ => None,
            };
            if let Some((what, hint)) = wrong {
                let problem = error_at(place, ErrorCode::OptionInvalid, what).hint(hint);
                self.note(problem);
            }
            return Ok(SecretInput::Literal(SecretText::new(text)));
        }
        if !self.word("FROM") {
            return Err(self.fail());
        }
        self.sound = self.pos;
        if self.word("FILE") {
            return Ok(SecretInput::File(self.text("a path in single quotes")?));
        }
        self.need_word("ENV")?;
        // The name of a variable keeps its case, bare too.
        if let Some(variable) = self.peek().and_then(Tok::bare) {
            self.pos += 1;
            return Ok(SecretInput::Env(variable.to_owned()));
        }
        Ok(SecretInput::Env(self.text("the name of an environment variable")?))
    }

    fn create_file_table(&mut self) -> Result<Statement> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.new_table()?;
        self.need_word("ON")?;
        let connection = self.name(Want::Name(Thing::Connection))?;
        self.need_word("LOCATION")?;
        self.need_eq()?;
        let location = self.text("a path such as 's3://bucket/prefix/*.parquet'")?;
        self.symbol(&Token::Comma, ",");
        if self.query_follows() {
            let place = FilesPlace { connection, location };
            return self.table_of_query(WriteTo::Table { if_not_exists, name, place });
        }
        let (options, columns) = self.options_and_columns(FILE_TABLE_OPTIONS)?;
        Ok(Statement::CreateFileTable {
            if_not_exists,
            name,
            connection,
            location,
            options,
            columns,
        })
    }

    pub(crate) fn table_name(&mut self, want: Want) -> Result<TableName> {
        let table = self.name(want.clone())?;
        if !self.symbol(&Token::Period, ".") {
            return Ok(TableName { schema: None, table });
        }
        let name = TableName { schema: Some(table), table: self.name(want)? };
        self.advise("write `schema.table`; the fabric is the one in use");
        Ok(name)
    }

    fn alter(&mut self) -> Result<Statement> {
        if let Some(kind) = self.connection_kind() {
            self.sensitive = true;
            let name = self.name(Want::Name(Thing::Connection))?;
            self.name_is_sound();
            self.advise("write SET option = value, or RESET option");
            let changes = self.changes(kind.options())?;
            return Ok(Statement::AlterConnection { kind, name, changes });
        }
        if self.word("SECRET") {
            self.sensitive = true;
            let name = self.name(Want::Name(Thing::Secret))?;
            return Ok(Statement::AlterSecret { name, source: self.secret_input()? });
        }
        if self.word("JOB") {
            return self.alter_job();
        }
        if self.word("CONTAINER") {
            return self.alter_container();
        }
        self.kind_is_missing(
            "say which kind: ALTER S3 CONNECTION, AZURE_BLOB, GCS, LOCAL, SFTP, FTP, WEBDAV or HTTP",
        );
        if self.engine_object() { Ok(self.engine()) } else { Err(self.object_error()) }
    }

    fn drop_(&mut self) -> Result<Statement> {
        const IF_EXISTS: &[&str] = &["IF", "EXISTS"];
        if self.word("CONNECTION") {
            let if_exists = self.words(IF_EXISTS);
            return Ok(Statement::DropConnection {
                if_exists,
                name: self.name(Want::Name(Thing::Connection))?,
            });
        }
        if self.word("SECRET") {
            let if_exists = self.words(IF_EXISTS);
            return Ok(Statement::DropSecret {
                if_exists,
                name: self.name(Want::Name(Thing::Secret))?,
            });
        }
        if self.word("JOB") {
            let if_exists = self.words(IF_EXISTS);
            return Ok(Statement::DropJob { if_exists, name: self.job()? });
        }
        if self.word("VIEW") {
            let if_exists = self.words(IF_EXISTS);
            return Ok(Statement::DropView {
                if_exists,
                name: self.table_name(Want::Name(Thing::Table))?,
            });
        }
        if self.words(&["FILE", "TABLE"]) || self.word("TABLE") {
            let if_exists = self.words(IF_EXISTS);
            return Ok(Statement::DropTable {
                if_exists,
                name: self.table_name(Want::Name(Thing::Table))?,
            });
        }
        if self.word("SCHEMA") {
            let if_exists = self.words(IF_EXISTS);
            let name = self.name(Want::Name(Thing::Schema))?;
            self.advise("a schema is dropped when it is empty");
            return Ok(Statement::DropSchema { if_exists, name });
        }
        if self.word("FABRIC") {
            let if_exists = self.words(IF_EXISTS);
            let name = self.name(Want::Name(Thing::Fabric))?;
            return Ok(Statement::DropFabric { if_exists, name });
        }
        if self
            .peek()
            .is_some_and(|tok| ConnectionKind::ALL.iter().any(|kind| tok.is(kind.as_str())))
        {
            self.advise("DROP does not need the kind: write DROP CONNECTION name");
        }
        if self.engine_object() { Ok(self.engine()) } else { Err(self.object_error()) }
    }

    fn show(&mut self) -> Result<Statement> {
        if self.words(&["CREATE", "CONNECTION"]) {
            return Ok(Statement::ShowCreate { name: self.name(Want::Name(Thing::Connection))? });
        }
        if self.words(&["CREATE", "JOB"]) {
            return Ok(Statement::ShowCreateJob { name: self.job()? });
        }
        if self.word("LINEAGE") {
            return self.lineage();
        }
        if self.word("MANIFEST") {
            return self.show_manifest();
        }
        if self.words(&["SCHEMA", "CHANGES"]) {
            let table = if self.word("FOR") {
                Some(self.table_name(Want::Name(Thing::Table))?)
            } else {
                None
            };
            return Ok(Statement::ShowSchemaChanges { table });
        }
        let dotted = self.peek_at(1).is_some_and(|tok| tok.token == Token::Period);
        let engines = self.words(&["CREATE", "TABLE"]) || self.words(&["CREATE", "VIEW"]);
        if self.peek().is_some_and(|tok| tok.is("CREATE")) && !dotted {
            self.pos += 1;
            self.advise("write SHOW CREATE CONNECTION name, or SHOW CREATE JOB name");
            return Err(self.fail());
        }
        if dotted || engines || ENGINE_SHOWS.iter().any(|word| self.word(word)) {
            return Ok(self.engine());
        }
        let mut words: Vec<String> = Vec::new();
        loop {
            if !words.is_empty() {
                self.want(Want::Keyword("LIKE"));
                self.want(Want::End);
                if self.at_end() || self.peek().is_some_and(|tok| tok.is("LIKE")) {
                    break;
                }
                if self.peek().is_some_and(|tok| tok.is("WHERE")) {
                    return Err(self.error_here("SHOW takes LIKE, not WHERE,").hint(format!(
                        "SELECT * FROM system.{} WHERE ... can do it",
                        words.join("_")
                    )));
                }
            }
            if self.peek().is_some_and(|tok| tok.bare().is_none()) {
                self.want(Want::Name(Thing::SystemTable));
                return Err(self.fail());
            }
            words.push(self.identifier(Want::Name(Thing::SystemTable))?);
        }
        let like =
            if self.word("LIKE") { Some(self.text("a pattern in single quotes")?) } else { None };
        Ok(Statement::Show { what: words.join("_"), like })
    }

    fn describe(&mut self) -> Result<Statement> {
        if self.word("CONNECTION") {
            let name = self.name(Want::Name(Thing::Connection))?;
            return Ok(Statement::Describe { target: DescribeTarget::Connection(name) });
        }
        if self.peek().is_some_and(|tok| tok.is("CONTAINER"))
            && self.peek_at(1).is_none_or(|tok| !matches!(tok.token, Token::Period))
        {
            self.need_word("CONTAINER")?;
            let name = self.container()?;
            return Ok(Statement::Describe { target: DescribeTarget::Container(name) });
        }
        self.want(Want::Keyword("CONTAINER"));
        if self.peek().is_some_and(|tok| tok.is("JOB"))
            && self.peek_at(1).is_none_or(|tok| tok.token != Token::Period)
        {
            self.need_word("JOB")?;
            return Ok(Statement::Describe { target: DescribeTarget::Job(self.job()?) });
        }
        self.want(Want::Keyword("JOB"));
        let query = |tok: &Tok| {
            tok.token == Token::LParen
                || ["SELECT", "WITH", "VALUES"].iter().any(|word| tok.is(word))
        };
        if self.peek().is_some_and(query) {
            return Ok(self.engine());
        }
        if let Some(call) = self.call()? {
            return Ok(Statement::Describe { target: DescribeTarget::Call(call) });
        }
        self.word("TABLE");
        self.want(Want::Name(Thing::Connection));
        let mut parts = vec![self.identifier(Want::Name(Thing::Table))?];
        while parts.len() < 4 && self.symbol(&Token::Period, ".") {
            let want = Want::Path(parts[parts.len() - 1].clone());
            parts.push(self.identifier(want)?);
        }
        self.advise("a path goes in double quotes: DESCRIBE connection.\"bucket/prefix/\"");
        Ok(Statement::Describe { target: DescribeTarget::Table(parts) })
    }

    fn list(&mut self) -> Result<Statement> {
        self.advise("write LIST connection.\"bucket/prefix/\"");
        let connection = self.name(Want::Name(Thing::Connection))?;
        self.advise("write LIST connection.\"bucket/prefix/\"");
        let path = if self.symbol(&Token::Period, ".") {
            self.advise("a path goes in double quotes: LIST connection.\"bucket/prefix/\"");
            self.identifier(Want::Path(connection.as_str().to_owned()))?
        } else {
            String::new()
        };
        self.advise("a path goes in double quotes: LIST connection.\"bucket/prefix/\"");
        let recursive = self.word("RECURSIVE");
        let limit = if self.word("LIMIT") { Some(self.count()?) } else { None };
        Ok(Statement::List { connection, path, recursive, limit })
    }
}
