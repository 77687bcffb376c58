//! What PostgreSQL's clients ask of `pg_catalog`: which statements those are, and what they see.
//!
//! Such statements are read by a parser of their own, which turns what only PostgreSQL knows (`'t'::regclass`,
//! `OPERATOR(pg_catalog.~)`) into what the engine knows. All others never come here.

mod catalog;
mod functions;

use crate::engine::{Engine, Session};
use crate::error::from_engine;
use crate::resolve::Resolver;
use arrow::array::ArrayRef;
use catalog::Fabric;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider as _};
use datafusion::common::{ScalarValue, TableReference};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::{PG_CATALOG_TABLES, PgCatalogStaticTables};
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use regex::Regex;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer, Word};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use windlass_types::{Error, ErrorCode, Result};

/// The schema of PostgreSQL's own tables.
pub(crate) const PG_CATALOG: &str = "pg_catalog";

/// What a statement is given besides its text.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Values of `$1`, `$2`, ...: arrays of one row.
    pub parameters: Vec<ArrayRef>,
    /// Who asks, for `current_user`.
    pub user: Option<String>,
    /// Parameters of the session, for `current_setting`.
    pub settings: Vec<(String, String)>,
}

/// All that catalogue queries share in a process; made when the first of them comes.
pub(crate) struct PgCatalog {
    template: SessionState,
    tables: Arc<PgCatalogStaticTables>,
    parser: PostgresCompatibilityParser,
    fabrics: Mutex<HashMap<String, Arc<Fabric>>>,
}

/// The [`PgCatalog`] of an engine.
#[derive(Default)]
pub(crate) struct Lazy(OnceLock<PgCatalog>);

impl Lazy {
    fn get(&self, template: &SessionState) -> Result<&PgCatalog> {
        if let Some(found) = self.0.get() {
            return Ok(found);
        }
        let made = PgCatalog::new(template)?;
        Ok(self.0.get_or_init(|| made))
    }
}

/// Pieces of well-known questions that the engine cannot plan, and what they come to here, where there
/// are no composite types, and functions are known by name.
static PIECES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"\(\s*select\s+c\.relkind\s*=\s*'c'\s+from\s+(?:pg_catalog\.)?pg_class\s+c\s+where\s+c\.oid\s*=\s*t\.typrelid\s*\)", "false"),
        (r"'(?:pg_catalog\.)?(\w+)'::(?:pg_catalog\.)?regproc\b", "'$1'"),
        // What PostgreSQL is built with; JDBC asks for it before it asks for keys.
        (r"select\s+setting\s+from\s+(?:pg_catalog\.)?pg_settings\s+where\s+name\s*=\s*'max_index_keys'", "SELECT '32' AS setting"),
    ]
    .into_iter()
    .filter_map(|(piece, here)| Some((Regex::new(&format!("(?is){piece}")).ok()?, here)))
    .collect()
});

/// Columns of JDBC's questions about keys and indexes, by words that only one of them holds. They unfold
/// arrays of records, which the engine cannot; and there is none of all that here.
const UNFOLDING: &[(&str, &[&str])] = &[
    (
        "pktable_cat",
        &[
            "PKTABLE_CAT",
            "PKTABLE_SCHEM",
            "PKTABLE_NAME",
            "PKCOLUMN_NAME",
            "FKTABLE_CAT",
            "FKTABLE_SCHEM",
            "FKTABLE_NAME",
            "FKCOLUMN_NAME",
            "KEY_SEQ",
            "UPDATE_RULE",
            "DELETE_RULE",
            "FK_NAME",
            "PK_NAME",
            "DEFERRABILITY",
        ],
    ),
    (
        "indisprimary",
        &["TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "COLUMN_NAME", "KEY_SEQ", "PK_NAME"],
    ),
    (
        "ordinal_position",
        &[
            "TABLE_CAT",
            "TABLE_SCHEM",
            "TABLE_NAME",
            "NON_UNIQUE",
            "INDEX_QUALIFIER",
            "INDEX_NAME",
            "TYPE",
            "ORDINAL_POSITION",
            "COLUMN_NAME",
            "ASC_OR_DESC",
            "CARDINALITY",
            "PAGES",
            "FILTER_CONDITION",
        ],
    ),
];

/// The statement with what the engine cannot plan replaced.
fn simplified(sql: &str) -> Cow<'_, str> {
    let lower = sql.to_ascii_lowercase();
    let unfolds = |word: &&str| lower.contains(*word);
    if ["_pg_expandarray", "pg_catalog.generate_series"].iter().any(unfolds)
        && let Some((_, columns)) = UNFOLDING.iter().find(|(word, _)| lower.contains(word))
    {
        let columns: Vec<String> =
            columns.iter().map(|name| format!("CAST(NULL AS text) AS {name}")).collect();
        return format!("SELECT {} WHERE false", columns.join(", ")).into();
    }
    PIECES.iter().fold(Cow::Borrowed(sql), |sql, (piece, here)| {
        if piece.is_match(&sql) { piece.replace_all(&sql, *here).into_owned().into() } else { sql }
    })
}

