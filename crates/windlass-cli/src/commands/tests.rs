use super::*;
use crate::console::Console;
use crate::fake::{FakeEngine, MemoryStorage, Ran, ran};
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn storage() -> MemoryStorage {
    let storage = MemoryStorage::new("landing");
    storage.insert("acme", "notes.txt", b"one\ntwo\nthree\n");
    storage.insert("acme", "orders/dt=1/a.csv", b"12345");
    storage.insert("acme", "orders/dt=1/b.json", b"123");
    storage.insert("acme", "orders/dt=2/a.csv", b"1");
    storage.insert("acme", "orders2/x", b"keep");
    storage.insert("acme", "q?and#/z.txt", b"odd");
    storage
}

fn engine() -> Arc<FakeEngine> {
    Arc::new(FakeEngine::with(storage()))
}

async fn run_line(line: &str) -> Ran {
    run_with(&engine(), line, "").await
}

async fn run_with(engine: &Arc<FakeEngine>, line: &str, input: &str) -> Ran {
    let words: Vec<&str> = line.split(' ').collect();
    ran(engine.clone(), &words, Console::captured(input)).await
}

#[test]
fn numbers_of_things_read_well() {
    assert_eq!(counted(0, "object"), "0 objects");
    assert_eq!(counted(1, "object"), "1 object");
    assert_eq!(counted(1_234_567, "row"), "1,234,567 rows");
}

#[tokio::test]
async fn ls_shows_one_level_and_with_r_everything_below() {
    let ran = run_line("ls landing:acme/").await;
    let lines: Vec<&str> = ran.out.lines().map(str::trim_start).collect();
    assert_eq!(
        lines,
        ["14 B  2026-01-01 00:00:00Z  STANDARD      notes.txt", "orders/", "orders2/", "q?and#/"]
    );
    assert_eq!(run_line("ls -r landing:acme/orders/").await.out.lines().count(), 3);
    assert_eq!(run_line("ls landing:").await.out.trim(), "acme/");
    assert_eq!(run_line("ls landing:nothing/").await.out, "");
}

#[tokio::test]
async fn ls_rows_are_those_of_the_contract() {
    let ran = run_line("ls -o json landing:acme/orders/dt=1/a.csv").await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(
        ran.out,
        concat!(
            r#"[{"key":"orders/dt=1/a.csv","kind":"object","path":"acme/orders/dt=1/a.csv","size":5,"#,
            r#""last_modified":"2026-01-01T00:00:00Z","etag":"e1","storage_class":"STANDARD"}]"#,
            "\n"
        )
    );
    let ran = run_line("ls -o csv landing:").await;
    assert_eq!(
        ran.out,
        "key,kind,path,size,last_modified,etag,storage_class\nacme,bucket,acme,,,,\n"
    );
}

