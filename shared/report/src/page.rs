//! The page: what its template shows, and what the browser may run.

use ami_share_domain::image::unmanaged::UnmanagedGrant;
use ami_share_domain::review::report::{AccessReview, ReviewedImage, ReviewedShare};
use askama::Template;

use crate::picture::Picture;
use crate::reach::Reaches;
use crate::totals::{Totals, public};

/// The page's style, which is part of the page.
const STYLE: &str = include_str!("../templates/page.css");
/// The page's script, which is part of the page.
const SCRIPT: &str = include_str!("../templates/page.js");
/// The content security policy: the browser runs the page's own style and script, known by their digests, and loads
/// nothing. The empty icon keeps it from requesting `/favicon.ico`.
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Content-Security-Policy>
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; \
    style-src 'sha256-BxfhczQOrpPCnVWLh6720uSGnSjwhS0FNvY5LdgSxx4='; \
    script-src 'sha256-I0KH5X92MHjwWGPgelWWhOUk3J7QfJl2qSiDKt0At1c='";

/// Everything that the template needs.
#[derive(Template)]
#[template(path = "page.html", whitespace = "minimize")]
pub(crate) struct Page<'a> {
    review: &'a AccessReview,
    totals: Totals,
    public: Vec<(&'a ReviewedImage, &'a UnmanagedGrant)>,
    picture: Picture<'a>,
    reaches: Reaches<'a>,
}

impl<'a> Page<'a> {
    /// The page of a review.
    pub(crate) fn new(review: &'a AccessReview) -> Self {
        Self {
            review,
            totals: Totals::of(review),
            public: public(review),
            picture: Picture::of(review),
            reaches: Reaches::of(review),
        }
    }

    fn shares(&self) -> impl Iterator<Item = (&ReviewedImage, &ReviewedShare)> {
        self.review.images.iter().flat_map(|image| image.shares.iter().map(move |share| (image, share)))
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// Base64 as in RFC 4648.
    fn base64(bytes: &[u8]) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(*chunk.get(at).unwrap_or(&0)));
            let letters = (0..=chunk.len()).map(|at| char::from(LETTERS[bits >> (18 - 6 * at) & 63]));
            text.extend(letters);
            text.extend((chunk.len()..3).map(|_| '='));
        }
        text
    }

    #[test]
    fn the_policy_allows_the_style_and_the_script_as_they_are() {
        for (name, text) in [("style", STYLE), ("script", SCRIPT)] {
            let source = format!("{name}-src 'sha256-{}'", base64(&Sha256::digest(text)));
            assert!(POLICY.contains(&source), "the policy should have: {source}");
        }
    }
}
