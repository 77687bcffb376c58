//! Jobs and runs through the built binary: made, run, scheduled, paused, cancelled, taken over.

mod common;

use common::{Home, Server};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use windlass_testkit::{Fault, FaultKind, TestS3};

/// A home with the connections `lake` (S3) and `disk` (a folder), which is answered.
async fn furnished() -> (TestS3, Home, std::path::PathBuf) {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().create_bucket("copy");
    for key in ["in/a.csv", "in/b.csv", "in/c.txt"] {
        s3.state().put("lake", key, "1,2,3\n");
    }
    let (id, secret) = s3.admin();
    let home = Home::new();
    home.connect("lake", &s3.endpoint(), &id, &secret, "").good();
    let folder = home.scratch("disk");
    std::fs::create_dir(&folder).unwrap();
    home.sql(&format!("CREATE LOCAL CONNECTION disk ROOT = '{}'", folder.display())).good();
    (s3, home, folder)
}

/// Asks again until the statement answers what is wanted.
fn until(home: &Home, statement: &str, wanted: impl Fn(&[serde_json::Value]) -> bool) {
    let end = Instant::now() + Duration::from_mins(3);
    loop {
        let rows = home.rows(statement);
        if wanted(&rows) {
            return;
        }
        assert!(Instant::now() < end, "{statement}: {rows:#?}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_copied_and_moved_by_a_statement_which_leaves_a_run() {
    let (s3, home, folder) = furnished().await;
    let row = &home.rows(
        "COPY FILES FROM lake LOCATION = 'lake/in/' TO disk LOCATION = 'out/' INCLUDE = '*.csv'",
    )[0];
    assert_eq!((&row["copied"], &row["failed"], &row["bytes"]), (&2.into(), &0.into(), &12.into()));
    assert_eq!(row["dry_run"], false);
    assert!(row["seconds"].is_number());
    assert_eq!(std::fs::read(folder.join("out/a.csv")).unwrap(), b"1,2,3\n");
    assert!(!folder.join("out/c.txt").exists());
    // An absolute place, and a dry run: nothing is written.
    let text = "MOVE FILES FROM lake LOCATION = 's3://lake/in/c.txt' TO lake LOCATION = 's3://copy/moved/' DRY_RUN = TRUE";
    assert_eq!(home.rows(text)[0]["dry_run"], true);
    assert!(s3.state().get("lake", "in/c.txt").is_some());
    home.rows(&text.replace("DRY_RUN = TRUE", ""));
    assert!(s3.state().get("lake", "in/c.txt").is_none());
    assert!(s3.state().get("copy", "moved/c.txt").is_some());
    // Each was a run with its items; a copy of the command line is one too.
    let file = home.scratch("here.txt");
    std::fs::write(&file, "here").unwrap();
    let copied: serde_json::Value = serde_json::from_str(
        &home.run(&["-o", "json", "cp", file.to_str().unwrap(), "lake:copy/here.txt"]).good(),
    )
    .unwrap();
    let runs = home.rows("SELECT * FROM system.runs ORDER BY scheduled_for");
    let states: Vec<&str> = runs.iter().map(|run| run["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["succeeded"; 4], "{runs:#?}");
    assert_eq!(runs[3]["id"], copied["run"]);
    assert!(runs[3]["statement"].as_str().unwrap().starts_with("cp "));
    assert!(runs[0]["job"].is_null());
    let items = home.rows(&format!(
        "SELECT * FROM system.run_items WHERE run = '{}' ORDER BY source",
        runs[0]["id"].as_str().unwrap()
    ));
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["source"], "lake:lake/in/a.csv");
    assert_eq!(items[0]["status"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_copies_what_differs_and_deletes_when_asked() {
    let (s3, home, folder) = furnished().await;
    std::fs::create_dir(folder.join("out")).unwrap();
    std::fs::write(folder.join("out/extra.csv"), "extra").unwrap();
    let sync =
        "SYNC FILES FROM lake LOCATION = 'lake/in/' TO disk LOCATION = 'out/' WHERE = 'size < 100'";
    let row = &home.rows(sync)[0];
    assert_eq!((&row["copied"], &row["deleted"]), (&3.into(), &0.into()), "{row:#?}");
    s3.state().put("lake", "in/a.csv", "1,2,3,4\n");
    let row = &home.rows(&format!("{sync} DELETE = TRUE"))[0];
    assert_eq!(row["deleted"], 1, "{row:#?}");
    assert_eq!(std::fs::read(folder.join("out/a.csv")).unwrap(), b"1,2,3,4\n");
    assert!(!folder.join("out/extra.csv").exists());
    let row = &home.rows(&format!("{sync} DELETE = TRUE"))[0];
    assert_eq!(
        (&row["copied"], &row["updated"], &row["deleted"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert!(home.sql(&sync.replace("size < 100", "size <")).refused(1).contains("error["));
    assert_eq!(home.rows(&format!("{sync} CHECK = READ_BACK"))[0]["skipped"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_statement_of_files_cannot_do_is_said_before_anything_is_done() {
    let (_s3, home, folder) = furnished().await;
    let to_disk = "TO disk LOCATION = 'x/'";
    for (text, code) in [
        (format!("COPY FILES FROM nowhere LOCATION = 'x/' {to_disk}"), "connection.not_found"),
        (format!("COPY FILES FROM lake LOCATION = '' {to_disk}"), "path.invalid"),
        (format!("COPY FILES FROM lake LOCATION = 'lake/[' {to_disk}"), "path.invalid"),
        (
            format!("COPY FILES FROM lake LOCATION = 'lake/in/' {to_disk} INCLUDE = '['"),
            "path.invalid",
        ),
        (
            "COPY FILES FROM lake LOCATION = 'lake/in/' TO '/tmp/x' LOCATION = 'x'".to_owned(),
            "sql.syntax",
        ),
    ] {
        let said = home.sql(&text).refused(1);
        assert!(said.contains(code), "{text}: {said}");
    }
    assert!(std::fs::read_dir(&folder).unwrap().next().is_none());
    assert!(home.rows("SHOW RUNS").is_empty());
    // What fails while it runs is a failed run, and the statement's error.
    let missing = format!("COPY FILES FROM lake LOCATION = 'lake/missing' {to_disk}");
    assert!(home.sql(&missing).refused(1).contains("object.not_found"));
    let runs = home.rows("SHOW RUNS");
    assert_eq!(
        (&runs[0]["state"], &runs[0]["error"]),
        (&"failed".into(), &"object.not_found".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_fail_are_exit_code_three_and_rows() {
    let (s3, home, _) = furnished().await;
    for key in ["both/a", "both/b", "both/c"] {
        s3.state().put("lake", key, "x");
    }
    let denied =
        FaultKind::Error { status: 403, code: "AccessDenied".to_owned(), message: "no".to_owned() };
    s3.state().add_fault(Fault::new("GetObject", denied).on_key("both/b").always());
    home.sql("CREATE JOB both AS COPY FILES FROM lake LOCATION = 'lake/both/' TO disk LOCATION = 'both/'").good();
    let output = home.run(&["-o", "json", "job", "run", "both"]);
    assert_eq!(output.code, 3, "{output:?}");
    let rows: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(rows[0]["state"], "partial");
    assert_eq!((&rows[0]["copied"], &rows[0]["failed"]), (&2.into(), &1.into()));
    let failed = home.run(&["-o", "json", "job", "logs", "both", "--failed"]).json();
    assert_eq!(failed.as_array().unwrap().len(), 1);
    assert_eq!(failed[0]["status"], "failed");
    assert!(failed[0]["reason"].as_str().unwrap().contains("both/b"));
    // The same as a statement.
    let output =
        home.sql("COPY FILES FROM lake LOCATION = 'lake/both/' TO disk LOCATION = 'again/'");
    assert_eq!(output.code, 3, "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_made_shown_changed_and_dropped() {
    let (_s3, home, _) = furnished().await;
    let work = "AS COPY FILES FROM lake LOCATION = 'lake/in/' TO disk LOCATION = 'in/'";
    let output = home.sql(&format!(
        "CREATE JOB nightly SCHEDULE '30 2 * * *' TIME ZONE 'Europe/Paris' RETRIES = 3 COMMENT = 'it''s mine' {work}"
    ));
    assert!(output.stderr.contains("no `windlass serve` process"), "{}", output.stderr);
    output.good();
    // It prints as the statement that makes it.
    let text = home.run(&["-o", "json", "job", "show", "nightly", "--sql"]).json()[0]["statement"]
        .as_str()
        .unwrap()
        .to_owned();
    insta::assert_snapshot!(text, @r"
    CREATE JOB nightly
      SCHEDULE '30 2 * * *' TIME ZONE 'Europe/Paris'
      RETRIES = 3
      COMMENT = 'it''s mine'
    AS COPY FILES
      FROM lake LOCATION = 'lake/in/'
      TO disk LOCATION = 'in/';
    ");
    assert!(home.sql(&text).refused(1).contains("job.exists"));
    home.sql(&text.replace("CREATE JOB", "CREATE OR REPLACE JOB")).good();
    home.sql(&text.replace("CREATE JOB", "CREATE JOB IF NOT EXISTS")).good();
    let row = &home.rows("SHOW JOBS LIKE 'night%'")[0];
    assert_eq!((&row["state"], &row["retries"]), (&"active".into(), &3.into()));
    assert!(row["next_run_at"].is_string());
    home.sql(
        "ALTER JOB nightly SET EVERY MONTH ON (1, 15) AT '06:00' SET OVERLAP = QUEUE RESET COMMENT",
    )
    .good();
    let text = home.rows("SHOW CREATE JOB nightly")[0]["statement"].as_str().unwrap().to_owned();
    assert!(
        text.contains("EVERY MONTH ON (1, 15) AT ('06:00')") && text.contains("OVERLAP = 'QUEUE'"),
        "{text}"
    );
    assert!(!text.contains("COMMENT") && !text.contains("SCHEDULE"), "{text}");
    home.sql("ALTER JOB nightly RESET SCHEDULE").good();
    assert!(home.rows("SHOW JOBS")[0]["next_run_at"].is_null());
    let described = home.rows("DESCRIBE JOB nightly");
    let value = |name: &str| {
        described.iter().find(|row| row["property"] == name).map(|row| row["value"].clone())
    };
    assert_eq!(value("OVERLAP"), Some("QUEUE".into()));
    // A connection is kept while a job needs it.
    assert!(home.sql("DROP CONNECTION disk").refused(1).contains("connection.in_use"));
    for (text, code) in [
        (format!("CREATE JOB x SCHEDULE 'never' {work}"), "job.schedule"),
        (
            format!("CREATE JOB x SCHEDULE '0 6 * * *' TIME ZONE 'Mars/Olympus' {work}"),
            "job.schedule",
        ),
        (
            format!("CREATE JOB x ON ARRIVAL IN nowhere LOCATION = 'x/' {work}"),
            "connection.not_found",
        ),
        (format!("CREATE JOB x ALERT_ON = FAILED {work}"), "option.invalid"),
        ("CREATE JOB x AS SELECT 1".to_owned(), "sql.syntax"),
        ("DROP JOB nihgtly".to_owned(), "job.not_found"),
        ("RUN JOB nihgtly".to_owned(), "did you mean `nightly`"),
    ] {
        let said = home.sql(&text).refused(1);
        assert!(said.contains(code), "{text}: {said}");
    }
    for verb in ["logs", "runs"] {
        let said = home.run(&["job", verb, "nihgtly"]).refused(1);
        assert!(
            said.contains("job.not_found") && said.contains("did you mean `nightly`"),
            "{said}"
        );
        home.run(&["job", verb, "nightly"]).good();
    }
    let said = home.run(&["job", "logs", "rn_01997e6d0000700080000000000000a1"]).refused(1);
    assert!(said.contains("run.not_found"), "{said}");
    home.sql("DROP JOB nightly; DROP JOB IF EXISTS nightly; DROP CONNECTION disk").good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_at_its_times_while_a_server_is_there_and_not_when_paused() {
    let (s3, home, folder) = furnished().await;
    let server = Server::start(&home);
    let create = "CREATE JOB often EVERY 1 SECONDS AS COPY FILES FROM lake LOCATION = 'lake/in/' TO disk LOCATION = 'in/'";
    until(&home, "SHOW JOBS", <[serde_json::Value]>::is_empty);
    let output = home.sql(create);
    output.good();
    until(&home, "SHOW RUNS", |rows| {
        rows.iter().filter(|run| run["state"] == "succeeded" && run["cause"] == "interval").count()
            >= 2
    });
    assert!(folder.join("in/a.csv").exists());
    home.run(&["job", "pause", "often"]).good();
    until(&home, "SHOW RUNS", |rows| {
        rows.iter().all(|run| run["state"] != "running" && run["state"] != "queued")
    });
    let before = home.rows("SHOW RUNS").len();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(home.rows("SHOW RUNS").len(), before);
    // By hand it still runs, also over HTTP.
    let http = reqwest::Client::new();
    let api = |path: &str| format!("{}/api/v1{path}", server.url);
    let answer = http.post(api("/jobs/often/run")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let rows: serde_json::Value = answer.json().await.unwrap();
    assert_eq!((&rows[0]["state"], &rows[0]["cause"]), (&"succeeded".into(), &"manual".into()));
    let id = rows[0]["id"].as_str().unwrap();
    let run: serde_json::Value =
        http.get(api(&format!("/runs/{id}"))).send().await.unwrap().json().await.unwrap();
    assert_eq!(run["copied"], 3);
    let items: serde_json::Value = http
        .get(api(&format!("/runs/{id}/items?status=done")))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(items.as_array().unwrap().len(), 3);
    assert_eq!(http.post(api("/jobs/none/pause")).send().await.unwrap().status(), 404);
    assert_eq!(http.get(api("/runs/none")).send().await.unwrap().status(), 404);
    // Arrival: what is there, then what comes.
    home.sql(
        "CREATE JOB inbox ON ARRIVAL PATTERN = '*.csv' POLL = 1 SECONDS AS MOVE FILES FROM lake LOCATION = 'lake/inbox/' TO disk LOCATION = 'inbox/' INCLUDE = '*.csv'",
    )
    .good();
    s3.state().put("lake", "inbox/x.txt", "no");
    s3.state().put("lake", "inbox/x.csv", "yes");
    until(&home, "SELECT * FROM system.runs WHERE job = 'inbox' AND state = 'succeeded'", |rows| {
        !rows.is_empty()
    });
    assert!(folder.join("inbox/x.csv").exists() && !folder.join("inbox/x.txt").exists());
    assert!(s3.state().get("lake", "inbox/x.csv").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_tried_as_often_and_takes_as_long_as_it_says() {
    let (s3, home, _) = furnished().await;
    let work = "AS COPY FILES FROM lake LOCATION = 'lake/in/' TO disk LOCATION = 'x/'";
    for options in [
        "once RETRIES = 0",
        "twice RETRIES = 1 RETRY_DELAY = 1 SECOND",
        "brief RETRIES = 0 TIME_LIMIT = 1 SECOND",
    ] {
        home.sql(&format!("CREATE JOB {options} {work}")).good();
    }
    let run = |job: &str| {
        let output = home.run(&["-o", "json", "job", "run", job]);
        assert_eq!(output.code, 1, "{output:?}");
        let ended = format!("SELECT attempt, state, error FROM system.runs WHERE job = '{job}'");
        home.rows(&ended).remove(0)
    };
    // Wrong bytes are worth another try, and stay wrong.
    let wrong = Fault::new("GetObject", FaultKind::CorruptByte).on_key("in/*");
    s3.state().add_fault(wrong.always());
    for (job, attempts) in [("once", 1_u32), ("twice", 2)] {
        let ended = run(job);
        assert_eq!((&ended["attempt"], &ended["state"]), (&attempts.into(), &"failed".into()));
        assert_eq!(ended["error"], "object.corrupt", "{job}");
    }
    let said = home.rows("SELECT message FROM system.run_events WHERE job = 'twice'");
    // A quarter more or less than a second.
    let delay = |row: &serde_json::Value| {
        let text = row["message"].as_str().unwrap();
        text.contains("attempt 1 failed")
            && (text.ends_with("in 1 second") || text.ends_with("in 2 seconds"))
    };
    assert!(said.iter().any(delay), "{said:#?}");
    s3.state().clear_faults();
    s3.state().set_latency(Duration::from_hours(1));
    assert_eq!(run("brief")["error"], "run.time_limit");
    s3.state().set_latency(Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn arrivals_have_to_settle_and_those_of_before_need_not_count() {
    let (s3, home, _) = furnished().await;
    let _server = Server::start(&home);
    s3.state().put("lake", "quiet/a", "a");
    s3.state().put("copy", "later/a", "a");
    for (job, place, options) in
        [("quiet", "lake/quiet/", "SETTLE = 1 HOUR"), ("later", "copy/later/", "EXISTING = FALSE")]
    {
        home.sql(&format!(
            "CREATE JOB {job} ON ARRIVAL POLL = 1 SECOND {options} \
             AS COPY FILES FROM lake LOCATION = '{place}' TO disk LOCATION = '{job}/'"
        ))
        .good();
    }
    let looks = |job: &str| {
        let all = s3.state().requests().into_iter();
        all.filter(|it| it.operation == "ListObjectsV2" && it.query.contains(job)).count()
    };
    let end = Instant::now() + Duration::from_mins(3);
    while looks("quiet") < 4 || looks("later") < 4 {
        assert!(Instant::now() < end, "nobody looks");
        std::thread::sleep(Duration::from_millis(100));
    }
    let fired = "SELECT job, state FROM system.runs WHERE job IS NOT NULL ORDER BY job";
    assert!(home.rows(fired).is_empty(), "one is too young, the other was there before");
    s3.state().age("lake", Duration::from_hours(2));
    s3.state().put("copy", "later/b", "b");
    until(&home, fired, |rows| rows.iter().filter(|row| row["state"] == "succeeded").count() >= 2);
    let jobs: Vec<serde_json::Value> =
        home.rows(fired).into_iter().map(|mut row| row["job"].take()).collect();
    assert_eq!(jobs, ["later", "quiet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_server_was_killed_is_done_by_another() {
    let (s3, home, folder) = furnished().await;
    s3.state().put("lake", "big/one.bin", vec![7_u8; 40_000_000]);
    let mut first = Server::start(&home);
    home.sql("CREATE JOB big EVERY 1 DAYS AS COPY FILES FROM lake LOCATION = 'lake/big/' TO disk LOCATION = 'big/' CONCURRENCY = 1").good();
    // It cannot end before it is killed.
    s3.state().set_latency(Duration::from_hours(1));
    let http = reqwest::Client::new();
    let url = format!("{}/api/v1/jobs/big/run", first.url);
    let asked = tokio::spawn(async move { http.post(url).send().await.map(drop) });
    until(&home, "SHOW RUNS", |rows| rows.iter().any(|run| run["state"] == "running"));
    first.kill();
    let _ = asked.await;
    s3.state().set_latency(Duration::ZERO);
    let _second = Server::start(&home);
    until(&home, "SHOW RUNS", |rows| rows.iter().any(|run| run["state"] == "succeeded"));
    let runs = home.rows("SHOW RUNS");
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert!(runs[0]["takeovers"].as_u64().unwrap() >= 1, "{runs:#?}");
    assert_eq!(std::fs::metadata(folder.join("big/one.bin")).unwrap().len(), 40_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_killed_copies_only_what_is_missing_and_tells_of_all() {
    let (s3, home, folder) = furnished().await;
    // What the destination had before the run is written all the same.
    std::fs::create_dir(folder.join("in")).unwrap();
    std::fs::write(folder.join("in/c.txt"), "1,2,3\n").unwrap();
    let mut first = Server::start(&home);
    home.sql(
        "CREATE JOB j AS COPY FILES FROM lake LOCATION = 'lake/in/' TO disk LOCATION = 'in/' \
         CONCURRENCY = 1 TRIGGER_FILE = '_DONE' REPORT = (LOCATION = 'reports/')",
    )
    .good();
    let stall = FaultKind::Delay(Duration::from_mins(30));
    s3.state().add_fault(Fault::new("GetObject", stall).on_key("in/c.txt").always());
    let http = reqwest::Client::new();
    let url = format!("{}/api/v1/jobs/j/run", first.url);
    let asked = tokio::spawn(async move { http.post(url).send().await.map(drop) });
    until(&home, "SELECT * FROM system.run_items WHERE status = 'done'", |rows| rows.len() == 2);
    first.kill();
    let _ = asked.await;
    s3.state().clear_faults();
    s3.state().clear_requests();
    let _second = Server::start(&home);
    until(&home, "SHOW RUNS", |rows| rows.iter().any(|run| run["state"] == "succeeded"));
    assert_eq!(s3.state().count("GetObject"), 1, "c.txt alone was missing");
    let run = &home.rows("SHOW RUNS")[0];
    assert_eq!((&run["copied"], &run["skipped"]), (&3.into(), &0.into()), "{run:#?}");
    assert_eq!(run["bytes"], 18);
    let id = run["id"].as_str().unwrap();
    let items = home.rows(&format!(
        "SELECT source, status FROM system.run_items WHERE run = '{id}' ORDER BY source"
    ));
    let sources: Vec<&str> = items.iter().map(|item| item["source"].as_str().unwrap()).collect();
    assert_eq!(sources, ["lake:lake/in/a.csv", "lake:lake/in/b.csv", "lake:lake/in/c.txt"]);
    assert!(items.iter().all(|item| item["status"] == "done"), "{items:#?}");
    let report = std::fs::read_to_string(folder.join(format!("reports/{id}.csv"))).unwrap();
    assert_eq!(report.lines().count(), 4, "{report}");
    assert_eq!(report.matches("done by an earlier attempt of this run").count(), 2, "{report}");
    assert!(folder.join("in/_DONE").exists());
    // No run, and none of this fabric.
    assert!(home.rows("SELECT * FROM system.run_items WHERE run = 'nonsense'").is_empty());
    home.sql("CREATE FABRIC other").good();
    let other = home.run(&["--fabric", "other", "-o", "json", "job", "logs", id]);
    assert!(other.refused(1).contains("run.not_found"));
}

/// Takes POSTs of JSON, and keeps their bodies.
fn sink() -> (u16, Arc<Mutex<Vec<serde_json::Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken: Arc<Mutex<Vec<serde_json::Value>>> = Arc::default();
    let bodies = Arc::clone(&taken);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            bodies.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
        }
    });
    (port, taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_lead_to_their_run_and_need_no_server() {
    let (_s3, mut home, _) = furnished().await;
    let (port, taken) = sink();
    home.sql(&format!(
        "CREATE JOB j ALERT_WEBHOOK = 'http://127.0.0.1:{port}/hook' ALERT_ON = (SUCCESS) \
         AS COPY FILES FROM lake LOCATION = 'lake/in/' TO disk LOCATION = 'in/'"
    ))
    .good();
    let told = |number: usize| {
        let end = Instant::now() + Duration::from_mins(3);
        while taken.lock().unwrap().len() < number {
            assert!(Instant::now() < end, "nobody was told");
            std::thread::sleep(Duration::from_millis(50));
        }
        taken.lock().unwrap()[number - 1].clone()
    };
    // Once the command has ended, it has told; nobody knows where there would be a page.
    home.run(&["job", "run", "j"]).good();
    assert_eq!(taken.lock().unwrap().len(), 1);
    assert!(told(1)["url"].is_null());
    // A server knows where it listens.
    {
        let server = Server::start(&home);
        let http = reqwest::Client::new();
        http.post(format!("{}/api/v1/jobs/j/run", server.url)).send().await.unwrap();
        let body = told(2);
        let (url, run) = (body["url"].as_str().unwrap(), body["run"].as_str().unwrap());
        assert_eq!(url, format!("{}/api/v1/runs/{run}", server.url));
        assert_eq!(http.get(url).send().await.unwrap().status(), 200);
    }
    // Where a proxy stands before it, somebody has to say so.
    home.set("WINDLASS_BASE_URL", "https://windlass.example.com/");
    home.run(&["job", "run", "j"]).good();
    let body = told(3);
    let page =
        format!("https://windlass.example.com/api/v1/runs/{}", body["run"].as_str().unwrap());
    assert_eq!(body["url"], page);
    home.set("WINDLASS_BASE_URL", "windlass.example.com");
    let refused = home.run(&["serve", "--listen", "127.0.0.1:0"]).refused(1);
    assert!(refused.contains("is not where people reach an installation"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cancelled_from_another_process() {
    let (s3, home, _) = furnished().await;
    s3.state().put("lake", "big/one.bin", vec![7_u8; 40_000_000]);
    home.sql("CREATE JOB big AS COPY FILES FROM lake LOCATION = 'lake/big/' TO disk LOCATION = 'big/' CONCURRENCY = 1").good();
    // It cannot end before it is cancelled.
    s3.state().set_latency(Duration::from_hours(1));
    let mut running = home
        .command()
        .args(["-o", "json", "job", "run", "big"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until(&home, "SHOW RUNS", |rows| rows.iter().any(|run| run["state"] == "running"));
    home.run(&["job", "cancel", "big"]).good();
    let status = running.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!(home.rows("SHOW RUNS")[0]["state"], "cancelled");
    assert!(home.sql("CANCEL JOB big").good().contains("not running"));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_a_job_are_nowhere_in_clear() {
    const CANARY: &str = "canary-HOOK-5c1e";
    let (_s3, home, _) = furnished().await;
    // What no delivery would take is refused before it is kept.
    for url in ["ftp://x/y", "http://169.254.169.254/x"] {
        let refused = home.sql(&format!(
            "CREATE JOB j ALERT_WEBHOOK = '{url}' AS COPY FILES FROM lake LOCATION = 'lake/in/' TO disk LOCATION = 'x/'"
        ));
        assert!(refused.refused(1).contains("the webhook"), "{url}");
    }
    assert!(home.rows("SHOW SECRETS").is_empty());
    let output = home.sql(&format!(
        "CREATE JOB j ALERT_WEBHOOK = 'http://127.0.0.1:9/{CANARY}' ALERT_WEBHOOK_SECRET = '{CANARY}' RETRIES = 0 \
         AS COPY FILES FROM lake LOCATION = 'lake/missing' TO disk LOCATION = 'x/'"
    ));
    assert_eq!(output.code, 0, "{output:?}");
    let mut seen = output.stdout + &output.stderr;
    for text in [
        "SHOW CREATE JOB j",
        "DESCRIBE JOB j",
        "SHOW JOBS",
        "RUN JOB j",
        "SHOW RUNS",
        "SELECT * FROM system.run_events",
    ] {
        let output = home.sql(text);
        seen = seen + &output.stdout + &output.stderr;
    }
    assert!(seen.contains("SECRET \"j.alert_webhook\"") && !seen.contains(CANARY), "{seen}");
    let used = home.sql("DROP SECRET \"j.alert_webhook\"").refused(1);
    assert!(used.contains("used by j") && used.contains("drop those jobs first"), "{used}");
    let mut folders = vec![home.path().join("home")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(path).unwrap();
            assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
        }
    }
    assert!(files > 1, "the store and its key");
    home.sql("DROP JOB j").good();
    assert!(home.rows("SHOW SECRETS").is_empty());
}
