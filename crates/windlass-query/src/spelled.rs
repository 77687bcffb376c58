//! What other databases spell in their own way, and the engine in another or not at all.
//!
//! Only spelling: each of these means the same in `PostgreSQL` or `DuckDB`, and becomes what the engine knows.

use crate::dialect::Sql;
use crate::patterns::as_percent;
use crate::using::call;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, Fetch, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, Ident, LimitClause, ObjectName, Query, SelectFlavor,
    SelectItem, SetExpr, Statement, TimezoneInfo, TypedString, UnaryOperator, Value, VisitMut as _,
    VisitorMut, WildcardAdditionalOptions,
};
use sqlparser::parser::Parser;
use std::ops::ControlFlow;

/// Spells a statement as the engine does.
pub(crate) fn respell(tree: &mut Statement) {
    let _ = tree.visit(&mut Respell);
}

struct Respell;

impl VisitorMut for Respell {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        fetch(query);
        if let SetExpr::Select(select) = query.body.as_mut()
            && select.flavor == SelectFlavor::FromFirstNoSelect
        {
            select.flavor = SelectFlavor::Standard;
            select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        sign(expr);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(other) = respelled(expr) {
            *expr = other;
        }
        ControlFlow::Continue(())
    }
}

/// `FETCH FIRST n ROWS ONLY` is LIMIT.
fn fetch(query: &mut Query) {
    let Some(Fetch { with_ties: false, percent: false, quantity }) = &query.fetch else { return };
    let one = || Expr::value(Value::Number("1".to_owned(), false));
    let most = quantity.clone().unwrap_or_else(one);
    match &mut query.limit_clause {
        None => {
            query.limit_clause = Some(LimitClause::LimitOffset {
                limit: Some(most),
                offset: None,
                limit_by: Vec::new(),
            });
        }
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(most),
        Some(_) => return,
    }
    query.fetch = None;
}

/// A sign binds tighter than `^`: `-2 ^ 2` is 4. The parser has it the other way round.
fn sign(expr: &mut Expr) {
    let is_power =
        |expr: &Expr| matches!(expr, Expr::BinaryOp { op: BinaryOperator::BitwiseXor, .. });
    let Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } = expr else { return };
    if !is_power(inner) {
        return;
    }
    let mut whole = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
    let mut base = &mut whole;
    while let Expr::BinaryOp { left, op: BinaryOperator::BitwiseXor, .. } = base {
        base = left;
    }
    let positive = std::mem::replace(base, Expr::value(Value::Null));
    *base = Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(positive) };
    *expr = whole;
}

/// The same, as the engine says it.
fn respelled(expr: &mut Expr) -> Option<Expr> {
    if let Expr::Cast { data_type, .. } | Expr::TypedString(TypedString { data_type, .. }) = expr {
        microseconds(data_type);
    }
    match expr {
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (left.as_ref(), right.as_ref());
            let pair = || [left.clone(), right.clone()];
            match op {
                BinaryOperator::BitwiseXor => filled("power(CAST(A AS DOUBLE), B)", &pair()),
                BinaryOperator::Arrow => Some(call("json_get_json", pair())),
                BinaryOperator::LongArrow => Some(call("json_as_text", pair())),
                BinaryOperator::HashArrow => along("json_get_json", left, right),
                BinaryOperator::HashLongArrow => along("json_as_text", left, right),
                BinaryOperator::DuckIntegerDivide => filled("CAST(A / B AS BIGINT)", &pair()),
                _ => None,
            }
        }
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => exact(text),
            _ => None,
        },
        // The digits as they are written.
        Expr::Cast {
            expr,
            data_type: DataType::Decimal(_) | DataType::Numeric(_) | DataType::Dec(_),
            ..
        } => {
            if let Expr::Value(value) = expr.as_mut()
                && let Value::Number(text, _) = &value.value
                && !text.contains(['e', 'E'])
            {
                value.value = Value::SingleQuotedString(text.clone());
            }
            None
        }
        // JSON is text here.
        Expr::Cast { data_type: data_type @ (DataType::JSON | DataType::JSONB), .. } => {
            *data_type = DataType::Text;
            None
        }
        Expr::Function(function) => of_function(function),
        _ => None,
    }
}

/// Digits of a DOUBLE that are always told apart.
const OF_DOUBLE: usize = 15;
/// Digits that every number of them fits into BIGINT.
const OF_BIGINT: usize = 18;
/// Digits of a DECIMAL.
const OF_DECIMAL: usize = 38;

/// A number of more digits than the engine would keep, as a DECIMAL.
fn exact(text: &str) -> Option<Expr> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    if !whole.bytes().chain(places.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = whole.trim_start_matches('0').len() + places.len();
    let kept = if text.contains('.') {
        digits <= OF_DOUBLE
    } else {
        digits <= OF_BIGINT || text.parse::<i64>().is_ok()
    };
    if kept || digits > OF_DECIMAL {
        return None;
    }
    let scale = i64::try_from(places.len()).ok()?;
    let size = ExactNumberInfo::PrecisionAndScale(digits as u64, scale);
    Some(Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::value(Value::SingleQuotedString(text.to_owned()))),
        data_type: DataType::Decimal(size),
        array: false,
        format: None,
    })
}

