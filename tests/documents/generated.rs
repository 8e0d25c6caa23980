//! What `cargo docs` writes is current.

use ami_share_tests::docs;

#[test]
fn the_generated_documents_are_current() {
    let pages = docs::pages().unwrap();
    let stale: Vec<&str> = pages.iter().filter(|page| !page.is_current()).map(|page| page.path).collect();
    assert!(
        stale.is_empty(),
        "run `cargo docs`: {} no longer say what template and code have",
        stale.join(", ")
    );
}