/// Special names without parentheses.
const REGISTERS: &[&str] =
    &["current_user", "current_catalog", "current_schema", "session_user", "current_role"];
/// Types of object ids.
const ID_TYPES: &[&str] =
    &["regclass", "regtype", "regproc", "regprocedure", "regnamespace", "regrole", "oid"];

/// Whether a statement asks what only the catalogue mode answers.
fn asks(sql: &str) -> bool {
    // Most statements are settled by their letters.
    let lower = sql.to_ascii_lowercase();
    let hints = ["pg_", "current_", "session_user", "version", "reg", "_privilege", "::oid"];
    if !hints.iter().any(|hint| lower.contains(hint))
        && !functions::NAMES.iter().any(|name| lower.contains(name))
    {
        return false;
    }
    let dialect = PostgreSqlDialect {};
    let Ok(tokens) = Tokenizer::new(&dialect, sql).tokenize() else { return false };
    let tokens: Vec<Token> =
        tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    tokens.iter().enumerate().any(|(at, token)| {
        let Token::Word(Word { value, quote_style, .. }) = token else { return false };
        if quote_style.is_some() {
            return value == PG_CATALOG;
        }
        let word = value.to_ascii_lowercase();
        let next = tokens.get(at + 1);
        let after_dot = at > 0 && tokens[at - 1] == Token::Period;
        word == PG_CATALOG
            || (PG_CATALOG_TABLES.contains(&word.as_str()) && !after_dot)
            || (REGISTERS.contains(&word.as_str()) && !after_dot)
            || (ID_TYPES.contains(&word.as_str()) && at > 0 && tokens[at - 1] == Token::DoubleColon)
            || (next == Some(&Token::LParen)
                && (word.starts_with("pg_") || functions::is_known(&word)))
    })
}

impl Engine {
    /// The statement, if it is one for the catalogue.
    pub(crate) fn catalogue_statement(&self, sql: &str) -> Result<Option<Statement>> {
        if !asks(sql) {
            return Ok(None);
        }
        // What cannot be read is said in the usual words, by the usual way.
        let parser = &self.pg.get(&self.template)?.parser;
        let Ok(mut statements) = parser.parse(&simplified(sql)) else { return Ok(None) };
        Ok(match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => Some(Statement::Statement(Box::new(statement))),
            _ => None,
        })
    }

    /// A session that knows PostgreSQL's functions and types.
    pub(crate) fn catalogue_session(&self, fabric: &str, given: &Given) -> Result<Session> {
        let pg = self.pg.get(&self.template)?;
        let mut session = self.session_of(&pg.template, fabric)?;
        let mut state = SessionStateBuilder::new_from_existing(session.state);
        let functions = state.scalar_functions().get_or_insert_default();
        let user = given.user.as_deref().unwrap_or("windlass");
        functions
            .extend(functions::of_session(fabric, user, &given.settings).into_iter().map(Arc::new));
        session.state = state.build();
        Ok(session)
    }

    /// The tables of `pg_catalog` that `references` name.
    pub(crate) async fn register_catalogue(
        &self,
        session: &Session,
        fabric: &str,
        resolver: &dyn Resolver,
        references: Vec<TableReference>,
    ) -> Result<Arc<MemorySchemaProvider>> {
        let schema = Arc::new(MemorySchemaProvider::new());
        let ours: Vec<_> =
            references.into_iter().filter(|name| name.schema() == Some(PG_CATALOG)).collect();
        if ours.is_empty() {
            return Ok(schema);
        }
        let pg = self.pg.get(&self.template)?;
        let known = pg.fabric(fabric)?;
        if ours.iter().any(|name| catalog::is_live(name.table())) {
            known.look(session, fabric, resolver).await?;
        }
        for name in ours {
            if schema.table_exist(name.table()) {
                continue;
            }
            let Some(table) = known.table(name.table(), fabric).await? else {
                return Err(Error::new(
                    ErrorCode::TableNotFound,
                    format!("no table `pg_catalog.{}`", name.table()),
                )
                .hint("see docs/guide/clients.md for what PostgreSQL's clients can ask"));
            };
            schema.register_table(name.table().to_owned(), table).map_err(from_engine)?;
        }
        Ok(schema)
    }
}