#[tokio::test]
async fn ls_takes_patterns_filters_and_limits() {
    let names = async |line: &str| -> Vec<String> {
        let ran = run_line(line).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        let rows =
            ran.out.lines().map(|row| serde_json::from_str::<serde_json::Value>(row).unwrap());
        rows.map(|row| row["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        names("ls -o jsonl landing:acme/orders/dt=*/*.csv").await,
        ["orders/dt=1/a.csv", "orders/dt=2/a.csv"]
    );
    assert_eq!(names("ls -o jsonl landing:acme/ord*").await, ["orders/", "orders2/"]);
    assert_eq!(
        names("ls -r -o jsonl --include **/*.csv --min-size 2 landing:acme/orders/").await,
        ["orders/dt=1/a.csv"]
    );
    assert_eq!(names("ls -r -o jsonl --limit 1 landing:acme").await, ["notes.txt"]);
    assert_eq!(
        names("ls -r -o jsonl --exclude dt=1/** landing:acme/orders/").await,
        ["orders/dt=2/a.csv"]
    );
}

#[tokio::test]
async fn cat_writes_bytes_and_ranges() {
    assert_eq!(run_line("cat landing:acme/notes.txt").await.out, "one\ntwo\nthree\n");
    assert_eq!(run_line("cat --range 4-6 landing:acme/notes.txt").await.out, "two");
    assert_eq!(run_line("cat --range=-6 landing:acme/notes.txt").await.out, "three\n");
    assert_eq!(run_line("cat landing:acme/q?and#/z.txt").await.out, "odd");
    let ran = run_line("cat landing:acme/nothing").await;
    assert_eq!((ran.code, ran.err.as_str()), (1, "error[object.not_found]: no object `nothing`\n"));
    let ran = run_line("cat landing:acme").await;
    assert!(ran.err.starts_with("error[path.invalid]"), "{}", ran.err);
}

#[tokio::test]
async fn head_stops_where_it_should() {
    assert_eq!(run_line("head landing:acme/notes.txt").await.out, "one\ntwo\nthree\n");
    assert_eq!(run_line("head -n 2 landing:acme/notes.txt").await.out, "one\ntwo\n");
    assert_eq!(run_line("head -n 0 landing:acme/notes.txt").await.out, "");
    assert_eq!(run_line("head -c 5 landing:acme/notes.txt").await.out, "one\nt");
}

#[tokio::test]
async fn stat_says_what_is_known() {
    let ran = run_line("stat -o jsonl landing:acme/notes.txt").await;
    let row: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((row["key"].as_str(), row["size"].as_u64()), (Some("notes.txt"), Some(14)));
    assert_eq!(row["last_modified"], "2026-01-01T00:00:00Z");
    let ran = run_line("stat landing:acme/notes.txt").await;
    assert!(ran.out.contains("│ size ") && ran.out.contains("14 B"), "{}", ran.out);
}

#[tokio::test]
async fn du_sums_up_per_folder_and_in_all() {
    for line in ["du landing:acme/orders/", "du landing:acme/orders"] {
        let ran = run_line(line).await;
        let lines: Vec<&str> = ran.out.lines().map(str::trim_start).collect();
        assert_eq!(
            lines[..2],
            ["8 B     2 objects  acme/orders/dt=1/", "1 B      1 object  acme/orders/dt=2/"]
        );
        assert!(lines[2].starts_with("9 B     3 objects  acme/orders"), "{}", lines[2]);
    }
    let ran = run_line("du -s -o jsonl landing:acme").await;
    assert_eq!(ran.out, "{\"path\":\"acme\",\"objects\":6,\"bytes\":30}\n");
}

#[tokio::test]
async fn diff_names_what_is_on_one_side_and_what_differs() {
    let engine = engine();
    engine.storage.insert("copy", "dt=1/a.csv", b"12345");
    engine.storage.insert("copy", "dt=1/b.json", b"1234");
    engine.storage.insert("copy", "dt=3/c.csv", b"1");
    let ran = run_with(&engine, "diff --exit-code landing:acme/orders/ landing:copy", "").await;
    assert_eq!((ran.code, ran.err.as_str()), (1, "3 differences\n"));
    assert_eq!(
        ran.out,
        "! dt=1/b.json (3 B, 4 B) in size\n< dt=2/a.csv (1 B)\n> dt=3/c.csv (1 B)\n"
    );
    let ran = run_with(&engine, "diff -o jsonl landing:acme/orders/ landing:copy", "").await;
    assert_eq!(ran.code, 0);
    let row: serde_json::Value = serde_json::from_str(ran.out.lines().next().unwrap()).unwrap();
    assert_eq!((row["kind"].as_str(), row["left_size"].as_u64()), (Some("differs"), Some(3)));
}

#[tokio::test]
async fn rm_deletes_one_key_and_reports_a_slip() {
    let engine = engine();
    let ran = run_with(&engine, "rm landing:acme/notes.txt", "").await;
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert_eq!(ran.err, "1 object deleted (14 B)\n");
    assert!(engine.storage.bytes("acme", "notes.txt").is_none());
    let ran = run_with(&engine, "rm landing:acme/notes.txt", "").await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("error[object.not_found]"), "{}", ran.err);
    let ran = run_with(&engine, "rm landing:acme", "").await;
    assert!(ran.err.contains("hint: `rm -r`"), "{}", ran.err);
}

#[tokio::test]
async fn rm_r_refuses_to_delete_unasked_where_it_cannot_ask() {
    let engine = engine();
    let ran = run_with(&engine, "rm -r landing:acme/orders/", "y\n").await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.starts_with("error[usage.invalid]") && ran.err.contains("--yes"),
        "{}",
        ran.err
    );
    assert_eq!(engine.storage.keys("acme").len(), 6);
}

#[tokio::test]
async fn rm_r_asks_with_counts_on_a_terminal_and_only_yes_deletes() {
    for (answer, left, code) in [("n\n", 6, 1), ("\n", 6, 1), ("y\n", 3, 0)] {
        let engine = engine();
        let (console, out, err) = Console::captured(answer);
        let console = (console.on_a_terminal(80), out, err);
        let ran = ran(engine.clone(), &["rm", "-r", "landing:acme/orders"], console).await;
        assert!(
            ran.err.starts_with("delete 3 objects (9 B) below `landing:acme/orders/`? [y/N]"),
            "{}",
            ran.err
        );
        assert_eq!((engine.storage.keys("acme").len(), ran.code), (left, code));
    }
}

