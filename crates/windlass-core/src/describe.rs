//! DESCRIBE CONNECTION and SHOW CREATE CONNECTION: everything but the secrets.

use crate::engine::{Answer, Grade};
use crate::rows::{self, Cell, Columns, Kind};
use crate::windlass::Windlass;
use windlass_sql::print_connection;
use windlass_state::FabricRow as Fabric;
use windlass_types::options::MASK;
use windlass_types::{Name, OptionValue, Result};

const DESCRIBE: Columns = &[("property", Kind::Text), ("value", Kind::Text), ("note", Kind::Text)];
const CREATE: Columns = &[("statement", Kind::Text)];

/// A value as people read it.
pub(crate) fn shown(value: &OptionValue) -> String {
    match value {
        OptionValue::Text(text) | OptionValue::Word(text) => text.clone(),
        OptionValue::Integer(number) => number.to_string(),
        OptionValue::Bool(flag) => if *flag { "TRUE" } else { "FALSE" }.to_owned(),
        OptionValue::Interval(seconds) => format!("{seconds} SECONDS"),
        OptionValue::List(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        OptionValue::Group(items) => items
            .iter()
            .map(|(name, value)| format!("{name} = {}", shown(value)))
            .collect::<Vec<_>>()
            .join(", "),
        OptionValue::Secret(name) => format!("SECRET {name}"),
        OptionValue::Sealed => MASK.to_owned(),
    }
}

impl Windlass {
    /// DESCRIBE CONNECTION: one row a property; options left out are shown with their defaults.
    pub(crate) async fn describe_connection(&self, fabric: &Fabric, name: &Name) -> Result<Answer> {
        let row = self.connection(fabric, name).await?;
        let mut cells: Vec<Vec<Cell>> = vec![
            vec!["name".into(), row.name.as_str().into(), Cell::Text(None)],
            vec!["kind".into(), row.kind.as_str().into(), Cell::Text(None)],
            vec!["fabric".into(), fabric.name.as_str().into(), Cell::Text(None)],
            vec!["id".into(), row.id.to_string().into(), Cell::Text(None)],
            vec![
                "created_at".into(),
                windlass_types::entry::rfc3339(&row.created).into(),
                Cell::Text(None),
            ],
            vec![
                "updated_at".into(),
                windlass_types::entry::rfc3339(&row.updated).into(),
                Cell::Text(None),
            ],
        ];
        for def in row.kind.options().iter().filter(|def| def.name != "SKIP_VALIDATION") {
            match row.options.get(def.name) {
                Some(OptionValue::Sealed) => {
                    cells.push(vec![def.name.into(), MASK.into(), "sealed in the vault".into()]);
                }
                Some(value) => {
                    cells.push(vec![def.name.into(), shown(value).into(), Cell::Text(None)]);
                }
                None if def.default.is_empty() => {}
                None => cells.push(vec![
                    def.name.into(),
                    Cell::Text(None),
                    format!("default: {}", def.default).into(),
                ]),
            }
        }
        let dependents = self.inner.store.dependents(row.id).await?;
        if !dependents.is_empty() {
            cells.push(vec!["used_by".into(), dependents.join(", ").into(), Cell::Text(None)]);
        }
        rows::answer(DESCRIBE, &cells, Grade::Good)
    }

    /// SHOW CREATE CONNECTION: a statement that parses back; secrets are masked.
    pub(crate) async fn show_create_connection(
        &self,
        fabric: &Fabric,
        name: &Name,
    ) -> Result<Answer> {
        let row = self.connection(fabric, name).await?;
        let text = print_connection(row.kind, &row.name, &row.options);
        rows::answer(CREATE, &[vec![text.into()]], Grade::Good)
    }
}
