//! Functions of PostgreSQL that clients call to look around.
//!
//! Most have one answer here, whatever they are asked: nothing has a description, a trigger or an index,
//! and who may look may look at everything.

use super::catalog::ROLE;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

/// What `version()` says: the version of PostgreSQL whose protocol and catalogue this is like.
const VERSION: &str = concat!("PostgreSQL 15.4 (Windlass ", env!("CARGO_PKG_VERSION"), ")");

/// The answer of a function.
#[derive(Debug, Clone, Copy)]
enum Says {
    Nothing,
    Text(&'static str),
    Yes,
    No,
    Number(i64),
}

const FUNCTIONS: &[(&str, Says)] = &[
    ("version", Says::Text(VERSION)),
    ("current_schema", Says::Text(crate::resolve::MAIN)),
    ("obj_description", Says::Nothing),
    ("col_description", Says::Nothing),
    ("shobj_description", Says::Nothing),
    ("has_column_privilege", Says::Yes),
    ("has_function_privilege", Says::Yes),
    ("has_sequence_privilege", Says::Yes),
    ("has_tablespace_privilege", Says::Yes),
    ("has_type_privilege", Says::Yes),
    ("inet_client_addr", Says::Nothing),
    ("inet_client_port", Says::Nothing),
    ("inet_server_addr", Says::Nothing),
    ("inet_server_port", Says::Nothing),
    ("pg_get_userbyid", Says::Text(ROLE)),
    ("pg_collation_is_visible", Says::Yes),
    ("pg_function_is_visible", Says::Yes),
    ("pg_operator_is_visible", Says::Yes),
    ("pg_type_is_visible", Says::Yes),
    ("pg_has_role", Says::Yes),
    ("pg_is_in_recovery", Says::No),
    ("pg_is_other_temp_schema", Says::No),
    ("pg_my_temp_schema", Says::Number(0)),
    ("pg_database_size", Says::Nothing),
    ("pg_indexes_size", Says::Nothing),
    ("pg_table_size", Says::Nothing),
    ("pg_size_pretty", Says::Nothing),
    ("pg_tablespace_location", Says::Nothing),
    ("pg_tablespace_size", Says::Nothing),
    ("pg_get_function_arguments", Says::Nothing),
    ("pg_get_function_identity_arguments", Says::Nothing),
    ("pg_get_function_result", Says::Nothing),
    ("pg_get_functiondef", Says::Nothing),
    ("pg_get_indexdef", Says::Nothing),
    ("pg_get_ruledef", Says::Nothing),
    ("pg_get_serial_sequence", Says::Nothing),
    ("pg_get_triggerdef", Says::Nothing),
    ("pg_get_viewdef", Says::Nothing),
    ("pg_get_partition_constraintdef", Says::Nothing),
    ("txid_current", Says::Number(1)),
];

/// Functions that come from the crate of the catalogue, or depend on the session.
const OTHERS: &[&str] = &[
    "array_lower",
    "array_upper",
    "current_database",
    "current_schemas",
    "current_setting",
    "format_type",
    "generate_subscripts",
    "has_any_column_privilege",
    "has_database_privilege",
    "has_schema_privilege",
    "has_table_privilege",
    "parse_ident",
    "quote_ident",
    "session_user",
    "set_config",
];

/// Words that a statement may hold if it calls one of them; those that begin with `pg_` aside.
pub(super) const NAMES: &[&str] = &[
    "array_lower",
    "array_upper",
    "_description",
    "current_",
    "format_type",
    "generate_subscripts",
    "inet_",
    "parse_ident",
    "quote_ident",
    "set_config",
    "txid_current",
];

/// Whether a function is one that only the catalogue mode knows.
pub(super) fn is_known(name: &str) -> bool {
    OTHERS.contains(&name) || FUNCTIONS.iter().any(|(known, _)| *known == name)
}

/// Functions whose answer is always the same.
pub(super) fn all() -> Vec<ScalarUDF> {
    FUNCTIONS
        .iter()
        .map(|(name, says)| {
            let value = match says {
                Says::Nothing => ScalarValue::Utf8(None),
                Says::Text(text) => ScalarValue::from(*text),
                Says::Yes => ScalarValue::from(true),
                Says::No => ScalarValue::from(false),
                Says::Number(number) => ScalarValue::from(*number),
            };
            Constant::function(name, value)
        })
        .collect()
}

/// Functions whose answer depends on who asks where.
pub(super) fn of_session(
    fabric: &str,
    user: &str,
    settings: &[(String, String)],
) -> Vec<ScalarUDF> {
    vec![
        Constant::function("current_database", ScalarValue::from(fabric)),
        Constant::function("session_user", ScalarValue::from(user)),
        ScalarUDF::from(Setting {
            name: "current_setting",
            settings: settings.to_vec(),
            signature: Signature::one_of(
                vec![
                    TypeSignature::Exact(vec![DataType::Utf8]),
                    TypeSignature::Exact(vec![DataType::Utf8, DataType::Boolean]),
                ],
                Volatility::Stable,
            ),
        }),
        ScalarUDF::from(Setting {
            name: "set_config",
            settings: Vec::new(),
            signature: Signature::exact(
                vec![DataType::Utf8, DataType::Utf8, DataType::Boolean],
                Volatility::Stable,
            ),
        }),
    ]
}

/// A function that says the same whatever its arguments are.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    name: String,
    value: ScalarValue,
    signature: Signature,
}

impl Constant {
    fn function(name: &str, value: ScalarValue) -> ScalarUDF {
        let signature = Signature::one_of(
            vec![TypeSignature::Nullary, TypeSignature::VariadicAny],
            Volatility::Stable,
        );
        ScalarUDF::from(Self { name: name.to_owned(), value, signature })
    }
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// `current_setting(name [, missing_ok])`; `set_config(name, value, local)`, which only answers the
/// value: `SET` sets.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Setting {
    name: &'static str,
    settings: Vec<(String, String)>,
    signature: Signature,
}

impl ScalarUDFImpl for Setting {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let at = usize::from(self.name == "set_config");
        let Some(ColumnarValue::Scalar(ScalarValue::Utf8(text))) = args.args.get(at) else {
            return Err(DataFusionError::Plan(format!("{} takes constant texts", self.name)));
        };
        let Some(text) = text.as_deref().filter(|_| at == 0) else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(text.clone())));
        };
        let found = self.settings.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let quiet = matches!(
            args.args.get(1),
            Some(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))))
        );
        match found {
            Some((_, value)) => Ok(ColumnarValue::Scalar(ScalarValue::from(value.as_str()))),
            None if quiet => Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None))),
            None => Err(DataFusionError::Plan(format!("no parameter `{text}`"))),
        }
    }
}
