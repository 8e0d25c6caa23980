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

mod cost;
mod speed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use ami_share_domain::key::policy::SIZE_LIMIT;
use ami_share_domain::review::report::NEARLY_FULL_PERCENT;
use ami_share_tests::workspace;
use serde_json::Value;

fn text(path: &str) -> String {
    fs::read_to_string(workspace::file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(folder: &str, revocation_reason: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(workspace::file(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(revocation_reason));
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
fn words(text: &str, start: &str, is_desired: fn(char) -> bool) -> BTreeSet<String> {
    text.split(start).skip(1).map(|rest| rest.chars().take_while(|c| is_desired(*c)).collect()).collect()
}

/// `MalformedSelector` as serde writes it: `malformed-word`.
fn kebab(variant: &str) -> String {
    let letters = variant.char_indices().map(|(at, letter)| match letter.is_uppercase() && at > 0 {
        true => format!("-{}", letter.to_ascii_lowercase()),
        false => letter.to_ascii_lowercase().to_string(),
    });
    letters.collect()
}

/// The variants of an enum without fields.
fn cases(source: &str, name: &str) -> BTreeSet<String> {
    let (_, variants) = source.split_once(&format!("pub enum {name} {{")).unwrap();
    let variants = variants.split_once("\n}").unwrap().0.lines().map(str::trim);
    variants.filter_map(|line| line.strip_suffix(',')).map(str::to_owned).collect()
}

/// The same, as serde writes them.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    cases(&text(source), name).iter().map(|variant| kebab(variant)).collect()
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

/// Who may do what: the binary of a function, or the name of a resource that is none, with each action that is allowed.
fn actions() -> BTreeSet<(String, String)> {
    let mut actions = BTreeSet::new();
    let (mut resource, mut in_list, mut is_allowed) = (String::new(), false, false);
    for line in text("template.yaml").lines() {
        if let Some(name) = line.strip_prefix("  ").filter(|rest| rest.starts_with(char::is_uppercase)) {
            name.trim_end_matches(':').clone_into(&mut resource);
        }
        if let Some((_, binary)) = line.split_once("{ Binary: ") {
            resource = binary.chars().take_while(|c| *c != ' ').collect();
        }
        is_allowed = if line.contains("Effect: ") { line.contains("Effect: Allow") } else { is_allowed };
        let listed = match (line.trim().strip_prefix("Action:"), line.trim().strip_prefix("- ")) {
            (Some(_), _) if !is_allowed => continue,
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
    let mut in_code = words(&text("shared/domain/src/tags/share_tags.rs"), "&str = \"ami-share:", is_letter);
    in_code.remove(""); // the prefix itself
    let mut in_readme = words(&text("README.md"), "ami-share:", is_letter);
    in_readme.remove(""); // `ami-share:*`
    assert_eq!(in_readme, in_code);
}

#[test]
fn the_readme_names_the_events_that_are_sent() {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == ' ';
    let in_code = words(&text("shared/domain/src/notify/notification.rs"), "=> \"AMI ", is_letter);
    let in_readme =
        rows(&text("README.md"), "## Notices").iter().flat_map(|row| code(&row[0])).collect::<BTreeSet<_>>();
    assert_eq!(in_readme, in_code.iter().map(|kind| format!("AMI {kind}")).collect());
}

/// The metrics that the functions count, each with its unit.
fn metrics() -> BTreeSet<(String, String)> {
    let source = text("shared/domain/src/metrics.rs");
    let (_, names) = source.split_once("pub fn name(self)").unwrap();
    let (names, _) = names.split_once("pub fn unit(self)").unwrap();
    let names = words(names, "=> \"", |c| c.is_ascii_alphabetic());
    assert_eq!(names, cases(&source, "Metric"));
    let has_unit = |name: &str, unit: &str| source.contains(&format!("Self::{name} => Unit::{unit}"));
    let unit =
        |name: &str| ["Seconds", "Bytes"].into_iter().find(|unit| has_unit(name, unit)).unwrap_or("Count");
    names.iter().map(|name| (name.clone(), unit(name).to_lowercase())).collect()
}

/// The alarms by their names in the template, without that of the stack; each with the lines that make it.
fn alarms() -> BTreeMap<String, String> {
    let template = text("template.yaml");
    let alarms = template.split("    Type: AWS::CloudWatch::Alarm\n").skip(1).map(|rest| {
        let lines: Vec<&str> = rest.lines().take_while(|line| !line.is_empty()).collect();
        let alarm = lines.join("\n");
        let name =
            words(&alarm, "AlarmName: !Sub ${AWS::StackName}-", |c| c.is_ascii_lowercase() || c == '-');
        (name.into_iter().next().unwrap(), alarm)
    });
    alarms.collect()
}

/// The body of the dashboard, with a word in place of each that CloudFormation fills in.
fn dashboard() -> Value {
    let template = text("template.yaml");
    let (_, body) = template.split_once("DashboardBody: !Sub |\n").unwrap();
    let body: Vec<&str> = body.lines().take_while(|line| line.starts_with("        ")).collect();
    let mut pieces = body.join("\n");
    while let Some((before, after)) = pieces.split_once("${") {
        pieces = format!("{before}filled-in{}", after.split_once('}').unwrap().1);
    }
    serde_json::from_str(&pieces).unwrap_or_else(|error| panic!("the dashboard is no JSON: {error}"))
}

#[test]
fn the_readme_names_the_metrics_that_are_counted() {
    let rows = rows(&text("README.md"), "### Metrics");
    let documented: BTreeSet<(String, String)> =
        rows.iter().map(|row| (code(&row[0]).collect(), row[1].clone())).collect();
    assert_eq!(documented, metrics());
}

#[test]
fn the_dashboard_shows_every_metric_and_alarm_and_no_other() {
    let names: BTreeSet<String> = metrics().into_iter().map(|(name, _)| name).collect();
    let dashboard = dashboard();
    let widgets = dashboard["widgets"].as_array().unwrap();
    let shown = widgets.iter().filter_map(|widget| widget["properties"]["metrics"].as_array()).flatten();
    let shown = shown.filter(|metric| metric[0] == "ami-share").filter_map(|metric| metric[1].as_str());
    assert_eq!(shown.map(str::to_owned).collect::<BTreeSet<_>>(), names);
    let listed = widgets.iter().filter_map(|widget| widget["properties"]["alarms"].as_array()).flatten();
    assert_eq!(listed.count(), alarms().len());
}

#[test]
fn every_alarm_uses_an_emitted_metric_notifies_the_topic_and_has_a_runbook_page() {
    let names: BTreeSet<String> = metrics().into_iter().map(|(name, _)| name).collect();
    let (runbook, readme) = (text("docs/runbook.md"), text("README.md"));
    for (name, alarm) in alarms() {
        let metric = words(&alarm, "MetricName: ", |c| c.is_ascii_alphabetic());
        assert!(!alarm.contains("Namespace: ami-share\n") || metric.is_subset(&names), "{name}: {metric:?}");
        assert!(alarm.contains("AlarmActions: [!Ref AlarmTopic]"), "{name} tells nobody");
        assert!(alarm.contains("TreatMissingData: notBreaching"), "{name} minds that nothing happens");
        let flat = alarm.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&format!("See {name} in docs/runbook.md.")), "{name} names another page");
        let page = section(&runbook, &format!("## {name}")).join("\n");
        for part in ["**Means:**", "**How bad:**", "**Look at:**", "**Do:**", "**Over when**"] {
            assert!(page.contains(part), "the page of {name} lacks {part}");
        }
    }
    let in_readme = rows(&readme, "### Alarms");
    let in_readme: BTreeSet<String> = in_readme.iter().flat_map(|row| code(&row[0])).collect();
    assert_eq!(in_readme, alarms().into_keys().collect());
    let pages = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    let pages = pages.filter(|title| title.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    assert_eq!(pages.map(str::to_owned).collect::<BTreeSet<_>>(), in_readme, "a page without an alarm");
}

#[test]
fn a_key_is_nearly_full_for_the_alarm_when_it_is_for_the_review() {
    let threshold = format!("Threshold: {}\n", SIZE_LIMIT * (100 - NEARLY_FULL_PERCENT) / 100);
    assert!(alarms()["key-policy-nearly-full"].contains(&threshold));
}

/// The names of what the log lines have, and of the messages, by which the runbook finds them.
#[test]
fn the_runbook_queries_log_lines_that_the_functions_write() {
    let runbook = text("docs/runbook.md");
    let queries = runbook.lines().filter_map(|line| line.strip_prefix("ask '"));
    let queries: String = queries.collect();
    let mut folders = ["shared/lambda/src", "shared/domain/src"].map(str::to_owned).to_vec();
    folders.extend(functions().iter().map(|function| format!("functions/{function}/src")));
    let sources = folders.iter().flat_map(|folder| files(folder, ".rs"));
    let code: String = sources.map(|file| fs::read_to_string(file).unwrap()).collect();
    let messages =
        ["message in [\"", "\", \"", "message = \""].map(|start| words(&queries, start, |c| c != '"'));
    let messages: BTreeSet<String> = messages.into_iter().flatten().collect();
    assert!(messages.len() >= 3, "{messages:?}");
    for message in messages {
        assert!(code.contains(&format!("\"{message}\"")), "nobody writes `{message}`");
    }
    let counted = words(&queries, "filter ", |c| c.is_ascii_alphabetic());
    let counted = counted.iter().filter(|name| name.starts_with(char::is_uppercase));
    for name in counted {
        assert!(metrics().iter().any(|(metric, _)| metric == name), "nobody counts {name}");
    }
}

#[test]
fn the_readme_documents_every_parameter_with_its_default() {
    let rows = rows(&text("README.md"), "## Parameters");
    let documented: Vec<(String, String)> =
        rows.iter().map(|row| (code(&row[0]).collect(), code(&row[1]).collect())).collect();
    assert_eq!(documented, parameters());
}

/// The resources that CloudFormation keeps when the stack is deleted, and does not replace either.
fn retained_resources() -> BTreeSet<String> {
    let template = text("template.yaml");
    let lines: Vec<&str> = template.lines().collect();
    let names = lines.iter().enumerate().filter(|(_, line)| line.contains("DeletionPolicy: Retain"));
    let names = names.map(|(at, _)| {
        assert_eq!(lines[at].trim(), "DeletionPolicy: RetainExceptOnCreate");
        assert_eq!(lines[at + 1].trim(), "UpdateReplacePolicy: Retain");
        let mut above = lines[..at].iter().rev();
        let name = above.find_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
        name.unwrap().trim_end_matches(':').to_owned()
    });
    names.collect()
}

#[test]
fn the_lifecycle_names_what_stays_when_the_stack_is_deleted() {
    let rows = rows(&text("docs/lifecycle.md"), "### What stays when the stack is deleted");
    let is_resource = |word: &String| word.starts_with(char::is_uppercase);
    let stay = rows.iter().filter(|row| row[1].starts_with("stay"));
    let named: BTreeSet<String> = stay.flat_map(|row| code(&row[0])).filter(is_resource).collect();
    assert_eq!(named, retained_resources());
}

#[test]
fn the_architecture_page_and_the_template_name_every_function() {
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
fn the_readme_explains_every_action_of_the_audit_log() {
    let rows = rows(&text("README.md"), "### The history");
    let in_readme: BTreeSet<String> = rows.iter().flat_map(|row| code(&row[0])).collect();
    assert_eq!(in_readme, variants("shared/domain/src/audit_log.rs", "Deed"));
}

#[test]
fn the_readme_names_the_organization_changes_that_trigger_a_review() {
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
    let tests = [
        "shared/domain/tests/events.rs",
        "shared/lambda/tests/events/main.rs",
        "tests/simulated_aws_rules/eventbridge/test_events_match_rules.py",
    ];
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
    let mut documents = Vec::new();
    for folder in ["", "events/", "docs/", "docs/adr/"] {
        documents.extend(files(folder, ".md").iter().map(|file| format!("{folder}{}", name(file))));
    }
    for document in documents {
        let text_of_it = text(&document);
        let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in words(&text_of_it, "](", |c| c != ')' && c != '#') {
            let is_managed = !link.is_empty() && !link.contains(':');
            assert!(
                !is_managed || workspace::file(folder).join(&link).exists(),
                "{document} links to {link}"
            );
        }
        let named = text_of_it.lines().filter(|line| !line.starts_with("```")).flat_map(code);
        for named in named.filter(|named| FOLDERS.iter().any(|folder| named.starts_with(folder))) {
            let (path, test) = named.split_once("::").unwrap_or((named.as_str(), ""));
            assert!(path.contains('…') || workspace::file(path).exists(), "{document} names {path}");
            assert!(test.is_empty() || text(path).contains(&format!(" {test}(")), "{document} names {named}");
        }
    }
}

/// Each role of the template; a policy of a queue or a bucket is nobody's.
#[test]
fn the_threat_model_says_of_every_role_what_it_could_do_if_it_were_stolen() {
    let rows = rows(&text("docs/threat-model.md"), "## What a stolen role can do");
    let said: BTreeSet<String> = rows.iter().flat_map(|row| code(&row[0])).collect();
    let roles = actions().into_iter().map(|(who, _)| who).filter(|who| !who.ends_with("Policy"));
    assert_eq!(said, roles.collect());
}

#[test]
fn the_threat_model_names_the_test_of_each_safeguard_or_says_that_there_is_none() {
    let model = text("docs/threat-model.md");
    let tables =
        ["can set tags", "can forge events", "can start the workflows"].map(|who| format!("## Who {who}"));
    let others = ["Tampering with stored data", "A malicious target account", "Confused deputies"];
    let others =
        others.into_iter().chain(["Denial of service", "Supply chain"]).map(|title| format!("## {title}"));
    for heading in tables.into_iter().chain(others) {
        for row in rows(&model, &heading) {
            let guard = row.last().unwrap();
            let is_named = code(guard).any(|named| named.contains("::")) || guard.contains("no test");
            assert!(is_named || guard.contains("](#"), "{heading}: nothing shows `{}`", row[0]);
        }
    }
}
