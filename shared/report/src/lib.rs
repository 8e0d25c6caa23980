//! Shows an access review as one HTML page that needs nothing else: no network, no font, no file beside it.
//!
//! The page is for people who did not write the tags: it says who can use which image, since when, until
//! when and why, and what does not fit. This crate only words and draws what the review says; it compares
//! nothing, and reads neither AWS nor a clock: what ends soon is measured from the end of the review.

mod page;
mod phrases;
mod picture;
mod reach;
mod totals;

use ami_share_domain::review::report::AccessReview;
use askama::Template;

/// The page of a review, as HTML in UTF-8.
///
/// Everything that comes from AWS or from a tag is escaped. A policy in the page itself lets the browser run
/// the page's own script and style only, and load nothing.
///
/// # Errors
/// Only when the template cannot be written to memory.
pub fn render(review: &AccessReview) -> Result<String, askama::Error> {
    page::Page::new(review).render()
}
