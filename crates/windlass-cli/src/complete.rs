//! What a shell offers at the cursor: commands, options and their values from the same definitions
//! that read them; connections and jobs from the engine; buckets, folders and keys from their services.
//!
//! A completion must be quick and never in the way: what takes long or fails offers nothing.

use crate::args::Cli;
use crate::{OpenRequest, Wiring};
use clap::CommandFactory as _;
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use futures::StreamExt as _;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;
use windlass_core::engine::{Answer, Ctx, Engine, ListOptions};
use windlass_core::json::objects;
use windlass_types::{Address, EntryKind, Location, Name, Result};

/// The environment variable by which a script of `windlass completion` asks; its value is the shell.
pub const VARIABLE: &str = "WINDLASS_COMPLETE";

/// How long a service may take to say what it holds.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Names offered at most.
const MOST: usize = 500;

/// Positional arguments that are places, by what their help calls them.
const PLACES: &[&str] = &["PATH", "SRC", "DST", "LEFT", "RIGHT", "CONN:BUCKET"];
/// Arguments that are the names of connections; below `job`, of jobs.
const CONNECTIONS: &[&str] = &["CONN", "NAME"];

/// The command whose arguments are jobs.
const JOB: &str = "job";

/// Answers a script: prints what may stand at the cursor, one a line. `args` are those of the process,
/// of which those behind `--` are the words typed, the last one unfinished; of bash they are the line up
/// to the cursor and the characters at which it parts words.
pub async fn complete(shell: &str, args: impl IntoIterator<Item = OsString>, wiring: Wiring) -> u8 {
    let mut typed: Vec<OsString> = args.into_iter().skip_while(|arg| arg != "--").skip(1).collect();
    let mut line = None;
    if shell == "bash" {
        let text = |at: usize| typed.get(at).map(|text| text.to_string_lossy().into_owned());
        let (whole, breaks) = (text(0).unwrap_or_default(), text(1).unwrap_or_default());
        let split = Line::split(&whole);
        typed = split.words.iter().map(OsString::from).collect();
        line = Some((split, breaks));
    }
    let offered = offered(typed, &wiring).await;
    let mut out = String::new();
    for candidate in offered {
        let value = candidate.get_value().to_string_lossy();
        if value.contains(char::is_control) {
            continue;
        }
        match &line {
            Some((line, breaks)) => match line.rest(&value, breaks) {
                Some(rest) => out.push_str(&rest),
                None => continue,
            },
            None => out.push_str(&value),
        }
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        if let (true, Some(help)) = (matches!(shell, "fish" | "powershell"), help.lines().next()) {
            out.push('\t');
            out.push_str(help);
        }
        out.push('\n');
    }
    let console = crate::Console::standard();
    u8::from(console.print(&out).and_then(|()| console.flush()).is_err())
}

/// What may stand where the last word is.
async fn offered(words: Vec<OsString>, wiring: &Wiring) -> Vec<CompletionCandidate> {
    let Some(last) = words.last().map(|word| word.to_string_lossy().into_owned()) else {
        return Vec::new();
    };
    let known = if last.starts_with(['-', '.', '/', '~']) {
        Known::default()
    } else {
        // What cannot be found out is not offered.
        known(&words, &last, wiring).await.unwrap_or_default()
    };
    let mut command = command(&known);
    let at = words.len() - 1;
    let here = std::env::current_dir().ok();
    clap_complete::engine::complete(&mut command, words, at, here.as_deref()).unwrap_or_default()
}

/// What was found out for the word at the cursor.
#[derive(Debug, Clone, Default)]
struct Known {
    /// Names of connections.
    connections: Vec<String>,
    /// Names of jobs.
    jobs: Vec<String>,
    /// Places, as they are typed.
    places: Vec<String>,
}

async fn known(words: &[OsString], last: &str, wiring: &Wiring) -> Result<Known> {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(words).ok();
    let given = |name: &str| -> Option<String> {
        matches.as_ref()?.try_get_one::<String>(name).ok().flatten().cloned()
    };
    let home = matches.as_ref().and_then(|it| it.try_get_one::<PathBuf>("home").ok().flatten());
    let request = OpenRequest { home: home.cloned(), server: given("server") };
    let engine = wiring.open(request).await?;
    let mut ctx = match given("fabric") {
        Some(fabric) => Ctx { fabric, ..Ctx::default() },
        None => Ctx::default(),
    };
    if matches.as_ref().is_some_and(|it| it.subcommand_name() == Some(JOB)) {
        let jobs = tokio::time::timeout(PATIENCE, jobs(&*engine, &mut ctx)).await;
        return Ok(Known { jobs: jobs.unwrap_or_else(|_| Ok(Vec::new()))?, ..Known::default() });
    }
    if !last.contains(':') {
        let names = engine.connection_names(&ctx).await?;
        let connections: Vec<String> = names.iter().map(ToString::to_string).collect();
        let places = connections.iter().map(|name| format!("{name}:")).collect();
        return Ok(Known { connections, places, ..Known::default() });
    }
    let places = tokio::time::timeout(PATIENCE, places(&*engine, &ctx, last)).await;
    Ok(Known { places: places.unwrap_or_else(|_| Ok(Vec::new()))?, ..Known::default() })
}

