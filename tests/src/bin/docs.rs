//! `cargo docs`: writes the documents, and the tables in documents, that come from `template.yaml` and the code.

use std::fs;

use ami_share_tests::docs;
use ami_share_tests::workspace;
use anyhow::{Context, Result};

fn main() -> Result<()> {
    for page in docs::pages()? {
        if page.is_current() {
            println!("{} is current", page.path);
        } else {
            fs::write(workspace::file(page.path), &page.text)
                .with_context(|| format!("writing {}", page.path))?;
            println!("{} is written", page.path);
        }
    }
    Ok(())
}