#[tokio::test]
async fn rm_r_takes_its_path_as_a_folder_and_looks_again_until_nothing_is_left() {
    let engine = engine();
    let ran = run_with(&engine, "rm -r --yes landing:acme/orders", "").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(engine.storage.keys("acme"), ["notes.txt", "orders2/x", "q?and#/z.txt"]);
    assert_eq!(engine.storage.lists.load(Ordering::Relaxed), 2);
    let ran = run_with(&engine, "rm -r --yes landing:acme/order", "").await;
    assert!(ran.code == 1 && ran.err.starts_with("error[object.not_found]"), "{}", ran.err);
}

#[tokio::test]
async fn rm_dry_runs_show_and_keep_everything() {
    let engine = engine();
    let ran = run_with(&engine, "rm -r --dry-run landing:acme/orders/dt=1/", "").await;
    assert_eq!(
        ran.out,
        "delete landing:acme/orders/dt=1/a.csv (5 B)\ndelete landing:acme/orders/dt=1/b.json (3 B)\n"
    );
    assert_eq!(ran.err, "2 objects would be deleted (8 B)\n");
    assert_eq!(engine.storage.keys("acme").len(), 6);
}

#[tokio::test]
async fn what_could_not_be_deleted_is_named_and_exits_3() {
    let mut storage = storage();
    storage.stubborn.insert("orders/dt=1/a.csv".to_owned());
    let engine = Arc::new(FakeEngine::with(storage));
    let ran = run_with(&engine, "rm -r --yes -o json landing:acme/orders/", "").await;
    assert_eq!(ran.code, 3);
    assert_eq!(ran.out, "{\"deleted\":2,\"failed\":1,\"bytes\":4,\"dry_run\":false}\n");
    assert!(ran.err.contains("`landing:acme/orders/dt=1/a.csv` was not deleted"), "{}", ran.err);
}

#[tokio::test]
async fn a_read_only_connection_is_refused_before_anything_is_asked() {
    let mut storage = storage();
    storage.read_only = true;
    let engine = Arc::new(FakeEngine::with(storage));
    let ran = run_with(&engine, "rm -r --yes landing:acme/orders/", "").await;
    assert!(ran.code == 1 && ran.err.starts_with("error[connection.read_only]"), "{}", ran.err);
}

#[tokio::test]
async fn cp_reports_a_summary_and_items_by_format() {
    let ran = run_line("cp landing:acme/a landing:acme/b").await;
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert_eq!(ran.err, "1 object copied (5 B) in 0.5 s\n");
    let ran = run_line("cp -o jsonl landing:acme/a landing:acme/b").await;
    let rows: Vec<serde_json::Value> =
        ran.out.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(
        (rows[0]["action"].as_str(), rows[0]["status"].as_str()),
        (Some("copy"), Some("done"))
    );
    assert_eq!((rows[1]["copied"].as_u64(), rows[1]["dry_run"].as_bool()), (Some(1), Some(false)));
    let ran = run_line("cp --dry-run landing:acme/a landing:acme/b").await;
    assert_eq!(ran.out, "copy   a -> b (5 B)\n");
    let ran = run_line("cp -q landing:acme/fail landing:acme/b").await;
    // All that there was failed: an error, not a part.
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.starts_with("warning: `fail`: it changed\nerror[object.changed]: nothing was done"),
        "{}",
        ran.err
    );
    let ran = run_line("mv landing:acme/a -").await;
    assert!(ran.code == 1 && ran.err.starts_with("error[usage.invalid]"), "{}", ran.err);
}

#[tokio::test]
async fn cp_reads_standard_input_and_writes_standard_output() {
    let engine = engine();
    let ran = run_with(&engine, "cp - landing:acme/new.txt", "piped").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(engine.storage.bytes("acme", "new.txt").unwrap(), "piped");
    let ran = run_with(&engine, "cp landing:acme/new.txt -", "").await;
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("piped", ""));
    let ran = run_with(&engine, "cp - landing:acme/folder/", "x").await;
    assert!(ran.code == 1 && ran.err.starts_with("error[path.invalid]"), "{}", ran.err);
}

#[tokio::test]
async fn a_long_stream_goes_up_in_parts_and_is_whole() {
    let engine = engine();
    let long: String = "0123456789abcdef".repeat((20 << 20) / 16);
    let ran = run_with(&engine, "cp -o json - landing:acme/long", &long).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(engine.storage.bytes("acme", "long").unwrap() == long.as_bytes());
    let row: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(row["bytes"].as_u64(), Some(20 << 20));
}

