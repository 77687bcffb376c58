//! `windlass demo` does what it says, every step of it.

mod common;

use common::Home;

#[test]
fn the_tour_runs_to_its_end() {
    let home = Home::new();
    let text = home.run(&["demo"]).good();
    for expected in [
        "$ windlass connection test landing",
        "resolve identity",
        "acme-landing",
        "2026-11-02",
        "s3:ListBucket",
        "X-Amz-Signature",
        "SEARCH 'customer amount'",
        "windlass demo --prompt",
    ] {
        assert!(text.contains(expected), "`{expected}` is missing in:\n{text}");
    }
    assert!(!home.path().join("home").exists(), "the demo leaves the user's home alone");
}
