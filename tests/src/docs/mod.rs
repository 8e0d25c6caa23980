//! The documents that come from `template.yaml` and the code. `cargo docs` writes them; a test fails when one is stale.

mod markdown;
mod metrics;
mod parameters;
pub mod permissions;
mod reasons;
mod refusals;

use std::fs;

use anyhow::{Context, Result};

use crate::template::Template;
use crate::workspace;

/// A document as it should be.
pub struct Page {
    /// Where it is, below the root.
    pub path: &'static str,
    /// What it should say.
    pub text: String,
}

impl Page {
    /// Whether the file says this already.
    pub fn is_current(&self) -> bool {
        fs::read_to_string(workspace::file(self.path)).is_ok_and(|text| text == self.text)
    }
}

/// All pages that are generated, in whole or in part.
pub fn pages() -> Result<Vec<Page>> {
    let template = Template::read()?;
    Ok(vec![
        Page { path: "docs/parameters.md", text: parameters::page(&template)? },
        Page { path: "docs/permissions.md", text: permissions::page(&template)? },
        with_table("docs/troubleshooting.md", "refusals", &refusals::table())?,
        with_table("docs/observability.md", "metrics", &metrics::table())?,
    ])
}

/// A page written by people, with `table` between `<!-- generated: NAME -->` and `<!-- end -->`.
fn with_table(path: &'static str, name: &str, table: &str) -> Result<Page> {
    let text = fs::read_to_string(workspace::file(path)).with_context(|| format!("reading {path}"))?;
    let text = replaced(&text, name, table).with_context(|| format!("{path} has no place for {name}"))?;
    Ok(Page { path, text })
}

fn replaced(text: &str, name: &str, table: &str) -> Option<String> {
    const END: &str = "<!-- end -->";
    let begin = format!("<!-- generated: {name} -->\n");
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_marks_is_replaced() {
        let page = "a\n<!-- generated: x -->\nold\n<!-- end -->\nb\n";
        let once = replaced(page, "x", "new\n");
        assert_eq!(once.as_deref(), Some("a\n<!-- generated: x -->\n\nnew\n\n<!-- end -->\nb\n"));
        assert_eq!(once.as_deref().and_then(|once| replaced(once, "x", "new\n")), once);
        assert_eq!(replaced(page, "y", "new\n"), None);
    }
}
