//! What Markdown has: sections, tables, links, anchors.

use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The lines under a heading, down to the next one of its level or above it.
pub fn section(document: &str, heading: &str) -> Vec<String> {
    let level = heading.split(' ').next().map_or(0, str::len);
    let is_next = |line: &str| (1..=level).any(|level| line.starts_with(&format!("{} ", "#".repeat(level))));
    let under = document.lines().skip_while(|line| *line != heading).skip(1);
    let section: Vec<String> = under.take_while(|line| !is_next(line)).map(str::to_owned).collect();
    assert!(!section.is_empty(), "there is no section `{heading}`");
    section
}

/// The rows of the tables under a heading: their cells, without the tables' own headings.
pub fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let section = section(document, heading);
    let mut rows = Vec::new();
    for (line, next) in section.iter().zip(section.iter().skip(1).chain([&String::new()])) {
        let is_heading = line.starts_with("| ---") || next.starts_with("| ---");
        if line.starts_with("| ") && !is_heading {
            rows.push(cells(line));
        }
    }
    rows
}

/// What stands between the bars of a row; `\|` is no bar.
fn cells(row: &str) -> Vec<String> {
    const BAR: &str = "\u{1}";
    let row = row.trim().replace("\\|", BAR);
    let row = row.strip_prefix('|').and_then(|row| row.strip_suffix('|')).unwrap_or(&row);
    row.split('|').map(|cell| cell.trim().replace(BAR, "|")).collect()
}

/// The code spans of a cell or a document.
pub fn code(markdown: &str) -> Vec<String> {
    let code = events(markdown).filter_map(|event| match event {
        Event::Code(code) => Some(code.into_string()),
        _ => None,
    });
    code.collect()
}

/// Where the links of a document lead.
pub fn links(document: &str) -> Vec<String> {
    let links = events(document).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.into_string())
        }
        _ => None,
    });
    links.collect()
}

/// The anchors of a document's headings, as GitHub makes them. Source:
/// <https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#section-links>
pub fn anchors(document: &str) -> BTreeSet<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in events(document) {
        match (event, &mut heading) {
            (Event::Start(Tag::Heading { .. }), _) => heading = Some(String::new()),
            (Event::Text(text) | Event::Code(text), Some(heading)) => heading.push_str(&text),
            (Event::End(TagEnd::Heading(_)), Some(title)) => {
                let slug = slug(title);
                let time = times.entry(slug.clone()).or_default();
                anchors.insert(if *time == 0 { slug } else { format!("{slug}-{time}") });
                *time += 1;
                heading = None;
            }
            _ => {}
        }
    }
    anchors
}

fn slug(title: &str) -> String {
    let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { "-".to_owned() } else { c.to_lowercase().to_string() }).collect()
}

fn events(document: &str) -> Parser<'_> {
    Parser::new_ext(document, Options::ENABLE_TABLES)
}

#[test]
fn anchors_are_made_as_github_makes_them() {
    let document = "# What `ami-share:copy` does, and why\n## Ends\n## Ends\n```\n# no heading\n```\n";
    let expected = ["what-ami-sharecopy-does-and-why", "ends", "ends-1"].map(str::to_owned);
    assert_eq!(anchors(document), expected.into());
}

#[test]
fn cells_may_be_empty_and_may_contain_an_escaped_bar() {
    assert_eq!(cells("| a | | `b\\|c` |"), ["a", "", "`b|c`"]);
}
