//! Keeps the words that the vocabulary replaced out of code, template, workflows, tests and documents.
//!
//! Run it with `cargo test --workspace --test documents words`. The words are in `tests/documents/words.txt`.

use std::collections::BTreeSet;

use regex::Regex;

use crate::files::{below, text};
use crate::markdown::rows;

const LIST: &str = include_str!("words.txt");

/// Not searched: what records the past, what others write, and what the next issue replaces.
const EXEMPT: [&str; 7] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "LICENSE",
    "shared/domain/tests/looks.rs",
    "shared/testkit/src/looks",
    "tests/documents/words.rs",
    "tests/documents/words.txt",
];

struct Word {
    pattern: Regex,
    /// The phrases in which it has its plain meaning.
    unless: Option<Regex>,
    instead: &'static str,
}

struct Allowed {
    path: &'static str,
    pattern: Regex,
    line: &'static str,
}

struct List {
    words: Vec<Word>,
    /// One pattern for all words, which is faster to search for.
    any: Regex,
    allowed: Vec<Allowed>,
}

struct Hit<'a> {
    /// From 1; 0 is the name of the file.
    line: usize,
    found: String,
    instead: &'static str,
    text: &'a str,
}

fn whole_words(pattern: &str) -> Regex {
    Regex::new(&format!(r"\b(?:{pattern})\b")).unwrap()
}

impl List {
    fn read(list: &'static str) -> Self {
        let (mut words, mut patterns, mut allowed) = (Vec::new(), Vec::new(), Vec::new());
        for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(rule) = line.strip_prefix("allow ") {
                let (rule, reason) = rule.split_once(" # ").unwrap_or_else(|| panic!("no reason: {line}"));
                let (path, pattern) = rule.split_once(": ").unwrap_or_else(|| panic!("no word: {line}"));
                assert!(!reason.is_empty(), "no reason: {line}");
                allowed.push(Allowed { path, pattern: whole_words(pattern), line });
                continue;
            }
            let (pattern, instead) =
                line.split_once(" => ").unwrap_or_else(|| panic!("no replacement: {line}"));
            let (pattern, unless) = pattern
                .split_once(" unless ")
                .map_or((pattern, None), |(pattern, unless)| (pattern, Some(unless)));
            patterns.push(format!("(?:{pattern})"));
            words.push(Word { pattern: whole_words(pattern), unless: unless.map(whole_words), instead });
        }
        Self { words, any: whole_words(&patterns.join("|")), allowed }
    }

    /// The hits in one file, and the allowances that were needed for it.
    fn hits<'a>(&'a self, path: &str, contents: &'a str, used: &mut BTreeSet<usize>) -> Vec<Hit<'a>> {
        let name = plain(&path.replace(['/', '.'], " "));
        let mut hits = Vec::new();
        self.search(
            path,
            &name,
            name.len(),
            &mut |found, instead| {
                hits.push(Hit { line: 0, found, instead, text: "the name of the file" });
            },
            used,
        );
        // The names of tests in an exempt file are cited as they are.
        let citation = "shared/domain/tests/looks.rs::";
        let without_citations = |line: &str| match line.contains(citation) {
            true => line.split('`').filter(|code| !code.starts_with(citation)).collect::<Vec<_>>().join(" "),
            false => line.to_owned(),
        };
        let cleaned: Vec<String> = contents.lines().map(without_citations).collect();
        let lines: Vec<&str> = cleaned.iter().map(String::as_str).collect();
        for ((at, line), original) in lines.iter().enumerate().zip(contents.lines()) {
            let own = plain(line);
            let next =
                lines.get(at + 1).map(|next| plain(next.trim_start_matches([' ', '/', '!', '#', '*', '|'])));
            let both = format!("{own} {}", next.unwrap_or_default());
            self.search(
                path,
                &both,
                own.len(),
                &mut |found, instead| {
                    hits.push(Hit { line: at + 1, found, instead, text: original.trim() });
                },
                used,
            );
        }
        hits
    }

    /// Reports what is found in `text` and begins before `end`.
    fn search(
        &self,
        path: &str,
        text: &str,
        end: usize,
        report: &mut dyn FnMut(String, &'static str),
        used: &mut BTreeSet<usize>,
    ) {
        if !self.any.is_match(text) {
            return;
        }
        let mut reported: Vec<std::ops::Range<usize>> = Vec::new();
        for word in &self.words {
            for found in word.pattern.find_iter(text).filter(|found| found.start() < end) {
                let overlaps =
                    |other: &std::ops::Range<usize>| other.start < found.end() && found.start() < other.end;
                let is_plain =
                    |unless: &Regex| unless.find_iter(text).any(|phrase| overlaps(&phrase.range()));
                if reported.iter().any(overlaps) || word.unless.as_ref().is_some_and(is_plain) {
                    continue;
                }
                let is_for = |allowed: &Allowed| {
                    path.starts_with(allowed.path) && allowed.pattern.is_match(found.as_str())
                };
                match self.allowed.iter().position(is_for) {
                    Some(at) => drop(used.insert(at)),
                    None => report(found.as_str().to_owned(), word.instead),
                }
                reported.push(found.range());
            }
        }
    }
}

