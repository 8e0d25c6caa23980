//! What the page says about a review, read as text. The package `tests` tests how it looks and works in a browser.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a page that cannot be read as expected should stop the test where it is read"
)]

mod arbitrary;

use std::collections::BTreeSet;

use ami_share_domain::image::unmanaged::UnmanagedGrant;
use ami_share_domain::review::report::{AccessReview, ReviewedImage, ReviewedShare};
use ami_share_report::render;
use ami_share_testkit::fewer_cases;
use ami_share_testkit::ids::{account, hub, image_id, now, ou};
use proptest::prelude::*;
use serde_json::Value;

use crate::arbitrary::reviews;

/// The page as one long text, without the marks at which a line may break.
fn page(review: &AccessReview) -> String {
    render(review).unwrap().replace("<wbr>", "")
}

/// A text, escaped for HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '<' | '>' | '&' | '"' | '\'' => escaped.push_str(&format!("&#{};", u32::from(letter))),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Every text that is anywhere in a document.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

fn review(images: Vec<ReviewedImage>) -> AccessReview {
    AccessReview {
        account: hub(),
        region: "eu-west-1".to_owned(),
        started_at: now(),
        finished_at: now(),
        images,
        keys: Vec::new(),
    }
}

fn image(number: usize, shares: Vec<ReviewedShare>) -> ReviewedImage {
    ReviewedImage {
        id: image_id(number),
        name: format!("golden-{number}"),
        state: "available".to_owned(),
        status: None,
        confirmed_at: now(),
        shares,
        unmanaged: Vec::new(),
        refused: Vec::new(),
        differences: Vec::new(),
        keys: Vec::new(),
    }
}

fn share(target: &str, accounts: std::ops::Range<usize>) -> ReviewedShare {
    ReviewedShare {
        target: target.to_owned(),
        accounts: accounts.map(account).collect(),
        selectors: vec![target.to_owned()],
        permits: vec!["launch".to_owned()],
        is_managed: true,
        since: now(),
        until: None,
        triggered_by: None,
        event: String::new(),
    }
}

