//! The two pages that everybody reads stay short.

use crate::files::text;

#[test]
fn the_readme_and_the_architecture_page_stay_short() {
    for (page, limit) in [("README.md", 250), ("ARCHITECTURE.md", 160)] {
        let lines = text(page).lines().count();
        assert!(lines <= limit, "{page} has {lines} lines of {limit}: move a subject to a page of docs/");
    }
}