/// In lower case, with identifiers taken apart at `_` and before capitals.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len() + 16);
    let mut last = ' ';
    for letter in line.chars() {
        if letter.is_uppercase() && (last.is_lowercase() || last.is_ascii_digit()) {
            plain.push(' ');
        }
        let letter_or_space = if letter == '_' { ' ' } else { letter };
        plain.extend(letter_or_space.to_lowercase());
        last = letter;
    }
    plain
}

fn is_text(path: &str) -> bool {
    const ENDINGS: [&str; 13] = [
        ".rs", ".py", ".md", ".yaml", ".yml", ".json", ".toml", ".txt", ".html", ".js", ".css", "/run",
        "/package",
    ];
    ENDINGS.iter().any(|ending| path.ends_with(ending))
        && !EXEMPT.iter().any(|exempt| path.starts_with(exempt))
}

#[test]
fn words_that_the_vocabulary_replaced_are_used_nowhere() {
    let list = List::read(LIST);
    let (mut report, mut total, mut used) = (String::new(), 0, BTreeSet::new());
    for path in below("").into_iter().filter(|path| is_text(path)) {
        let contents = text(&path);
        let hits = list.hits(&path, &contents, &mut used);
        if hits.is_empty() {
            continue;
        }
        total += hits.len();
        report.push_str(&format!("\n{path} ({})\n", hits.len()));
        for Hit { line, found, instead, text } in hits {
            report.push_str(&format!("  {line}: `{found}` => {instead}\n      {text}\n"));
        }
    }
    assert!(total == 0, "{total} words that tests/documents/words.txt replaces:\n{report}");
    let unused = list.allowed.iter().enumerate().find(|(at, _)| !used.contains(at));
    assert!(unused.is_none(), "tests/documents/words.txt: no longer needed: {}", unused.unwrap().1.line);
}

#[test]
fn words_are_found_in_identifiers_and_across_lines() {
    let list = List::read(
        "by hand => out of band\nasked by => triggered by\nturns? unless in turn => lease\nallow b.rs: turn # a test\n",
    );
    let mut used = BTreeSet::new();
    let contents = "/// changed by\n/// hand, each in turn\nlet askedBy = asked_by;\n// its turn\n";
    let found = |path: &str, used: &mut BTreeSet<usize>| -> Vec<(usize, String)> {
        list.hits(path, contents, used).into_iter().map(|hit| (hit.line, hit.found)).collect()
    };
    let always = [(1, "by hand"), (3, "asked by"), (3, "asked by")];
    let always = always.map(|(line, found)| (line, found.to_owned()));
    assert_eq!(found("b.rs", &mut used), always);
    assert_eq!(used, [0].into());
    assert_eq!(found("a.rs", &mut used), [&always[..], &[(4, "turn".to_owned())]].concat());
}

/// The words that design.md decided: the glossary must define each.
#[test]
fn words_of_the_vocabulary_are_in_the_glossary() {
    const TERMS: [&str; 34] = [
        "hub",
        "target",
        "target account",
        "selector",
        "share",
        "desired state",
        "actual state",
        "reconcile",
        "reconciliation",
        "trigger",
        "plan",
        "decision",
        "grant",
        "revoke",
        "KMS grant",
        "managed",
        "unmanaged",
        "out-of-band change",
        "drift",
        "restore",
        "pending revocation",
        "retained",
        "excluded",
        "lease",
        "ledger",
        "audit log",
        "notification",
        "notify",
        "schedule",
        "external",
        "interrupted",
        "repair",
        "release",
        "public",
    ];
    let glossary = rows(&text("docs/glossary.md"), "# Glossary");
    let defined: BTreeSet<String> = glossary
        .iter()
        .flat_map(|row| row[0].split(", "))
        .map(|term| term.split(" (").next().unwrap_or(term).to_owned())
        .collect();
    let missing: Vec<&str> = TERMS.into_iter().filter(|term| !defined.contains(*term)).collect();
    assert!(missing.is_empty(), "docs/glossary.md does not define {missing:?}");
}
