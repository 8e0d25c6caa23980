//! The page of an access review in a real browser. The tests of its text are in `shared/report`.

mod example;

use std::fs;
use std::path::PathBuf;

use ami_share_domain::review::report::AccessReview;
use ami_share_tests::browser::{Report, check_page, check_page_with};
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
    let report = check_page(&write("few", &example::review(3)?)?)?;
    if let Report::Checked { browser, pictures } = report {
        ensure!(browser.starts_with("Chromium "), "the browser is {browser}");
        ensure!(pictures.len() == 3 && pictures.iter().all(|picture| picture.exists()), "{pictures:?}");
    }
    Ok(())
}

#[test]
fn a_page_with_many_images_renders_correctly() -> Result<()> {
    check_page(&write("many", &example::review(60)?)?).map(drop)
}

#[test]
fn a_page_with_a_thousand_shares_renders_correctly_and_fast() -> Result<()> {
    let page = write("crowd", &example::crowd(1_000)?)?;
    check_page_with(&page, "complaint or at_once or curve or its_place").map(drop)
}

#[test]
fn a_page_without_images_renders_correctly() -> Result<()> {
    check_page(&write("empty", &example::empty()?)?).map(drop)
}

#[test]
fn a_page_that_loads_a_picture_from_elsewhere_fails_its_checks() -> Result<()> {
    let page = write("wrong", &example::review(3)?)?;
    let spoiled =
        fs::read_to_string(&page)?.replace("<main>", "<main><img src=\"https://example.com/logo.png\" alt>");
    fs::write(&page, spoiled)?;
    match check_page(&page) {
        Ok(Report::Skipped { .. }) => Ok(()),
        Ok(Report::Checked { .. }) => {
            anyhow::bail!("no check noticed that the page loads a picture from elsewhere")
        }
        Err(error) => {
            let message = format!("{error:#}");
            ensure!(message.contains("Content Security Policy"), "{message}");
            Ok(())
        }
    }
}
