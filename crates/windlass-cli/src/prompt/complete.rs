//! Completion: keywords, connections, and paths inside `conn."..."`.

use super::input::{Inside, scan};
use futures::TryStreamExt as _;
use reedline::{Completer, CompletionResult, Span, Suggestion};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use windlass_core::engine::{Ctx, Engine, ListOptions};
use windlass_types::{EntryKind, Name, Result};

/// Suggestions shown at most.
const MOST: usize = 100;
/// How long Tab may take.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Words after which a connection stands.
const BEFORE_CONNECTION: &[&str] = &["CONNECTION", "FROM", "JOIN", "LIST", "ON", "INTO"];
/// Of those, the ones where a path of the connection follows.
const BEFORE_PATH: &[&str] = &["FROM", "JOIN", "LIST", "INTO"];
const COMMANDS: &[&str] = &["\\?", "\\h", "\\c", "\\d", "\\o", "\\timing", "\\q"];

/// Completes words by asking the engine.
pub(super) struct Words {
    engine: Arc<dyn Engine>,
    ctx: Arc<Mutex<Ctx>>,
    runtime: Handle,
}

/// What stands at the cursor.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// A path that began in a quote at `start`.
    Path { connection: Name, typed: String, start: usize },
    /// A word from `start`, and whether connections, keywords and paths may stand there.
    Word { typed: String, start: usize, only_connections: bool, path_follows: bool },
    /// A `\` command.
    Command { typed: String, start: usize },
    /// Text that is the person's own.
    Nothing,
}

/// Decides what is asked for at the end of `text`.
fn asked(text: &str) -> Asked {
    let begin = text.len() - text.trim_start().len();
    if text[begin..].starts_with('\\') && !text[begin..].contains(char::is_whitespace) {
        return Asked::Command { typed: text[begin..].to_owned(), start: begin };
    }
    match scan(text) {
        Inside::Quote('"', from) => {
            let Some(before) = text[..from].strip_suffix('.') else { return Asked::Nothing };
            let word = last_name(before);
            match Name::parse(word) {
                Ok(connection) => Asked::Path {
                    connection,
                    typed: text[from + 1..].replace("\"\"", "\""),
                    start: from + 1,
                },
                Err(_) => Asked::Nothing,
            }
        }
        Inside::Quote(..) | Inside::Other => Asked::Nothing,
        Inside::Nothing(_) => {
            let typed = last_word(text);
            let start = text.len() - typed.len();
            let before = last_word(text[..start].trim_end()).to_ascii_uppercase();
            Asked::Word {
                typed: typed.to_owned(),
                start,
                only_connections: before == "CONNECTION",
                path_follows: BEFORE_PATH.contains(&before.as_str())
                    && BEFORE_CONNECTION.contains(&before.as_str()),
            }
        }
    }
}

fn last_word(text: &str) -> &str {
    let from = text
        .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
        .map_or(0, |at| at + text[at..].chars().next().map_or(0, char::len_utf8));
    &text[from..]
}

/// The identifier at the end, quoted or bare.
fn last_name(text: &str) -> &str {
    if let Some(inner) = text.strip_suffix('"')
        && let Some(from) = inner.rfind('"')
    {
        return &text[from..];
    }
    last_word(text)
}

/// One suggestion: what replaces the typed text, what is shown, whether a space follows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    value: String,
    shown: String,
    space: bool,
}

impl Choice {
    fn word(value: &str) -> Self {
        Self { value: value.to_owned(), shown: value.to_owned(), space: true }
    }
}

impl Words {
    pub(super) fn new(engine: Arc<dyn Engine>, ctx: Arc<Mutex<Ctx>>, runtime: Handle) -> Self {
        Self { engine, ctx, runtime }
    }

