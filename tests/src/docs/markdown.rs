//! Cells of Markdown tables.

use crate::table;

/// A table of cells that may contain `|`.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let escaped = |row: &Vec<String>| row.iter().map(|cell| cell.replace('|', "\\|")).collect();
    table::table(&head, &rows.iter().map(escaped).collect::<Vec<_>>())
}

/// A code span. What contains a backtick itself stands between two.
pub fn code(text: &str) -> String {
    if !text.contains('`') {
        return format!("`{text}`");
    }
    let space = |is_needed: bool| if is_needed { " " } else { "" };
    format!("``{}{text}{}``", space(text.starts_with('`')), space(text.ends_with('`')))
}

/// Code spans, separated by commas.
pub fn codes<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let codes: Vec<String> = texts.into_iter().map(|text| code(text.as_ref())).collect();
    codes.join(", ")
}

/// Text in which nothing but code spans has a meaning: `<` begins no HTML.
pub fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(at, part)| if at % 2 == 0 { part.replace('<', "\\<") } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("`").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_with_backticks_stands_between_two() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("`a` b"), "`` `a` b``");
    }

    #[test]
    fn an_angle_bracket_is_escaped_outside_code_only() {
        assert_eq!(prose("the table <stack>-ledger of `<stack>`"), "the table \\<stack>-ledger of `<stack>`");
    }
}