/// Names of jobs.
async fn jobs(engine: &dyn Engine, ctx: &mut Ctx) -> Result<Vec<String>> {
    let mut answers = engine.sql(ctx, "SELECT name FROM system.jobs ORDER BY name");
    let mut found = Vec::new();
    while let Some(answer) = answers.next().await {
        let Answer::Rows { mut batches, .. } = answer? else { continue };
        while let Some(batch) = batches.next().await {
            for row in objects(&batch?)? {
                if let Some(name) = row["name"].as_str() {
                    found.push(Name::new(name)?.to_string());
                }
            }
        }
    }
    Ok(found)
}

/// What begins as the path does that was typed so far.
async fn places(engine: &dyn Engine, ctx: &Ctx, typed: &str) -> Result<Vec<String>> {
    let url = ["s3://", "s3a://"].into_iter().find(|scheme| typed.starts_with(scheme));
    let (before, connection, path) = match url {
        Some(scheme) => (scheme.to_owned(), Name::new("s3")?, typed[scheme.len()..].to_owned()),
        None => match Address::parse(typed)? {
            Address::Remote { connection, path } => (format!("{connection}:"), connection, path),
            _ => return Ok(Vec::new()),
        },
    };
    let storage = engine.storage(ctx, &connection).await?;
    let bound = storage.binding().bucket.is_some() && url.is_none();
    let location = if bound || path.contains('/') {
        storage.binding().resolve_any(&match url {
            Some(scheme) => format!("{scheme}{path}"),
            None => path.clone(),
        })?
    } else {
        Location { bucket: None, key: String::new() }
    };
    let how = ListOptions { display: true, ordered: true, ..ListOptions::default() };
    let mut found = Vec::new();
    let mut entries = storage.list(&location, how);
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        let end = if entry.kind == EntryKind::Bucket { "/" } else { "" };
        let rest = match (url, entry.kind, &location.bucket) {
            (Some(_), EntryKind::Prefix | EntryKind::Object, Some(bucket)) => {
                format!("{bucket}/{}", entry.key)
            }
            (Some(_), ..) => entry.key,
            _ => entry.path,
        };
        if rest.starts_with(&path) {
            found.push(format!("{before}{rest}{end}"));
        }
        if found.len() == MOST {
            break;
        }
    }
    Ok(found)
}

/// Offers places, or files of this machine where there are none.
struct Places(Vec<String>);

impl ValueCompleter for Places {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        let text = current.to_string_lossy();
        let mut found: Vec<CompletionCandidate> = self
            .0
            .iter()
            .filter(|place| place.starts_with(&*text))
            .map(|place| CompletionCandidate::new(place.clone()))
            .collect();
        if !text.contains(':') {
            found.extend(PathCompleter::any().complete(current));
        }
        found
    }
}

/// The tree of commands, with what their arguments may be.
fn command(known: &Known) -> clap::Command {
    fn with(command: clap::Command, known: &Known, of_jobs: bool) -> clap::Command {
        let of_jobs = of_jobs || command.get_name() == JOB;
        let command = command.mut_subcommands(|sub| with(sub, known, of_jobs));
        let ids: Vec<(String, bool)> = command
            .get_positionals()
            .filter_map(|arg| {
                let called = arg.get_value_names()?.first()?.as_str();
                let place = PLACES.contains(&called);
                let named = CONNECTIONS.contains(&called) || (of_jobs && called == "WHAT");
                (place || named).then(|| (arg.get_id().to_string(), place))
            })
            .collect();
        ids.into_iter().fold(command, |command, (id, place)| {
            let names = if of_jobs { known.jobs.clone() } else { known.connections.clone() };
            let places = known.places.clone();
            command.mut_arg(id, |arg| {
                arg.add(if place {
                    ArgValueCompleter::new(Places(places))
                } else {
                    ArgValueCompleter::new(move |current: &OsStr| {
                        let text = current.to_string_lossy();
                        names
                            .iter()
                            .filter(|name| name.starts_with(&*text))
                            .map(|name| CompletionCandidate::new(name.clone()))
                            .collect()
                    })
                })
            })
        })
    }
    with(Cli::command(), known, false)
}

