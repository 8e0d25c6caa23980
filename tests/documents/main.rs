//! Keeps the documents in step with the code: what one of them names, the other has.
//!
//! Files are read line by line as text. The template and the sources are formatted in one way, and a
//! parser for each language would be larger than all of these tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a document that cannot be read should stop the test where it is read"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ami_share_tests::workspace;

fn text(path: &str) -> String {
    fs::read_to_string(workspace::file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(workspace::file(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(ending));
    files.sort();
    files
}

fn name(file: &std::path::Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

fn functions() -> Vec<String> {
    files("functions", "").iter().map(|folder| name(folder)).collect()
}

/// The lines under a heading, down to the next one of its level or above it.
fn section(document: &str, heading: &str) -> Vec<String> {
    let level = heading.split(' ').next().map_or(0, str::len);
    let is_next = |line: &str| (1..=level).any(|level| line.starts_with(&format!("{} ", "#".repeat(level))));
    let under = document.lines().skip_while(|line| *line != heading).skip(1);
    let section: Vec<String> = under.take_while(|line| !is_next(line)).map(str::to_owned).collect();
    assert!(!section.is_empty(), "there is no section `{heading}`");
    section
}

/// The rows of the tables under a heading: their cells, without the tables' own headings.
fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let section = section(document, heading);
    let mut rows = Vec::new();
    for (line, next) in section.iter().zip(section.iter().skip(1).chain([&String::new()])) {
        let is_heading = line.starts_with("| ---") || next.starts_with("| ---");
        if line.starts_with("| ") && !is_heading {
            let cells = line.trim_matches('|').split(" | ");
            rows.push(cells.map(|cell| cell.trim().to_owned()).collect());
        }
    }
    rows
}

/// What stands between single backticks.
fn code(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// What follows each occurrence of `start`, as long as its characters are wanted.
fn words(text: &str, start: &str, is_wanted: fn(char) -> bool) -> BTreeSet<String> {
    text.split(start).skip(1).map(|rest| rest.chars().take_while(|c| is_wanted(*c)).collect()).collect()
}

/// `MalformedWord` as serde writes it: `malformed-word`.
fn kebab(variant: &str) -> String {
    let letters = variant.char_indices().map(|(at, letter)| match letter.is_uppercase() && at > 0 {
        true => format!("-{}", letter.to_ascii_lowercase()),
        false => letter.to_ascii_lowercase().to_string(),
    });
    letters.collect()
}

/// The variants of an enum without fields, as serde writes them.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let source = text(source);
    let (_, variants) = source.split_once(&format!("pub enum {name} {{")).unwrap();
    let variants = variants.split_once("\n}").unwrap().0.lines().map(str::trim);
    variants.filter(|line| line.ends_with(',')).map(|line| kebab(line.trim_end_matches(','))).collect()
}

/// The name and the default value of each parameter of the template.
fn parameters() -> Vec<(String, String)> {
    let template = text("template.yaml");
    let lines = template.lines().skip_while(|line| *line != "Parameters:").skip(1);
    let mut parameters: Vec<(String, String)> = Vec::new();
    for line in lines.take_while(|line| line.is_empty() || line.starts_with(' ')) {
        if let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
            parameters.push((name.trim_end_matches(':').to_owned(), String::new()));
        } else if let (Some(value), Some(last)) =
            (line.trim().strip_prefix("Default: "), parameters.last_mut())
        {
            last.1 = value.trim_matches('"').to_owned();
        }
    }
    parameters
}

/// Who may do what: the binary of a function, or the name of a resource that is none, with each action.
fn actions() -> BTreeSet<(String, String)> {
    let mut actions = BTreeSet::new();
    let (mut resource, mut in_list) = (String::new(), false);
    for line in text("template.yaml").lines() {
        if let Some(name) = line.strip_prefix("  ").filter(|rest| rest.starts_with(char::is_uppercase)) {
            name.trim_end_matches(':').clone_into(&mut resource);
        }
        if let Some((_, binary)) = line.split_once("{ Binary: ") {
            resource = binary.chars().take_while(|c| *c != ' ').collect();
        }
        let listed = match (line.trim().strip_prefix("Action:"), line.trim().strip_prefix("- ")) {
            (Some(here), _) => here,
            (None, Some(item)) if in_list => item,
            _ => {
                in_list = false;
                continue;
            }
        };
        in_list = listed.is_empty() || in_list;
        let listed = listed.split([',', '[', ']', ' ']).filter(|action| !action.is_empty());
        actions.extend(listed.map(|action| (resource.clone(), action.to_owned())));
    }
    actions
}

#[test]
fn the_readme_names_the_tags_that_there_are() {
    let is_letter = |c: char| c.is_ascii_lowercase();
    let mut in_code = words(&text("shared/domain/src/share_tags.rs"), "&str = \"ami-share:", is_letter);
    in_code.remove(""); // the prefix itself
    let mut in_readme = words(&text("README.md"), "ami-share:", is_letter);
    in_readme.remove(""); // `ami-share:*`
    assert_eq!(in_readme, in_code);
}

#[test]
fn the_readme_names_the_events_that_are_sent() {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == ' ';
    let in_code = words(&text("shared/domain/src/notice.rs"), "=> \"AMI ", is_letter);
    let in_readme =
        rows(&text("README.md"), "## Notices").iter().flat_map(|row| code(&row[0])).collect::<BTreeSet<_>>();
    assert_eq!(in_readme, in_code.iter().map(|kind| format!("AMI {kind}")).collect());
}

#[test]
fn the_readme_names_the_metrics_that_are_made() {
    let in_template = words(&text("template.yaml"), "MetricName: ", |c| c.is_ascii_alphabetic());
    let rows = rows(&text("README.md"), "## Metrics");
    assert_eq!(rows.iter().flat_map(|row| code(&row[0])).collect::<BTreeSet<_>>(), in_template);
}

#[test]
fn the_readme_documents_every_parameter_with_its_default() {
    let rows = rows(&text("README.md"), "## Parameters");
    let documented: Vec<(String, String)> =
        rows.iter().map(|row| (code(&row[0]).collect(), code(&row[1]).collect())).collect();
    assert_eq!(documented, parameters());
}

#[test]
fn every_function_stands_in_the_architecture_and_in_the_template() {
    let (architecture, template) = (text("ARCHITECTURE.md"), text("template.yaml"));
    for function in functions() {
        assert!(architecture.contains(&format!("functions/{function}")), "{function} in ARCHITECTURE.md");
        assert!(template.contains(&format!("{{ Binary: {function} }}")), "{function} in template.yaml");
    }
}

#[test]
fn the_architecture_lists_exactly_what_each_function_may_do() {
    let mut documented = BTreeSet::new();
    for row in rows(&text("ARCHITECTURE.md"), "## What each function may do") {
        let resource: String = code(&row[0]).collect();
        documented.extend(code(&row[1]).map(|action| (resource.clone(), action)));
    }
    assert_eq!(documented, actions());
    assert!(functions().iter().all(|function| documented.iter().any(|(who, _)| who == function)));
}

/// In the README `<…>` stands for what differs from case to case; the words between must be in the code.
#[test]
fn every_status_in_the_readme_is_one_that_the_code_writes() {
    let mut folders = ["shared/domain/src", "shared/resolve/src"].map(str::to_owned).to_vec();
    folders.extend(functions().iter().map(|function| format!("functions/{function}/src")));
    let sources = folders.iter().flat_map(|folder| files(folder, ".rs"));
    let code: String = sources.map(|file| fs::read_to_string(file).unwrap()).collect();
    let code = code.replace("{MANAGED}", "ami-share:managed");
    let statuses = rows(&text("README.md"), "## Troubleshooting by status text");
    for status in statuses.iter().map(|row| row[0].trim_matches(['`', ' '])) {
        for (at, piece) in status.split(['<', '>']).step_by(2).enumerate() {
            let outcome =
                ["refused: ", "not shared: "].into_iter().find(|outcome| piece.starts_with(outcome));
            let piece = if at == 0 { piece.trim_start_matches(outcome.unwrap_or_default()) } else { piece };
            assert!(code.contains(piece), "`{piece}` of `{status}` is in no source");
        }
    }
}

#[test]
fn the_readme_explains_every_kind_of_refusal() {
    let in_code = variants("shared/domain/src/refusal.rs", "RefusalCode");
    let statuses = rows(&text("README.md"), "## Troubleshooting by status text");
    let in_readme: BTreeSet<String> = statuses.iter().flat_map(|row| code(&row[1])).collect();
    assert_eq!(in_readme, in_code);
}

#[test]
fn the_readme_explains_every_deed_of_the_history() {
    let rows = rows(&text("README.md"), "### The history");
    let in_readme: BTreeSet<String> = rows.iter().flat_map(|row| code(&row[0])).collect();
    assert_eq!(in_readme, variants("shared/domain/src/audit.rs", "Deed"));
}

#[test]
fn the_readme_names_the_changes_of_the_organization_that_are_heard_of() {
    let template = text("template.yaml");
    let (_, rule) = template.split_once("eventSource: [organizations.amazonaws.com]").unwrap();
    let names = rule.lines().skip(2).map_while(|line| line.trim().strip_prefix("- "));
    let section = section(&text("README.md"), "### What the organization changes").join("\n");
    let missing: Vec<&str> = names.filter(|name| !section.contains(&format!("`{name}`"))).collect();
    assert!(template.contains("- MoveAccount") && missing.is_empty(), "{missing:?}");
}

#[test]
fn every_example_event_names_the_page_that_it_follows_and_is_used() {
    let readme = text("events/README.md");
    let tests = ["shared/domain/tests/events.rs", "tests/simulated_aws_rules/test_events_match_rules.py"];
    let tests: String = tests.map(text).concat();
    let mut listed = BTreeSet::new();
    for (heading, link) in [
        ("## Events of AWS", "](https://docs.aws.amazon.com/"),
        ("## Documents of our own", "](../ARCHITECTURE.md#"),
    ] {
        for row in rows(&readme, heading) {
            assert!(row[2].contains(link), "{} follows no page", row[0]);
            listed.extend(code(&row[0]));
        }
    }
    let there: BTreeSet<String> = files("events", ".json").iter().map(|file| name(file)).collect();
    assert_eq!(listed, there);
    assert!(there.iter().all(|file| tests.contains(&format!("\"{file}\""))), "an example that no test uses");
}

/// Links to files of this repository, and `path` or `path::test` in backticks.
#[test]
fn whatever_file_or_test_a_document_names_exists() {
    const FOLDERS: [&str; 5] = ["docs/", "functions/", "shared/", "tests/", "workflows/"];
    let mut documents = ["README.md", "ARCHITECTURE.md", "events/README.md"].map(str::to_owned).to_vec();
    documents.extend(files("docs/adr", ".md").iter().map(|file| format!("docs/adr/{}", name(file))));
    for document in documents {
        let text_of_it = text(&document);
        let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in words(&text_of_it, "](", |c| c != ')' && c != '#') {
            let is_ours = !link.is_empty() && !link.contains(':');
            assert!(!is_ours || workspace::file(folder).join(&link).exists(), "{document} links to {link}");
        }
        let named = text_of_it.lines().filter(|line| !line.starts_with("```")).flat_map(code);
        for named in named.filter(|named| FOLDERS.iter().any(|folder| named.starts_with(folder))) {
            let (path, test) = named.split_once("::").unwrap_or((named.as_str(), ""));
            assert!(path.contains('…') || workspace::file(path).exists(), "{document} names {path}");
            assert!(test.is_empty() || text(path).contains(&format!(" {test}(")), "{document} names {named}");
        }
    }
}
