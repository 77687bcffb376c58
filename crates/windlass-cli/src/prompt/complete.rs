//! Completion at the prompt: the language says what may stand at the cursor, the engine which
//! names and paths there are.

use crate::render::text::safe;
use arrow::array::AsArray as _;
use futures::{StreamExt as _, TryStreamExt as _};
use reedline::{Completer, CompletionResult, Span, Suggestion};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use windlass_core::engine::{Answer, Ctx, Engine, ListOptions};
use windlass_core::sql;
use windlass_core::value::is_harmful;
use windlass_types::{EntryKind, Name, Result};

/// Suggestions shown at most.
const MOST: usize = 100;
/// How long Tab may take.
const PATIENCE: Duration = Duration::from_millis(1500);
const COMMANDS: &[&str] = &["\\?", "\\h", "\\c", "\\d", "\\o", "\\timing", "\\q"];

/// Completes words by asking the engine.
pub(super) struct Words {
    engine: Arc<dyn Engine>,
    ctx: Arc<Mutex<Ctx>>,
    runtime: Handle,
}

/// One suggestion: what replaces the typed text, what is shown, whether a space follows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    value: String,
    shown: String,
    space: bool,
}

impl Choice {
    fn word(value: impl Into<String>) -> Self {
        let value = value.into();
        Self { shown: value.clone(), value, space: true }
    }
}

impl Words {
    pub(super) fn new(engine: Arc<dyn Engine>, ctx: Arc<Mutex<Ctx>>, runtime: Handle) -> Self {
        Self { engine, ctx, runtime }
    }

    /// Asks for what may stand at the end of `text`; answers where it begins.
    async fn choices(&self, text: &str) -> Result<(usize, Vec<Choice>)> {
        let begin = text.len() - text.trim_start().len();
        if text[begin..].starts_with('\\') && !text[begin..].contains(char::is_whitespace) {
            let known = COMMANDS.iter().filter(|command| command.starts_with(&text[begin..]));
            return Ok((begin, known.map(|command| Choice::word(*command)).collect()));
        }
        let ctx = self.ctx.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let completion = sql::complete(text, text.len());
        let partial = completion.partial.as_str();
        let mut found = Vec::new();
        for suggestion in completion.suggestions {
            match suggestion {
                sql::Suggestion::Keyword(word) | sql::Suggestion::Value(word) => {
                    found.push(Choice::word(word));
                }
                sql::Suggestion::Option(name) => found.push(Choice {
                    value: format!("{name} = "),
                    shown: name.to_owned(),
                    space: false,
                }),
                sql::Suggestion::Connection => {
                    let names = self.engine.connection_names(&ctx).await?;
                    let path = takes_path(&text[..completion.start]);
                    found.extend(names.iter().filter(|name| fits(name, partial)).map(|name| {
                        let shown = name.to_string();
                        if path {
                            Choice { value: format!("{shown}.\""), shown, space: false }
                        } else {
                            Choice::word(shown)
                        }
                    }));
                }
                sql::Suggestion::Secret => {
                    self.names(&ctx, "SHOW SECRETS", partial, &mut found).await;
                }
                sql::Suggestion::Fabric => {
                    self.names(&ctx, "SHOW FABRICS", partial, &mut found).await;
                }
                sql::Suggestion::Schema => {
                    self.names(&ctx, "SHOW SCHEMAS", partial, &mut found).await;
                }
                sql::Suggestion::Table => {
                    self.names(&ctx, "SHOW FILE TABLES", partial, &mut found).await;
                }
                sql::Suggestion::Job => {
                    self.names(&ctx, "SHOW JOBS", partial, &mut found).await;
                }
                sql::Suggestion::SystemTable => {
                    self.names(&ctx, "SHOW SYSTEM TABLES", partial, &mut found).await;
                }
                sql::Suggestion::Path { connection } => {
                    self.paths(&ctx, &connection, partial, &mut found).await?;
                }
                _ => {}
            }
        }
        found.dedup();
        Ok((completion.start, found))
    }

    /// The column `name` of a statement's answer; what fails suggests nothing.
    async fn names(&self, ctx: &Ctx, statement: &str, partial: &str, found: &mut Vec<Choice>) {
        let mut ctx = ctx.clone();
        let mut answers = self.engine.sql(&mut ctx, statement);
        let Some(Ok(Answer::Rows { mut batches, .. })) = answers.next().await else { return };
        while let Some(Ok(batch)) = batches.next().await {
            let Some(column) = batch.column_by_name("name").and_then(|c| c.as_string_opt::<i32>())
            else {
                return;
            };
            let names = column.iter().flatten().filter_map(|text| Name::new(text).ok());
            found.extend(
                names.filter(|name| fits(name, partial)).map(|name| Choice::word(name.to_string())),
            );
        }
    }

