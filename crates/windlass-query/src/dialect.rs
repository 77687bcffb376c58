//! How SQL is read: as the engine's own dialect, but for what binds how tightly.
//!
//! There `a || b + c` concatenates first, `doc ->> 'a' = 'x'` compares first, and `2 * 3 ^ 2` multiplies
//! first; in PostgreSQL, whose operators these are, it is the other way round each time.

use datafusion::sql::parser::{DFParser, Statement};
use sqlparser::dialect::{Dialect, GenericDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;
use std::any::TypeId;
use std::collections::VecDeque;

/// Reads statements.
pub(crate) fn read(sql: &str) -> datafusion::error::Result<VecDeque<Statement>> {
    DFParser::parse_sql_with_dialect(sql, &Sql::new())
}

/// Tighter than comparisons, looser than sums: PostgreSQL's "any other operator".
const OTHER: u8 = 25;

/// Tighter than products, looser than casts.
const POWER: u8 = 45;

#[derive(Debug)]
pub(crate) struct Sql(GenericDialect);

impl Sql {
    pub(crate) const fn new() -> Self {
        Self(GenericDialect {})
    }
}

/// What the dialect says of itself, as the other one does.
macro_rules! as_generic {
    ($($question:ident)*) => {
        $(fn $question(&self) -> bool {
            self.0.$question()
        })*
    };
}

impl Dialect for Sql {
    fn dialect(&self) -> TypeId {
        self.0.dialect()
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        match parser.peek_token_ref().token {
            Token::StringConcat
            | Token::Arrow
            | Token::LongArrow
            | Token::HashArrow
            | Token::HashLongArrow => Some(Ok(OTHER)),
            Token::Caret => Some(Ok(POWER)),
            _ => None,
        }
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.0.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.0.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.0.is_identifier_part(ch)
    }

    as_generic! {
        supports_unicode_string_literal
        supports_partition_by_after_order_by
        supports_array_join_syntax
        supports_group_by_expr
        supports_group_by_with_modifier
        supports_left_associative_joins_without_parens
        supports_connect_by
        supports_match_recognize
        supports_pipe_operator
        supports_start_transaction_modifier
        supports_window_function_null_treatment_arg
        supports_dictionary_syntax
        supports_window_clause_named_window_reference
        supports_parenthesized_set_variables
        supports_select_wildcard_except
        support_map_literal_syntax
        allow_extract_custom
        allow_extract_single_quotes
        supports_extract_comma_syntax
        supports_create_view_comment_syntax
        supports_parens_around_table_factor
        supports_values_as_table_factor
        supports_create_index_with_clause
        supports_explain_with_utility_options
        supports_limit_comma
        supports_update_order_by
        supports_from_first_select
        supports_projection_trailing_commas
        supports_asc_desc_in_column_definition
        supports_try_convert
        supports_bitwise_shift_operators
        supports_comment_on
        supports_load_extension
        supports_named_fn_args_with_assignment_operator
        supports_struct_literal
        supports_empty_projections
        supports_nested_comments
        supports_multiline_comment_hints
        supports_user_host_grantee
        supports_string_escape_constant
        supports_array_typedef_with_brackets
        supports_match_against
        supports_set_names
        supports_comma_separated_set_assignments
        supports_filter_during_aggregation
        supports_select_wildcard_exclude
        supports_data_type_signed_suffix
        supports_interval_options
        supports_quote_delimited_string
        supports_select_wildcard_replace
        supports_select_wildcard_ilike
        supports_select_wildcard_rename
        supports_optimize_table
        supports_install
        supports_detach
        supports_prewhere
        supports_with_fill
        supports_limit_by
        supports_interpolate
        supports_settings
        supports_select_format
        supports_comment_optimizer_hint
        supports_constraint_keyword_without_name
        supports_key_column_option
        supports_comma_separated_trim
        supports_cte_without_as
        supports_select_item_multi_column_alias
        supports_xml_expressions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlparser::ast::Expr;

    /// The same text with each operation in parentheses.
    fn bracketed(expr: &Expr) -> String {
        match expr {
            Expr::BinaryOp { left, op, right } => {
                format!("({} {op} {})", bracketed(left), bracketed(right))
            }
            other => other.to_string(),
        }
    }

    #[test]
    fn operators_bind_as_in_postgresql() {
        let read = |text| {
            let dialect = Sql::new();
            let mut parser = Parser::new(&dialect).try_with_sql(text).unwrap();
            bracketed(&parser.parse_expr().unwrap())
        };
        let texts = [
            "'a' || b + 1 || 'c'",
            "doc ->> 'a' = 'x' AND doc -> 'b' ->> 0 LIKE 'y'",
            "2 * 3 ^ 2 + 1",
            "x || 'a' IN ('b')",
        ];
        insta::assert_snapshot!(texts.map(read).join("\n"), @r#"
        (('a' || (b + 1)) || 'c')
        (((doc ->> 'a') = 'x') AND doc -> 'b' ->> 0 LIKE 'y')
        ((2 * (3 ^ 2)) + 1)
        x || 'a' IN ('b')
        "#);
    }
}