impl PgCatalog {
    fn new(template: &SessionState) -> Result<Self> {
        // Their set-up wants a whole context with a catalogue; what it adds is functions and types.
        let catalogs = Arc::new(datafusion::catalog::MemoryCatalogProviderList::new());
        let state = SessionStateBuilder::new_from_existing(template.clone())
            .with_catalog_list(catalogs)
            .build();
        let context = SessionContext::new_with_state(state);
        context.register_catalog(
            "windlass",
            Arc::new(datafusion::catalog::MemoryCatalogProvider::new()),
        );
        datafusion_pg_catalog::setup_pg_catalog(&context, "windlass", EmptyContextProvider)
            .map_err(|error| from_engine(*error))?;
        for function in functions::all() {
            context.register_udf(function);
        }
        Ok(Self {
            template: context.state(),
            tables: Arc::new(PgCatalogStaticTables::try_new().map_err(from_engine)?),
            parser: PostgresCompatibilityParser::new(),
            fabrics: Mutex::default(),
        })
    }

    fn fabric(&self, name: &str) -> Result<Arc<Fabric>> {
        let mut fabrics = self.fabrics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = fabrics.get(name) {
            return Ok(Arc::clone(found));
        }
        let made = Arc::new(Fabric::new(name, Arc::clone(&self.tables))?);
        fabrics.insert(name.to_owned(), Arc::clone(&made));
        Ok(made)
    }
}

/// Puts parameters into a plan.
pub(crate) fn bind(plan: LogicalPlan, given: &Given) -> Result<LogicalPlan> {
    let wanted = plan.get_parameter_types().map_err(from_engine)?;
    let missing = wanted.keys().filter_map(|name| name.strip_prefix('$')?.parse::<usize>().ok());
    if let Some(most) = missing.max().filter(|most| *most > given.parameters.len()) {
        return Err(Error::new(
            ErrorCode::SqlPlan,
            format!("there is no value for the parameter ${most}"),
        )
        .hint("a client of PostgreSQL's protocol binds values; elsewhere write them out"));
    }
    if wanted.is_empty() {
        return Ok(plan);
    }
    let values = given
        .parameters
        .iter()
        .map(|array| ScalarValue::try_from_array(array.as_ref(), 0))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(from_engine)?;
    plan.with_param_values(values).map_err(from_engine)
}

#[cfg(test)]
mod tests {
    use super::asks;

    #[test]
    fn pieces_that_cannot_be_planned_become_what_they_come_to() {
        let said = super::simplified("SELECT typinput='pg_catalog.array_in'::regproc FROM pg_type");
        assert_eq!(said, "SELECT typinput='array_in' FROM pg_type");
        let piece = "t.typrelid = 0 OR (SELECT c.relkind = 'c'\n FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid)";
        assert_eq!(super::simplified(piece), "t.typrelid = 0 OR false");
        assert!(
            super::simplified("SELECT _pg_expandarray(i.indkey) AS ORDINAL_POSITION")
                .ends_with("WHERE false")
        );
    }

    #[test]
    fn only_questions_about_the_catalogue_take_its_way() {
        for sql in [
            "SELECT * FROM pg_catalog.pg_class",
            "SELECT relname FROM pg_class c",
            "SELECT version()",
            "SELECT pg_catalog.version()",
            "SELECT current_user, current_schema()",
            "SELECT 'main.t'::regclass",
            "SELECT has_table_privilege('t', 'SELECT')",
            "SELECT \"relname\" FROM \"pg_catalog\".\"pg_class\"",
        ] {
            assert!(asks(sql), "{sql}");
        }
        for sql in [
            "SELECT 1",
            "SELECT version FROM lake.\"pg_catalog.csv\"",
            "SELECT 'pg_class', current_date FROM t",
            "SELECT region, t.current_user FROM t",
            "SELECT * FROM information_schema.tables",
            "SELECT \"pg_class\" FROM t",
        ] {
            assert!(!asks(sql), "{sql}");
        }
    }
}