/// A time has microseconds where nothing else is said, as in `PostgreSQL`; the engine's nanoseconds end in
/// the year 2262.
fn microseconds(kind: &mut DataType) {
    match kind {
        DataType::Timestamp(precision @ None, _) => *precision = Some(6),
        DataType::Datetime(precision) => {
            *kind = DataType::Timestamp(precision.or(Some(6)), TimezoneInfo::None);
        }
        _ => {}
    }
}

/// A step along a path of JSON for each part of `'{a,0,b}'`.
fn along(function: &str, document: &Expr, path: &Expr) -> Option<Expr> {
    let Expr::Value(value) = path else { return None };
    let text = value.value.clone().into_string()?;
    let steps = text.strip_prefix('{')?.strip_suffix('}')?.split(',').map(|step| {
        let step = step.trim().trim_matches('"').to_owned();
        Expr::value(match step.parse::<u32>() {
            Ok(_) => Value::Number(step, false),
            Err(_) => Value::SingleQuotedString(step),
        })
    });
    Some(call(function, std::iter::once(document.clone()).chain(steps)))
}

/// Functions that the engine has under another name.
const NAMES: &[(&str, &str)] = &[
    ("approx_count_distinct", "approx_distinct"),
    ("gen_random_uuid", "uuid"),
    ("group_concat", "string_agg"),
    ("len", "length"),
    ("list", "array_agg"),
    ("list_value", "make_array"),
    ("prefix", "starts_with"),
    ("split", "string_to_array"),
    ("string_split", "string_to_array"),
    ("strftime", "to_char"),
    ("variance", "var_samp"),
];

/// Functions that the engine has in other words: name, what it is of the arguments A, B and C.
const WORDS: &[(&str, &str)] = &[
    ("count_if", "count(*) FILTER (WHERE A)"),
    ("date_add", "A + B"),
    ("date_sub", "A - B"),
    ("day", "date_part('day', A)"),
    ("dayname", "to_char(A, '%A')"),
    ("dayofweek", "date_part('dow', A)"),
    ("dayofyear", "date_part('doy', A)"),
    ("epoch", "date_part('epoch', A)"),
    ("hour", "date_part('hour', A)"),
    ("if", "CASE WHEN A THEN B ELSE C END"),
    ("iif", "CASE WHEN A THEN B ELSE C END"),
    ("last_day", "CAST(date_trunc('month', A) + INTERVAL '1 month' - INTERVAL '1 day' AS DATE)"),
    ("minute", "date_part('minute', A)"),
    ("mod", "A % B"),
    ("month", "date_part('month', A)"),
    ("monthname", "to_char(A, '%B')"),
    ("quarter", "date_part('quarter', A)"),
    ("second", "date_part('second', A)"),
    ("week", "date_part('week', A)"),
    ("year", "date_part('year', A)"),
];

/// Whole units between two times, by the units that begin between them: name, the difference of A to B.
const DIFFERENCES: &[(&str, &str)] = &[
    ("year", "date_part('year', B) - date_part('year', A)"),
    (
        "quarter",
        "4 * (date_part('year', B) - date_part('year', A)) + date_part('quarter', B) - date_part('quarter', A)",
    ),
    (
        "month",
        "12 * (date_part('year', B) - date_part('year', A)) + date_part('month', B) - date_part('month', A)",
    ),
    ("week", "(epoch(date_trunc('week', B)) - epoch(date_trunc('week', A))) / 604800"),
    ("day", "(epoch(date_trunc('day', B)) - epoch(date_trunc('day', A))) / 86400"),
    ("hour", "(epoch(date_trunc('hour', B)) - epoch(date_trunc('hour', A))) / 3600"),
    ("minute", "(epoch(date_trunc('minute', B)) - epoch(date_trunc('minute', A))) / 60"),
    ("second", "epoch(date_trunc('second', B)) - epoch(date_trunc('second', A))"),
];

/// Functions whose second argument is a pattern of times.
const PATTERNED: [&str; 3] = ["to_char", "to_date", "to_timestamp"];