    /// Asks for what may stand at the end of `text`; answers where it begins.
    async fn choices(&self, text: &str) -> Result<(usize, Vec<Choice>)> {
        let ctx = self.ctx.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match asked(text) {
            Asked::Nothing => Ok((text.len(), Vec::new())),
            Asked::Command { typed, start } => {
                let known = COMMANDS.iter().filter(|command| command.starts_with(&typed));
                Ok((start, known.map(|command| Choice::word(command)).collect()))
            }
            Asked::Word { typed, start, only_connections, path_follows } => {
                let lower = typed.to_lowercase();
                let mut found: Vec<Choice> = Vec::new();
                for name in self.engine.connection_names(&ctx).await? {
                    if !name.as_str().to_lowercase().starts_with(&lower) {
                        continue;
                    }
                    let shown = name.to_string();
                    found.push(if path_follows {
                        Choice { value: format!("{shown}.\""), shown, space: false }
                    } else {
                        Choice::word(&shown)
                    });
                }
                if !only_connections && !typed.is_empty() {
                    let upper = typed.to_uppercase();
                    let keywords = windlass_core::sql::KEYWORDS.iter();
                    found.extend(
                        keywords.filter(|word| word.starts_with(&upper)).map(|word| Choice::word(word)),
                    );
                }
                Ok((start, found))
            }
            Asked::Path { connection, typed, start } => {
                let storage = self.engine.storage(&ctx, &connection).await?;
                // Buckets until the first `/`, then one level at a time.
                let level = if storage.binding().bucket.is_none() && !typed.contains('/') {
                    ""
                } else {
                    typed.as_str()
                };
                let location = storage.binding().resolve(level)?;
                let options = ListOptions { display: true, ..ListOptions::default() };
                let mut entries = storage.list(&location, options);
                let mut found = Vec::new();
                while let Some(entry) = entries.try_next().await? {
                    let mut path = entry.path;
                    if entry.kind == EntryKind::Bucket && !path.ends_with('/') {
                        path.push('/');
                    }
                    if !path.starts_with(&typed) {
                        continue;
                    }
                    let whole = entry.kind == EntryKind::Object;
                    let end = if whole { "\"" } else { "" };
                    let value = format!("{}{end}", path.replace('"', "\"\""));
                    let from = path.trim_end_matches('/').rfind('/').map_or(0, |at| at + 1);
                    let shown = crate::render::text::safe(&path[from..]).into_owned();
                    // What the terminal would not show cannot be typed either.
                    if !value.contains(crate::render::text::is_harmful) {
                        found.push(Choice { value, shown, space: false });
                    }
                    if found.len() >= MOST {
                        break;
                    }
                }
                Ok((start, found))
            }
        }
    }
}

impl Completer for Words {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let text = line.get(..pos).unwrap_or(line);
        let asking = async { tokio::time::timeout(PATIENCE, self.choices(text)).await };
        // What cannot be reached in time simply is not suggested.
        let (start, choices) = match self.runtime.block_on(asking) {
            Ok(Ok(found)) => found,
            _ => (pos, Vec::new()),
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

    #[test]
    fn what_is_asked_for_depends_on_what_stands_before() {
        assert_eq!(
            asked("SELECT * FROM landing.\"b/or"),
            Asked::Path {
                connection: Name::parse("landing").unwrap(),
                typed: "b/or".to_owned(),
                start: 23
            }
        );
        assert!(matches!(asked("SELECT * FROM \"My \"\"C\".\"b"), Asked::Nothing | Asked::Path { .. }));
        assert_eq!(asked("SELECT 'lan"), Asked::Nothing);
        assert_eq!(asked("SELECT \"a"), Asked::Nothing);
        assert!(matches!(asked("TEST CONNECTION l"), Asked::Word { only_connections: true, .. }));
        assert!(matches!(asked("select * from "), Asked::Word { path_follows: true, start: 14, .. }));
        assert_eq!(asked("\\ti"), Asked::Command { typed: "\\ti".to_owned(), start: 0 });
    }

    #[tokio::test]
    async fn connections_keywords_and_paths_are_completed() {
        let storage = MemoryStorage::new("landing");
        storage.insert("acme", "orders/a \"1\".csv", b"1");
        storage.insert("acme", "other", b"1");
        let engine = Arc::new(FakeEngine::with(storage));
        let ctx = Arc::new(Mutex::new(Ctx::default()));
        let words = Words::new(engine, ctx, Handle::current());
        let values = async |text: &str| -> Vec<String> {
            let (_, found) = words.choices(text).await.unwrap();
            found.into_iter().map(|choice| choice.value).collect()
        };
        assert_eq!(values("TEST CONNECTION la").await, ["landing"]);
        assert_eq!(values("SELECT * FROM lan").await, ["landing.\""]);
        assert!(values("CONN").await.contains(&"CONNECTION".to_owned()));
        assert_eq!(values("LIST landing.\"ac").await, ["acme/"]);
        assert_eq!(values("LIST landing.\"acme/o").await, ["acme/orders/", "acme/other\""]);
        assert_eq!(values("LIST landing.\"acme/orders/").await, ["acme/orders/a \"\"1\"\".csv\""]);
        assert_eq!(values("\\t").await, ["\\timing"]);
    }
}
