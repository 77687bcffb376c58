//! `read_csv('connection', 'path', delimiter => ';')` and its like: files with their options inline.
//!
//! The names of the functions are `read_` and the words of TYPE, their arguments the options of
//! `CONTENT_TYPE` and of file tables: what the tables of options know, these know.

use sqlparser::ast::{
    Array, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, TableAlias,
    TableFactor, UnaryOperator, Value, VisitMut, VisitorMut,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use windlass_types::options::{
    CONTENT_TYPE_OPTIONS, FILE_TABLE_OPTIONS, OptionDef, OptionType, check, nearest, unknown,
};
use windlass_types::{Error, ErrorCode, OptionMap, OptionValue, Result};

/// The schema of tables that stand for calls.
pub(crate) const SCHEMA: &str = "\u{1}read";

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// How the person wrote it, for errors.
    pub(crate) written: String,
    pub(crate) connection: String,
    pub(crate) paths: Vec<String>,
    pub(crate) options: OptionMap,
}

/// The words of TYPE.
fn kinds() -> &'static [&'static str] {
    match CONTENT_TYPE_OPTIONS.iter().find(|def| def.name == "TYPE").map(|def| def.kind) {
        Some(OptionType::Choice(words)) => words,
        _ => &[],
    }
}

/// The word of TYPE that a function of this name reads.
fn kind(function: &str) -> Option<&'static str> {
    let word = function.strip_prefix("read_")?;
    let word = if word == "files" { "auto" } else { word };
    kinds().iter().copied().find(|kind| kind.eq_ignore_ascii_case(word))
}

/// Puts tables in the place of calls; answers the calls, the number of each being its table.
pub(crate) fn replace<T: VisitMut>(tree: &mut T, calls: &mut Vec<Call>) -> Result<()> {
    match VisitMut::visit(tree, &mut Replace { calls }) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Replace<'a> {
    calls: &'a mut Vec<Call>,
}

impl VisitorMut for Replace<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let written = factor.to_string();
        let (name, arguments, alias) = match factor {
            TableFactor::Table { name, args: Some(args), alias, .. } => {
                (name.clone(), args.args.clone(), alias.clone())
            }
            TableFactor::Function { name, args, alias, .. } => {
                (name.clone(), args.clone(), alias.clone())
            }
            _ => return ControlFlow::Continue(()),
        };
        let [ObjectNamePart::Identifier(function)] = name.0.as_slice() else {
            return ControlFlow::Continue(());
        };
        let function = function.value.to_ascii_lowercase();
        if !function.starts_with("read_") {
            return ControlFlow::Continue(());
        }
        let call = match read(&function, written, &arguments) {
            Ok(call) => call,
            Err(error) => return ControlFlow::Break(error),
        };
        let table = Ident::with_quote('"', self.calls.len().to_string());
        self.calls.push(call);
        *factor = TableFactor::Table {
            name: ObjectName::from(vec![Ident::with_quote('"', SCHEMA), table]),
            alias: Some(alias.unwrap_or_else(|| TableAlias {
                explicit: true,
                name: Ident::with_quote('"', function),
                columns: Vec::new(),
                at: None,
            })),
            args: None,
            with_hints: Vec::new(),
            version: None,
            with_ordinality: false,
            partitions: Vec::new(),
            json_path: None,
            sample: None,
            index_hints: Vec::new(),
        };
        ControlFlow::Continue(())
    }
}