    /// Buckets until the first `/`, then one level at a time.
    async fn paths(
        &self,
        ctx: &Ctx,
        connection: &str,
        typed: &str,
        found: &mut Vec<Choice>,
    ) -> Result<()> {
        let storage = self.engine.storage(ctx, &Name::new(connection)?).await?;
        let buckets = storage.binding().bucket.is_none() && !typed.contains('/');
        let location = storage.binding().resolve(if buckets { "" } else { typed })?;
        let options = ListOptions { display: true, ..ListOptions::default() };
        let mut entries = storage.list(&location, options);
        while let Some(entry) = entries.try_next().await? {
            let mut path = entry.path;
            if entry.kind == EntryKind::Bucket && !path.ends_with('/') {
                path.push('/');
            }
            // What the terminal would not show cannot be typed either.
            if !path.starts_with(typed) || path.contains(is_harmful) {
                continue;
            }
            let end = if entry.kind == EntryKind::Object { "\"" } else { "" };
            let from = path.trim_end_matches('/').rfind('/').map_or(0, |at| at + 1);
            found.push(Choice {
                value: format!("\"{}{end}", path.replace('"', "\"\"")),
                shown: safe(&path[from..]).into_owned(),
                space: false,
            });
            if found.len() >= MOST {
                break;
            }
        }
        Ok(())
    }
}

/// Whether a name begins as was typed; an open quote is no part of it.
fn fits(name: &Name, partial: &str) -> bool {
    let partial = partial.trim_start_matches('"').to_lowercase();
    name.as_str().to_lowercase().starts_with(&partial)
}

/// Whether a path follows the connection that may stand here.
fn takes_path(before: &str) -> bool {
    let word = before.trim_end().rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    ["FROM", "JOIN", "LIST", "INTO", "DESCRIBE"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

impl Completer for Words {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let text = line.get(..pos).unwrap_or(line);
        let asking = async { tokio::time::timeout(PATIENCE, self.choices(text)).await };
        // What cannot be reached in time simply is not suggested.
        let (start, choices) = match self.runtime.block_on(asking) {
            Ok(Ok(found)) => found,
            _ => (text.len(), Vec::new()),
        };
        let suggestions: Vec<Suggestion> = choices
            .into_iter()
            .take(MOST)
            .map(|choice| Suggestion {
                display_override: (choice.shown != choice.value).then_some(choice.shown),
                value: choice.value,
                span: Span::new(start, text.len()),
                append_whitespace: choice.space,
                ..Suggestion::default()
            })
            .collect();
        CompletionResult::fresh(suggestions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeEngine, MemoryStorage};

    #[tokio::test]
    async fn connections_keywords_and_paths_are_completed() {
        let storage = MemoryStorage::new("landing");
        storage.insert("acme", "orders/a \"1\".csv", b"1");
        storage.insert("acme", "other", b"1");
        let engine = Arc::new(FakeEngine::with(storage));
        let ctx = Arc::new(Mutex::new(Ctx::default()));
        let words = Words::new(engine, ctx, Handle::current());
        let values = async |text: &str| -> Vec<String> {
            let (start, found) = words.choices(text).await.unwrap();
            found.into_iter().map(|choice| format!("{}{}", &text[..start], choice.value)).collect()
        };
        assert_eq!(values("TEST CONNECTION la").await, ["TEST CONNECTION landing"]);
        assert_eq!(values("SELECT * FROM lan").await, ["SELECT * FROM landing.\""]);
        assert!(values("SHO").await.contains(&"SHOW".to_owned()));
        assert_eq!(values("LIST landing.\"ac").await, ["LIST landing.\"acme/"]);
        assert_eq!(
            values("LIST landing.\"acme/o").await,
            ["LIST landing.\"acme/orders/", "LIST landing.\"acme/other\""]
        );
        assert_eq!(
            values("LIST landing.\"acme/orders/").await,
            ["LIST landing.\"acme/orders/a \"\"1\"\".csv\""]
        );
        assert_eq!(values("\\t").await, ["\\timing"]);
        assert!(values("SELECT 'lan").await.is_empty());
    }
}
