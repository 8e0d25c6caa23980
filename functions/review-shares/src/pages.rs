//! One page of a review: which images, what they differ in, and which of them must be looked at.
//!
//! Everything that a page finds is in its part of the bucket and in its answer; a page that dies half-way is
//! simply read again.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_aws::ec2::images::FoundImage;
use ami_share_aws::keys::KeyObserver;
use ami_share_domain::ids::{ImageId, KeyArn};
use ami_share_domain::review::key::ReviewedKeyState;
use ami_share_domain::review::report::{ReviewedImage, ReviewedKey};
use ami_share_domain::tags::share_tags::is_tagged;
use ami_share_lambda::Failure;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use crate::ReviewShares;
use crate::reading::{Facts, review_trigger};
use crate::request::{Cursor, Differing, Next, Source, Spent, State};

/// Images of one page of the ledger's.
const PAGE: i32 = 50;
/// Images, or keys, that are read at the same time.
const CONCURRENT_READS: usize = 4;

/// What one page found, as the bucket has it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) images: Vec<ReviewedImage>,
    pub(crate) keys: Vec<ReviewedKey>,
}

/// The images of a page, and where the next one begins.
struct Page {
    images: Vec<(ImageId, Option<FoundImage>)>,
    next: Option<Source>,
}

impl ReviewShares {
    /// Compares the page at which the review is.
    pub(crate) async fn page(&self, state: State) -> Result<State, Failure> {
        let cursor = state.cursor.clone().unwrap_or_else(Cursor::first);
        let Page { images, next } = self.images(&cursor.from).await?;
        let compared = self.compare(images, &state).await?;
        let differing: Vec<Differing> = compared
            .iter()
            .filter(|compared| !compared.image.differences.is_empty())
            .map(|compared| Differing {
                image_id: compared.image.id.clone(),
                id: state.review_id.clone(),
                organization_changed_at: state.organization_changed_at,
                adopt: state.adopt && compared.has_no_share,
            })
            .collect();
        for Compared { image, .. } in
            compared.iter().filter(|compared| !compared.image.differences.is_empty())
        {
            tracing::info!(image = %image.id, differences = image.differences.join("; "), "differs");
        }
        if state.reports() {
            self.keep(&state, cursor.page, part(compared)).await?;
        }
        let spent = Spent {
            pages: state.spent.pages + 1,
            reconciliations: state.spent.reconciliations + differing.len(),
        };
        let cursor = next.map(|from| Cursor { page: cursor.page + 1, from });
        let next = match &cursor {
            Some(_) if spent.is_enough() => Next::Continue,
            Some(_) => Next::Page,
            None if state.reports() => Next::Report,
            None => Next::End,
        };
        Ok(State { cursor, differing, spent, next, ..state })
    }

    /// First the images that the ledger manages, then those that are tagged and that it does not know.
    async fn images(&self, from: &Source) -> Result<Page, Failure> {
        match from {
            Source::Ledger(after) => {
                let (page, next) = self.ledger.managed_page(after.as_ref(), PAGE).await?;
                let ids: Vec<ImageId> = page.into_iter().map(|(image, _)| image).collect();
                let mut found = self.reader.images.found(&ids).await?;
                let images = ids.into_iter().map(|id| (id.clone(), found.remove(&id))).collect();
                let next = next.map_or(Source::Tags(None), |last| Source::Ledger(Some(last)));
                Ok(Page { images, next: Some(next) })
            }
            Source::Tags(token) => {
                let (mut found, next) = self.reader.images.managed_page(token.clone()).await?;
                // A status alone is what is left of an image that was shared once.
                found.retain(|found| is_tagged(&found.tags));
                let ids: Vec<ImageId> = found.iter().map(|found| found.image.id.clone()).collect();
                let managed = self.ledger.managed_among(&ids).await?;
                let unknown = found.into_iter().filter(|found| !managed.contains(&found.image.id));
                let images = unknown.map(|found| (found.image.id.clone(), Some(found))).collect();
                Ok(Page { images, next: next.map(|token| Source::Tags(Some(token))) })
            }
        }
    }

    async fn compare(
        &self,
        images: Vec<(ImageId, Option<FoundImage>)>,
        state: &State,
    ) -> Result<Vec<Compared>, Failure> {
        let began = Timestamp::now();
        let observer = &self.resolver.key_observer();
        let facts = stream::iter(images)
            .map(|(image, found)| async move {
                let trigger = review_trigger(&image, &state.review_id, began);
                let span = tracing::error_span!("image", %image);
                self.reader.facts(&self.resolver, found, &trigger, observer).instrument(span).await
            })
            .buffered(CONCURRENT_READS);
        let facts: Vec<Facts> = facts.try_filter_map(|facts| async move { Ok(facts) }).try_collect().await?;
        let keys = self.keys(&facts, observer).await?;
        let mut unspoken: BTreeSet<KeyArn> = keys.keys().cloned().collect();
        let mut compared = Vec::new();
        for facts in &facts {
            let speaks_for: BTreeSet<KeyArn> =
                facts.keys().iter().filter(|key| unspoken.remove(*key)).cloned().collect();
            let image = self.reader.compare(facts, &keys, &speaks_for);
            let is_over = facts.is_gone() && image.differences.is_empty() && image.shares.is_empty();
            if !is_over {
                let keys = speaks_for
                    .iter()
                    .filter_map(|key| keys.get(key))
                    .map(ReviewedKeyState::reviewed)
                    .collect();
                compared.push(Compared { image, keys, has_no_share: facts.has_no_share() });
            }
        }
        Ok(compared)
    }

    /// The keys of the page's images, each read once.
    async fn keys(
        &self,
        facts: &[Facts],
        observer: &KeyObserver,
    ) -> Result<BTreeMap<KeyArn, ReviewedKeyState>, Failure> {
        let desired: BTreeSet<&KeyArn> = facts.iter().flat_map(|facts| facts.keys()).collect();
        let keys = stream::iter(desired)
            .map(|key| async move { Ok::<_, Failure>((key.clone(), self.reader.key(key, observer).await?)) })
            .buffer_unordered(CONCURRENT_READS);
        keys.try_collect().await
    }

    async fn keep(&self, state: &State, page: u32, part: Part) -> Result<(), Failure> {
        let body = serde_json::to_vec(&part).map_err(|error| Failure::BadRequest(error.to_string()))?;
        let key = format!("{}{page:06}.json", parts_prefix(&state.review_id));
        Ok(self.store.put(&key, "application/json", body).await?)
    }
}

/// One image of a page.
struct Compared {
    image: ReviewedImage,
    /// The keys that it speaks for.
    keys: Vec<ReviewedKey>,
    /// Whether the ledger has no share of it.
    has_no_share: bool,
}

fn part(compared: Vec<Compared>) -> Part {
    let mut part = Part::default();
    for Compared { image, keys, .. } in compared {
        part.images.push(image);
        part.keys.extend(keys);
    }
    part
}

/// Where the parts of a review are.
pub(crate) fn parts_prefix(review: &str) -> String {
    format!("reviews/{review}/parts/")
}
