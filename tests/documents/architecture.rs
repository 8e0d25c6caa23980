//! ARCHITECTURE.md names every function, and modules that exist.

use ami_share_tests::workspace;

use crate::files::{functions, text};
use crate::markdown::{code, rows};

const DOMAIN: &str = "shared/domain/src";

#[test]
fn the_architecture_page_names_every_function() {
    let architecture = text("ARCHITECTURE.md");
    for function in functions() {
        assert!(architecture.contains(&format!("functions/{function}")), "{function} in ARCHITECTURE.md");
    }
}

fn is_module(path: &str) -> bool {
    workspace::file(DOMAIN).join(format!("{path}.rs")).exists() || workspace::file(DOMAIN).join(path).is_dir()
}

/// `key/plan` stands for a module of the domain.
#[test]
fn the_modules_of_the_code_map_exist() {
    let architecture = text("ARCHITECTURE.md");
    let mut named: Vec<String> =
        rows(&architecture, "## Code map").iter().flat_map(|row| code(&row[1])).collect();
    assert!(named.len() > 20, "{named:?}");
    let is_path = |code: &String| {
        let folder = code.split_once('/').map(|(folder, _)| folder);
        folder.is_some_and(|folder| workspace::file(DOMAIN).join(folder).is_dir())
    };
    named.extend(code(&architecture).into_iter().filter(is_path));
    let missing: Vec<&String> = named.iter().filter(|path| !is_module(path)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names modules that {DOMAIN} does not have: {missing:?}");
}