#[tokio::test]
async fn sql_prints_each_answer_and_stops_at_the_first_error() {
    let sql = async |args: &[&str], input: &str| {
        let words: Vec<&str> = ["sql"].iter().chain(args).copied().collect();
        ran(engine(), &words, Console::captured(input)).await
    };
    let ran = sql(&["-o", "json", "-c", "SELECT 1; CREATE x; SELECT 2"], "").await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "[{\"n\":7}]\n[{\"n\":7}]\n"));
    assert_eq!(ran.err, "warning: beware\ndone: CREATE x\n");
    let ran = sql(&["-o", "csv", "-c", "-"], "SELECT 1; SELECT 2;").await;
    assert_eq!(ran.out, "n\n7\n\nn\n7\n");
    let ran = sql(&[], "CREATE x;").await;
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("done: CREATE x\n", "warning: beware\n"));
    let ran = sql(&["-o", "json", "-c", "BAD; SELECT 1"], "").await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.starts_with("{\"error\":{\"code\":\"sql.syntax\""), "{}", ran.err);
    let ran = sql(&["-f", "/nowhere/x.sql"], "").await;
    assert!(ran.err.starts_with("error[local.not_found]"), "{}", ran.err);
}

#[tokio::test]
async fn a_failed_test_is_an_answer_and_exits_1() {
    let ran = run_line("connection test landing -o json").await;
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (1, "[{\"n\":7}]\n", ""));
    assert_eq!(run_line("connection list").await.code, 0);
    assert_eq!(run_line("connection show landing --sql").await.code, 0);
}

#[tokio::test]
async fn presigning_takes_only_objects_and_only_for_a_week() {
    let ran = run_line("presign --put --expires 10m landing:acme/a").await;
    assert_eq!(ran.out, "https://landing/acme/a?Put&600\n");
    assert_eq!(run_line("presign --expires 8d landing:acme/a").await.code, 1);
    assert_eq!(run_line("presign ./a").await.code, 1);
}

#[tokio::test]
async fn buckets_are_made_and_removed_by_name_only() {
    let engine = engine();
    assert_eq!(run_with(&engine, "mb landing:new", "").await.out, "bucket `new` made\n");
    assert_eq!(run_with(&engine, "rb landing:new/", "").await.out, "bucket `new` removed\n");
    let ran = run_with(&engine, "mb landing:new/folder", "").await;
    assert!(ran.err.starts_with("error[usage.invalid]"), "{}", ran.err);
    assert_eq!(run_with(&engine, "mb landing:", "").await.code, 1);
}

#[tokio::test]
async fn policies_and_keys_are_plain_answers() {
    let ran = run_line("policy landing --for full -o jsonl").await;
    assert_eq!(ran.out, "{\"Version\":\"landing\",\"Purpose\":\"full\"}\n");
    assert_eq!(run_line("key rotate").await.out, "1 sealed value resealed with a new key\n");
}

#[tokio::test]
async fn doctor_exits_1_when_a_check_failed() {
    let mut engine = FakeEngine::with(storage());
    engine.checks.push(windlass_core::engine::Check {
        check: "clock".to_owned(),
        status: "failed".to_owned(),
        message: "5 minutes off".to_owned(),
        hint: None,
    });
    let ran = run_with(&Arc::new(engine), "doctor -o jsonl", "").await;
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.out,
        "{\"check\":\"clock\",\"status\":\"failed\",\"message\":\"5 minutes off\",\"hint\":null}\n"
    );
}

#[tokio::test]
async fn serve_listens_on_loopback_only() {
    let ran = run_line("serve --listen 0.0.0.0:0").await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("error[server.listen]"), "{}", ran.err);
    let ran = run_line("serve --server http://127.0.0.1:1").await;
    assert!(ran.err.starts_with("error[usage.invalid]"), "{}", ran.err);
}

#[tokio::test]
async fn an_interrupt_ends_a_statement_with_130() {
    let (console, _, err) = Console::captured("");
    let cancel = tokio_util::sync::CancellationToken::new();
    let args = ["windlass", "sql", "-c", "WAIT"].map(std::ffi::OsString::from);
    let cli = crate::parse(args).unwrap();
    let engine = engine();
    let wiring = crate::Wiring::new(move |_| {
        let engine: Arc<dyn windlass_core::engine::Engine> = engine.clone();
        async move { Ok(engine) }
    });
    let running = crate::run_on(cli, wiring, Arc::new(console), cancel.clone());
    let stop = async {
        tokio::task::yield_now().await;
        cancel.cancel();
    };
    let (code, ()) = tokio::join!(running, stop);
    assert_eq!((code, err.text().as_str()), (130, "error[interrupted]: interrupted\n"));
}

/// A reader that has gone.
struct Gone;

impl std::io::Write for Gone {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_closed_pipe_ends_quietly() {
    for line in [
        "cat landing:acme/notes.txt",
        "ls -r landing:acme",
        "cp -o jsonl landing:acme/a landing:acme/b",
    ] {
        let err = crate::console::Captured::default();
        let console = Console::with_streams(Box::new(Gone), Box::new(err.clone()), "");
        let words: Vec<&str> = line.split(' ').collect();
        let ran = ran(engine(), &words, (console, crate::console::Captured::default(), err)).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
    }
}
