//! `docs/reference` is generated: this test compares, `make docs` writes.

use std::fmt::Write as _;
use std::path::Path;
use windlass_types::{ConnectionKind, ErrorCode};

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os("WINDLASS_UPDATE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "`docs/reference/{name}` is not what the code says; run `make docs`");
}

#[test]
fn the_error_reference_is_current() {
    let mut text = String::from(
        "# Error codes\n\nAn error prints as `error[CODE]: what happened`, its causes, and `hint: what to do`. The class decides\n\
         the exit code of the command line and the HTTP status; SQLSTATE is for clients of PostgreSQL's protocol. Exit 3 means done, but some items failed.\n\n\
         | code | class | exit | HTTP | SQLSTATE | meaning |\n|---|---|---|---|---|---|\n",
    );
    for code in ErrorCode::ALL {
        let class = code.class();
        let (exit, http) = (class.exit_code(), class.http_status());
        writeln!(
            text,
            "| `{code}` | {} | {exit} | {http} | {} | {} |",
            class.as_str(),
            code.sqlstate(),
            code.doc().trim()
        )
        .unwrap();
    }
    check("errors.md", &text);
}

#[test]
fn the_option_reference_is_current() {
    let mut text = String::from(
        "# Connection options\n\n`CREATE [OR REPLACE] S3 CONNECTION n option = value …`. The last column says what `ALTER` and `OR REPLACE` may change. Secret\n\
         options are sealed and masked, and take `SECRET name` too.\n",
    );
    for kind in ConnectionKind::ALL {
        write!(text, "\n## {}\n\n| option | value | default | meaning | secret | alterable |\n|---|---|---|---|---|---|\n", kind.as_str()).unwrap();
        for def in kind.options() {
            let secret = if def.secret { "yes" } else { "" };
            writeln!(
                text,
                "| `{}` | {} | {} | {} | {secret} | {} |",
                def.name,
                def.kind.describe(),
                def.default,
                def.doc,
                def.alter.describe()
            )
            .unwrap();
        }
    }
    check("options.md", &text);
}

#[test]
fn the_sql_reference_is_current() {
    check("sql.md", &windlass_core::sql::reference_markdown());
}

#[test]
fn the_http_reference_is_current() {
    check("openapi.json", &format!("{}\n", windlass_server::openapi().unwrap()));
}

#[test]
fn the_command_line_reference_is_current() {
    check("cli.md", &windlass_cli::reference_markdown());
}
