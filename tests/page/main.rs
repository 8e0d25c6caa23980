//! The page of an access review, looked at in a real browser. What its text says is tested in `shared/report`.

mod example;

use std::fs;
use std::path::PathBuf;

use ami_share_domain::review::report::AccessReview;
use ami_share_tests::browser::{Report, reconcile, review_trigger};
use ami_share_tests::workspace;
use anyhow::{Context, Result, ensure};

/// Writes the page of a review below `target`.
fn write(name: &str, review: &AccessReview) -> Result<PathBuf> {
    let folder = workspace::target().join("access-review-page");
    fs::create_dir_all(&folder).context("making target/access-review-page")?;
    let file = folder.join(format!("{name}.html"));
    fs::write(&file, ami_share_report::render(review)?).context("writing the page")?;
    Ok(file)
}

#[test]
fn a_page_with_few_images_renders_correctly() -> Result<()> {
    let report = reconcile(&write("few", &example::review(3)?)?)?;
    if let Report::Seen { browser, pictures } = report {
        ensure!(browser.starts_with("Chromium "), "{browser} looked at it");
        ensure!(pictures.len() == 3 && pictures.iter().all(|picture| picture.exists()), "{pictures:?}");
    }
    Ok(())
}

#[test]
fn a_page_with_many_images_renders_correctly() -> Result<()> {
    reconcile(&write("many", &example::review(60)?)?).map(drop)
}

#[test]
fn a_page_with_a_thousand_shares_renders_correctly_and_fast() -> Result<()> {
    let page = write("crowd", &example::crowd(1_000)?)?;
    review_trigger(&page, "complaint or at_once or curve or its_place").map(drop)
}

#[test]
fn a_page_without_images_renders_correctly() -> Result<()> {
    reconcile(&write("empty", &example::empty()?)?).map(drop)
}

#[test]
fn a_page_that_is_wrong_is_found_out() -> Result<()> {
    let page = write("wrong", &example::review(3)?)?;
    let spoiled =
        fs::read_to_string(&page)?.replace("<main>", "<main><img src=\"https://example.com/logo.png\" alt>");
    fs::write(&page, spoiled)?;
    match reconcile(&page) {
        Ok(Report::Skipped { .. }) => Ok(()),
        Ok(Report::Seen { .. }) => anyhow::bail!("nobody saw that the page loads a picture from elsewhere"),
        Err(error) => {
            let said = format!("{error:#}");
            ensure!(said.contains("Content Security Policy"), "{said}");
            Ok(())
        }
    }
}