fn read(function: &str, written: String, arguments: &[FunctionArg]) -> Result<Call> {
    let Some(kind) = kind(function) else {
        let known: Vec<String> =
            kinds().iter().map(|kind| format!("read_{}", kind.to_ascii_lowercase())).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let near = nearest(function, &known)
            .map_or_else(String::new, |near| format!("did you mean {near}? "));
        return Err(Error::new(ErrorCode::SqlPlan, format!("no function `{function}`"))
            .hint(format!("{near}known are {}", known.join(", "))));
    };
    let wrong = |what: String| {
        Error::new(ErrorCode::SqlPlan, what).hint(format!(
            "write {function}('connection', 'bucket/path', option => value); several paths are a list: ['a/', 'b/']"
        ))
    };
    let mut places: Vec<&Expr> = Vec::new();
    let mut options: BTreeMap<&'static str, OptionValue> = BTreeMap::new();
    for argument in arguments {
        let (name, value) = match argument {
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                (name.value.clone(), value)
            }
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(value),
                ..
            } => (name.value.clone(), value),
            // `option = value` reads as a comparison.
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp {
                left,
                op: sqlparser::ast::BinaryOperator::Eq,
                right,
            })) if matches!(left.as_ref(), Expr::Identifier(_)) => {
                (left.to_string().trim_matches('"').to_owned(), right.as_ref())
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) if options.is_empty() => {
                places.push(value);
                continue;
            }
            other => return Err(wrong(format!("{function} cannot take `{other}`"))),
        };
        let def = definition(&name)?;
        let value = check(
            def,
            constant(value)
                .ok_or_else(|| wrong(format!("{} of {function} is not a constant", def.name)))?,
        )?;
        if options.insert(def.name, value).is_some() {
            let text = format!("{} is given twice in {function}", def.name);
            return Err(Error::new(ErrorCode::OptionInvalid, text));
        }
    }
    let texts: Vec<Option<OptionValue>> = places.iter().map(|place| constant(place)).collect();
    let (connection, paths) = match texts.as_slice() {
        [Some(OptionValue::Text(connection)), Some(OptionValue::Text(path))] => {
            (connection.clone(), vec![path.clone()])
        }
        [Some(OptionValue::Text(connection)), Some(OptionValue::List(items))] => {
            let paths: Option<Vec<String>> = items
                .iter()
                .map(|item| match item {
                    OptionValue::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect();
            match paths.filter(|paths| !paths.is_empty()) {
                Some(paths) => (connection.clone(), paths),
                None => return Err(wrong(format!("the paths of {function} are not texts"))),
            }
        }
        _ => return Err(wrong(format!("{function} takes a connection and a path, both as text"))),
    };
    let mut content = vec![("TYPE".to_owned(), OptionValue::Text(kind.to_owned()))];
    let mut all = OptionMap::new();
    for (name, value) in options {
        if CONTENT_TYPE_OPTIONS.iter().any(|def| def.name == name) {
            content.push((name.to_owned(), value));
        } else {
            all.insert(name.to_owned(), value);
        }
    }
    all.insert("CONTENT_TYPE".to_owned(), OptionValue::Group(content));
    crate::format::check_options(&all)?;
    Ok(Call { written, connection, paths, options: all })
}

/// The option an argument names.
fn definition(name: &str) -> Result<&'static OptionDef> {
    // The others say what is written, or are about the table itself.
    let of_table = FILE_TABLE_OPTIONS
        .iter()
        .filter(|def| matches!(def.name, "DATE_PATTERN" | "ON_SCHEMA_CHANGE"));
    let known: Vec<&'static OptionDef> =
        CONTENT_TYPE_OPTIONS.iter().filter(|def| def.name != "TYPE").chain(of_table).collect();
    if let Some(def) = known.iter().find(|def| def.name.eq_ignore_ascii_case(name)) {
        return Ok(def);
    }
    let names: Vec<&str> = known.iter().map(|def| def.name).collect();
    Err(unknown("option", &name.to_ascii_uppercase(), &names))
}

/// The value an expression spells out.
fn constant(expr: &Expr) -> Option<OptionValue> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok().map(OptionValue::Integer),
            Value::Boolean(flag) => Some(OptionValue::Bool(*flag)),
            other => other.clone().into_string().map(OptionValue::Text),
        },
        Expr::Identifier(word) => Some(match word.quote_style {
            None => OptionValue::Word(word.value.clone()),
            Some(_) => OptionValue::Text(word.value.clone()),
        }),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match constant(expr)? {
            OptionValue::Integer(number) => Some(OptionValue::Integer(-number)),
            _ => None,
        },
        Expr::Nested(inner) => constant(inner).map(|value| OptionValue::List(vec![value])),
        Expr::Array(Array { elem: items, .. }) | Expr::Tuple(items) => {
            items.iter().map(constant).collect::<Option<Vec<_>>>().map(OptionValue::List)
        }
        _ => None,
    }
}