/// A line of bash up to the cursor.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// The words of its last command, as they will be; the last one is at the cursor.
    words: Vec<String>,
    /// Whether the last word stands in quotes that are open.
    quoted: bool,
}

impl Line {
    fn split(line: &str) -> Self {
        let mut words: Vec<String> = vec![String::new()];
        let (mut quote, mut begun) = (None, false);
        let mut rest = line.chars();
        while let Some(c) = rest.next() {
            let last = words.len() - 1;
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (Some('"') | None, '\\') => words[last].extend(rest.next()),
                (None, '\'' | '"') => (quote, begun) = (Some(c), true),
                (None, ' ' | '\t' | '\n') => {
                    if begun || !words[last].is_empty() {
                        words.push(String::new());
                    }
                    begun = false;
                }
                (None, ';' | '|' | '&' | '(') => words = vec![String::new()],
                (_, c) => words[last].push(c),
            }
        }
        // `NAME=value` before the command.
        let settings = words.iter().take_while(|word| word.contains('=')).count();
        words.drain(..settings.min(words.len() - 1));
        Self { words, quoted: quote.is_some() }
    }

    /// What bash puts in the place of what it takes for the last word: that begins behind the last
    /// `:` or `=` of ours. None if the candidate does not go on from there.
    fn rest(&self, candidate: &str, breaks: &str) -> Option<String> {
        if self.quoted {
            return Some(candidate.to_owned());
        }
        let typed = self.words.last().map(String::as_str).unwrap_or_default();
        let cut = typed.rfind(|c| matches!(c, ':' | '=') && breaks.contains(c));
        let rest = candidate.get(cut.map_or(0, |at| at + 1)..)?;
        let mut out = String::new();
        for c in rest.chars() {
            if !(c.is_alphanumeric() || "_-./:=@%+,~".contains(c)) {
                out.push('\\');
            }
            out.push(c);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeEngine, MemoryStorage};
    use std::sync::Arc;

    async fn offers(line: &str) -> Vec<String> {
        let storage = MemoryStorage::new("landing");
        for key in ["orders/a b.csv", "orders/b.csv", "orders2/x", "notes.txt"] {
            storage.insert("acme", key, b"1");
        }
        let engine = Arc::new(FakeEngine::with(storage));
        let wiring = Wiring::new(move |_| {
            let engine: Arc<dyn Engine> = engine.clone();
            async move { Ok(engine) }
        });
        let split = Line::split(line);
        let words = split.words.iter().map(OsString::from).collect();
        let found = offered(words, &wiring).await;
        found
            .iter()
            .filter_map(|one| split.rest(&one.get_value().to_string_lossy(), "\"'><=;|&(:"))
            .collect()
    }

    #[tokio::test]
    async fn commands_options_and_values_are_offered() {
        assert!(offers("windlass un").await.contains(&"undelete".to_owned()));
        assert_eq!(offers("windlass ls --versi").await, ["--versions"]);
        assert_eq!(offers("windlass completion fi").await, ["fish"]);
        assert_eq!(offers("windlass -o jso").await, ["json", "jsonl"]);
    }

    #[tokio::test]
    async fn connections_buckets_folders_and_keys_are_offered() {
        assert_eq!(offers("windlass ls land").await, ["landing:"]);
        assert_eq!(offers("windlass connection test l").await, ["landing"]);
        assert_eq!(offers("windlass policy l").await, ["landing"]);
        for verb in ["run", "show", "logs", "cancel"] {
            assert_eq!(offers(&format!("windlass job {verb} n")).await, ["nightly"], "{verb}");
        }
        assert!(offers("windlass job run l").await.is_empty(), "a connection is no job");
        assert_eq!(offers("windlass ls landing:a").await, ["acme/"]);
        assert_eq!(
            offers("gzip x | A=b windlass cp - landing:acme/or").await,
            ["acme/orders/", "acme/orders2/"]
        );
        assert_eq!(
            offers("windlass cat landing:acme/orders/").await,
            ["acme/orders/a\\ b.csv", "acme/orders/b.csv"]
        );
        assert_eq!(
            offers("windlass cat 'landing:acme/orders/a ").await,
            ["landing:acme/orders/a b.csv"]
        );
        assert!(offers("windlass ls nowhere:").await.is_empty());
    }

    #[test]
    fn a_line_is_parted_as_bash_does() {
        let words = |line| Line::split(line).words;
        assert_eq!(
            words("X=1 windlass cat 'a b' c\\ d \"e"),
            ["windlass", "cat", "a b", "c d", "e"]
        );
        assert_eq!(words("windlass "), ["windlass", ""]);
        assert_eq!(words("a; windlass ls"), ["windlass", "ls"]);
        assert!(Line::split("windlass 'x").quoted);
    }
}
