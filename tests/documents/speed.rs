//! Keeps docs/speed.md in step with the races that are run.

use ami_share_tests::speed::page::HEAD;
use ami_share_tests::speed::race::{LATENCY, RACES};

use crate::files::text;
use crate::markdown::rows;

const PAGE: &str = "docs/speed.md";

#[test]
fn the_page_of_speed_has_the_races_that_are_run() {
    let page = text(PAGE);
    assert!(
        page.contains(&format!("| {} |", HEAD.join(" | "))),
        "put the table of `cargo speed` into {PAGE}"
    );
    let said: Vec<String> = rows(&page, "## The races").iter().map(|row| row[..2].join(" x ")).collect();
    let run = RACES.map(|(images, accounts)| format!("{images} x {accounts}"));
    assert_eq!(said, run, "put the table of `cargo speed` into {PAGE}");
    assert!(page.contains(&format!("on its way for {LATENCY} s")), "{PAGE} names another latency");
}