fn of_function(function: &mut Function) -> Option<Expr> {
    let [part] = function.name.0.as_slice() else { return None };
    let name = part.as_ident()?.value.to_ascii_lowercase();
    if PATTERNED.contains(&name.as_str())
        && let FunctionArguments::List(list) = &mut function.args
        && let [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))] =
            list.args.as_mut_slice()
        && let Value::SingleQuotedString(pattern) = &mut value.value
        && let Some(percent) = as_percent(pattern)
    {
        *pattern = percent;
        return None;
    }
    if let Some((_, own)) = NAMES.iter().find(|(theirs, _)| *theirs == name) {
        function.name = ObjectName::from(vec![Ident::new(*own)]);
        return None;
    }
    // What a window or a filter would mean for several words cannot be told.
    if function.over.is_some() || function.filter.is_some() {
        return None;
    }
    let arguments = arguments(function)?;
    if let Some((_, words)) = WORDS.iter().find(|(theirs, _)| *theirs == name) {
        let wanted = ["A", "B", "C"].iter().filter(|letter| has(words, letter)).count();
        return if arguments.len() == wanted { filled(words, &arguments) } else { None };
    }
    if !["date_diff", "datediff", "timestampdiff"].contains(&name.as_str()) {
        return None;
    }
    let [unit, from, to] = <[Expr; 3]>::try_from(arguments).ok()?;
    let unit = match unit {
        Expr::Value(value) => value.value.into_string()?,
        Expr::Identifier(ident) => ident.value,
        _ => return None,
    };
    let unit = unit.to_ascii_lowercase();
    let unit = unit.strip_suffix('s').unwrap_or(&unit);
    let (_, words) = DIFFERENCES.iter().find(|(name, _)| *name == unit)?;
    filled(&format!("CAST({words} AS BIGINT)"), &[from, to])
}

fn has(words: &str, letter: &str) -> bool {
    words.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == letter)
}

/// The arguments of a plain call.
fn arguments(function: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
        return None;
    }
    list.args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        })
        .collect()
}

/// Words with expressions in the place of A, B and C.
fn filled(words: &str, expressions: &[Expr]) -> Option<Expr> {
    struct Fill<'a>(&'a [Expr]);
    impl VisitorMut for Fill<'_> {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Identifier(ident) = expr
                && let Some(at) = ["A", "B", "C"].iter().position(|letter| ident.value == *letter)
                && let Some(other) = self.0.get(at)
            {
                *expr = Expr::Nested(Box::new(other.clone()));
            } else if let Some(other) = respelled(expr) {
                *expr = other;
            }
            ControlFlow::Continue(())
        }
    }
    let dialect = Sql::new();
    let mut whole = Parser::new(&dialect).try_with_sql(words).ok()?.parse_expr().ok()?;
    let _ = whole.visit(&mut Fill(expressions));
    Some(Expr::Nested(Box::new(whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(sql: &str) -> String {
        let dialect = Sql::new();
        let mut statements = Parser::parse_sql(&dialect, sql).unwrap();
        respell(&mut statements[0]);
        statements[0].to_string()
    }

    #[test]
    fn what_is_spelled_otherwise_is_what_the_engine_knows() {
        let queries = [
            "SELECT -2 ^ 2 ^ x, 7 // 2",
            "SELECT doc -> 'a' ->> 0, doc #>> '{a,0,b}', x::json FROM t",
            "FROM t ORDER BY a FETCH FIRST 3 ROWS ONLY",
            "SELECT variance(x), list_value(1, 2), Year(d), day(d), if(a, b, c), count_if(x > 1) FROM t",
            "SELECT date_diff('days', a, b), datediff(month, a, b) FROM t",
        ];
        insta::assert_snapshot!(queries.map(said).join("\n"), @r#"
        SELECT (power(CAST(((power(CAST((-2) AS DOUBLE), (2)))) AS DOUBLE), (x))), (CAST((7) / (2) AS BIGINT))
        SELECT json_as_text(json_get_json(doc, 'a'), 0), json_as_text(doc, 'a', 0, 'b'), x::TEXT FROM t
        SELECT * FROM t ORDER BY a LIMIT 3
        SELECT var_samp(x), make_array(1, 2), (date_part('year', (d))), (date_part('day', (d))), (CASE WHEN (a) THEN (b) ELSE (c) END), (count(*) FILTER (WHERE (x > 1))) FROM t
        SELECT (CAST(((date_part('epoch', (date_trunc('day', (b))))) - (date_part('epoch', (date_trunc('day', (a)))))) / 86400 AS BIGINT)), (CAST(12 * (date_part('year', (b)) - date_part('year', (a))) + date_part('month', (b)) - date_part('month', (a)) AS BIGINT)) FROM t
        "#);
    }

    #[test]
    fn what_means_something_else_stays() {
        for sql in [
            "SELECT day(a, b), count_if(x) OVER () FROM t",
            "SELECT datediff('fortnight', a, b) FROM t",
            "SELECT a FROM t FETCH FIRST 3 ROWS WITH TIES",
            "SELECT doc #>> path FROM t",
            "SELECT s.year(a) FROM t",
        ] {
            assert_eq!(said(sql), sql);
        }
    }

    #[test]
    fn words_are_read() {
        for (_, words) in WORDS.iter().chain(DIFFERENCES) {
            let nothing = Expr::value(Value::Null);
            assert!(
                filled(words, &[nothing.clone(), nothing.clone(), nothing]).is_some(),
                "{words}"
            );
        }
    }
}
