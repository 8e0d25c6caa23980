//! Renders an access review as one HTML page that needs no network, no font and no other file.
//!
//! The page says who can use which image, since when, until when and why, and what differs from the tags, for people who
//! did not write them. This crate only words and draws the review: it compares nothing, and reads neither AWS nor a
//! clock. What ends soon is measured from the end of the review.

mod page;
mod phrases;
mod picture;
mod reach;
mod totals;

use ami_share_domain::review::report::AccessReview;
use askama::Template;

/// The page of a review, as HTML in UTF-8.
///
/// Every text from AWS or from a tag is escaped. A content security policy in the page allows only the page's own script
/// and style, and loads nothing.
///
/// # Errors
/// Only when the template cannot be written to memory.
pub fn render(review: &AccessReview) -> Result<String, askama::Error> {
    page::Page::new(review).render()
}