/// The curves of the picture, by the number of images that each stands for.
fn curves(page: &str) -> Vec<usize> {
    let numbers = page.split("data-images=\"").skip(1);
    numbers.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

/// How many curves the page says that it omits.
fn curves_omitted(page: &str) -> usize {
    let Some((before, _)) = page.split_once(" not in the picture. The tables have all of them.") else {
        return 0;
    };
    let names: Vec<&str> = before.split_whitespace().rev().take(3).collect();
    names[2].replace(',', "").parse().unwrap()
}

/// One for each share, and one for each grantee with unmanaged access to an image.
fn curves_to_draw(review: &AccessReview) -> usize {
    let unmanaged = |image: &ReviewedImage| {
        let ids = image.unmanaged.iter().map(|grant| grant.grantee.rsplit('/').next().unwrap().to_owned());
        ids.collect::<BTreeSet<_>>().len()
    };
    review.images.iter().map(|image| image.shares.len() + unmanaged(image)).sum()
}

/// The places in a column that the elements which begin with `start` name.
fn places(page: &str, start: &str, end: &str) -> BTreeSet<String> {
    let elements = page.split(start).skip(1).filter_map(|rest| rest.split('>').next());
    let place =
        |element: &str| Some(element.split_once(&format!(" data-{end}=\""))?.1.split('"').next()?.to_owned());
    elements.filter_map(place).collect()
}

#[test]
fn a_script_in_a_name_is_shown_and_not_run() {
    let name = "<script>alert('gone')</script>";
    let page = page(&review(vec![ReviewedImage { name: name.to_owned(), ..image(1, Vec::new()) }]));
    assert!(page.contains("&#60;script&#62;alert(&#39;gone&#39;)&#60;/script&#62;"));
    assert_eq!(page.matches("<script").count(), 1, "only the page's own");
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let page = page(&review(vec![image(1, vec![share("222222222222", 1..2)])]));
    for outside in ["http:", "https:", "//", "@import", "url("] {
        let found = page.lines().filter(|line| !line.trim_start().starts_with("//"));
        let found: Vec<&str> = found.filter(|line| line.contains(outside)).collect();
        assert!(found.is_empty(), "{outside}: {found:?}");
    }
}

#[test]
fn the_page_reports_public_images_before_anything_else() {
    let open = UnmanagedGrant { resource: image_id(1).to_string(), grantee: "all".to_owned() };
    let public = ReviewedImage { unmanaged: vec![open], ..image(1, Vec::new()) };
    let page = page(&review(vec![public]));
    let alarm = page.find("Public access").unwrap();
    assert!(alarm < page.find("class=\"tiles\"").unwrap());
    assert!(page.contains("class=\"curve public\""));
}

#[test]
fn a_page_without_public_images_raises_no_alarm() {
    let page = page(&review(vec![image(1, vec![share("222222222222", 1..2)])]));
    assert!(!page.contains("role=\"alert\"") && !page.contains("class=\"curve public\""));
}

#[test]
fn a_hub_without_images_says_so_in_every_table() {
    let page = page(&review(Vec::new()));
    assert!(!page.contains("<table"));
    assert_eq!(page.matches("class=\"empty\"").count(), 7, "the picture and six tables");
}

#[test]
fn the_accounts_behind_an_ou_are_listed_once_however_many_images_it_has() {
    let target = ou(1).to_string();
    let images = (0..200).map(|number| image(number, vec![share(&target, 0..500)])).collect();
    let page = page(&review(images));
    assert_eq!(page.matches(account(499).as_str()).count(), 1);
}

#[test]
fn images_with_the_same_targets_are_drawn_as_one_when_there_are_many() {
    let images = |count| (0..count).map(|number| image(number, vec![share("222222222222", 1..2)])).collect();
    assert_eq!(curves(&page(&review(images(3)))), [1, 1, 1]);
    assert_eq!(curves(&page(&review(images(100)))), [100]);
}

#[test]
fn a_crowd_of_targets_is_cut_and_the_page_says_so() {
    let shares = (0..1_000).map(|number| share(account(number).as_str(), number..number + 1)).collect();
    let page = page(&review(vec![image(1, shares)]));
    assert_eq!(curves(&page).len(), 24);
    assert!(page.contains("Too much to draw: 976 targets and 976 curves are not in the picture."));
}

proptest! {
    #![proptest_config(fewer_cases())]

    #[test]
    fn everything_of_the_review_is_on_the_page(review in reviews()) {
        let page = page(&review);
        let document = serde_json::to_value(&review).unwrap();
        for text in texts(&document) {
            prop_assert!(page.contains(&escaped(text)), "{text:?} is not on the page");
        }
        let shares = || review.images.iter().flat_map(|image| &image.shares);
        let of_others = shares().filter(|share| !share.is_managed).count();
        prop_assert_eq!(page.matches("class=\"chip other\"").count(), of_others);
    }

    #[test]
    fn every_table_has_a_row_for_each(review in reviews()) {
        let page = page(&review);
        let rows = |table: &str| {
            let start = format!("<table class=\"{table}\"");
            let body = page.split_once(&start).and_then(|(_, rest)| rest.split_once("</table>"));
            body.map_or(0, |(body, _)| body.matches("<tr").count() - 1)
        };
        let sum = |count: fn(&ReviewedImage) -> usize| review.images.iter().map(count).sum::<usize>();
        prop_assert_eq!(rows("shares"), sum(|image| image.shares.len()));
        prop_assert_eq!(rows("unmanaged"), sum(|image| image.unmanaged.len()));
        prop_assert_eq!(rows("refused"), sum(|image| image.refused.len()));
        prop_assert_eq!(rows("images"), review.images.len());
        prop_assert_eq!(rows("keys"), review.keys.len());
    }

    #[test]
    fn the_totals_are_those_of_the_review(review in reviews()) {
        let page = page(&review);
        let tiles = page.split_once("class=\"tiles\"").unwrap().1.split_once("</nav>").unwrap().0;
        let totals: Vec<usize> = tiles.split("<b>").skip(1)
            .map(|rest| rest.split("</b>").next().unwrap().replace(',', "").parse().unwrap()).collect();
        let sum = |count: fn(&ReviewedImage) -> usize| review.images.iter().map(count).sum::<usize>();
        let shares = review.images.iter().flat_map(|image| &image.shares);
        let targets = shares.map(|share| &share.target).collect::<BTreeSet<_>>().len();
        let problems = review.keys.iter().filter(|key| key.problem.is_some()).count();
        let expected = [
            Some(review.images.len()),
            Some(sum(|image| image.shares.len())),
            Some(targets),
            Some(sum(|image| image.unmanaged.len())),
            Some(sum(|image| image.refused.len())),
            Some(review.keys.iter().filter(|key| key.is_nearly_full()).count()),
            Some(problems).filter(|problems| *problems > 0),
            Some(sum(|image| image.differences.len())),
        ];
        prop_assert_eq!(totals, expected.into_iter().flatten().collect::<Vec<_>>());
    }

    #[test]
    fn each_share_is_drawn_as_a_curve_or_counted_as_omitted(review in reviews()) {
        let page = page(&review);
        let drawn: usize = curves(&page).into_iter().sum();
        prop_assert_eq!(drawn + curves_omitted(&page), curves_to_draw(&review));
    }

    #[test]
    fn every_label_has_a_curve_and_no_column_has_more_than_fit(review in reviews()) {
        let page = page(&review);
        for end in ["from", "to"] {
            let labels = places(&page, "<button type=\"button\"", end);
            prop_assert_eq!(&labels, &places(&page, "<path class=\"curve", end));
            prop_assert!(labels.len() <= 24);
            prop_assert_eq!(labels.is_empty(), curves_to_draw(&review) == 0);
        }
    }
}
