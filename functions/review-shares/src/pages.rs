//! One page of a review: which images, how they differ from their tags, and which of them to reconcile.
//!
//! Everything that a page finds is in its part of the bucket and in its answer, so an interrupted page is read again.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_aws::ec2::images::FoundImage;
use ami_share_aws::keys::KeyObserver;
use ami_share_domain::ids::{ImageId, KeyArn};
use ami_share_domain::review::key::ReviewedKeyState;
use ami_share_domain::review::report::{ReviewedImage, ReviewedKey};
use ami_share_domain::tags::share_tags::is_tagged;
use ami_share_lambda::Failure;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use crate::ReviewShares;
use crate::reading::{Facts, review_trigger};
use crate::state::{Cursor, Differing, Source, State};

/// Images of one page of the ledger's index.
const PAGE: i32 = 50;
/// Images, or keys, that are read at the same time.
const CONCURRENT_READS: usize = 4;

/// What one page found, as the bucket has it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) images: Vec<ReviewedImage>,
    pub(crate) keys: Vec<ReviewedKey>,
}

/// The images of a page, and where the next page begins.
struct Page {
    images: Vec<(ImageId, Option<FoundImage>)>,
    next: Option<Source>,
}

/// One image of a page.
struct Compared {
    image: ReviewedImage,
    /// The keys that are reported with this image.
    keys: Vec<ReviewedKey>,
    /// Whether the ledger has no share of it.
    has_no_share: bool,
}

impl ReviewShares {
    /// Compares the images of the next page with their tags.
    pub(crate) async fn compare_page(&self, state: State) -> Result<State, Failure> {
        let cursor = state.cursor.clone().unwrap_or_else(Cursor::first);
        let Page { images, next } = self.images(&cursor.from).await?;
        let compared = self.compare(images, &state).await?;
        let differing = differing(&compared, &state);
        if state.reports() {
            self.store_part(&state, cursor.page, part(compared)).await?;
        }
        Ok(state.after_page(cursor.page, differing, next))
    }

    /// First the images that the ledger manages, then the tagged images that the ledger does not know.
    async fn images(&self, from: &Source) -> Result<Page, Failure> {
        match from {
            Source::Ledger(after) => self.managed_images(after.as_ref()).await,
            Source::Tags(token) => self.other_tagged_images(token.clone()).await,
        }
    }

    async fn managed_images(&self, after: Option<&ImageId>) -> Result<Page, Failure> {
        let (page, next) = self.ledger.managed_page(after, PAGE).await?;
        let ids: Vec<ImageId> = page.into_iter().map(|(image, _)| image).collect();
        let mut found = self.reader.images.found(&ids).await?;
        let images = ids.into_iter().map(|id| (id.clone(), found.remove(&id))).collect();
        let next = next.map_or(Source::Tags(None), |last| Source::Ledger(Some(last)));
        Ok(Page { images, next: Some(next) })
    }

    async fn other_tagged_images(&self, token: Option<String>) -> Result<Page, Failure> {
        let (mut found, next) = self.reader.images.managed_page(token).await?;
        // An image that was shared once may still have the status tag alone.
        found.retain(|found| is_tagged(&found.tags));
        let ids: Vec<ImageId> = found.iter().map(|found| found.image.id.clone()).collect();
        let managed = self.ledger.managed_among(&ids).await?;
        let unknown = found.into_iter().filter(|found| !managed.contains(&found.image.id));
        let images = unknown.map(|found| (found.image.id.clone(), Some(found))).collect();
        Ok(Page { images, next: next.map(|token| Source::Tags(Some(token))) })
    }

    async fn compare(
        &self,
        images: Vec<(ImageId, Option<FoundImage>)>,
        state: &State,
    ) -> Result<Vec<Compared>, Failure> {
        let observer = self.resolver.key_observer();
        let facts = self.facts(images, state, &observer).await?;
        let keys = self.keys(&facts, &observer).await?;
        let mut unreported: BTreeSet<KeyArn> = keys.keys().cloned().collect();
        let mut compared = Vec::new();
        for facts in &facts {
            // The first image on a key reports the key's own differences.
            let reported: BTreeSet<KeyArn> =
                facts.keys().iter().filter(|key| unreported.remove(*key)).cloned().collect();
            let image = self.reader.compare(facts, &keys, &reported);
            let is_over = facts.is_gone() && image.differences.is_empty() && image.shares.is_empty();
            if !is_over {
                let reported = reported.iter().filter_map(|key| keys.get(key));
                let keys = reported.map(ReviewedKeyState::reviewed).collect();
                compared.push(Compared { image, keys, has_no_share: facts.has_no_share() });
            }
        }
        Ok(compared)
    }

    async fn facts(
        &self,
        images: Vec<(ImageId, Option<FoundImage>)>,
        state: &State,
        observer: &KeyObserver,
    ) -> Result<Vec<Facts>, Failure> {
        let page_started_at = self.reader.clock.now();
        let facts = stream::iter(images)
            .map(|(image, found)| async move {
                let trigger = review_trigger(&image, &state.review_id, page_started_at);
                let span = tracing::error_span!("image", %image);
                self.reader.facts(&self.resolver, found, &trigger, observer).instrument(span).await
            })
            .buffered(CONCURRENT_READS);
        facts.try_filter_map(|facts| async move { Ok(facts) }).try_collect().await
    }

    /// The keys of the page's images, each read once.
    async fn keys(
        &self,
        facts: &[Facts],
        observer: &KeyObserver,
    ) -> Result<BTreeMap<KeyArn, ReviewedKeyState>, Failure> {
        let keys: BTreeSet<&KeyArn> = facts.iter().flat_map(|facts| facts.keys()).collect();
        let keys = stream::iter(keys)
            .map(|key| async move { Ok::<_, Failure>((key.clone(), self.reader.key(key, observer).await?)) })
            .buffer_unordered(CONCURRENT_READS);
        keys.try_collect().await
    }

    async fn store_part(&self, state: &State, page: u32, part: Part) -> Result<(), Failure> {
        let body = serde_json::to_vec(&part).map_err(|error| Failure::BadRequest(error.to_string()))?;
        let key = format!("{}{page:06}.json", parts_prefix(&state.review_id));
        Ok(self.store.put(&key, "application/json", body).await?)
    }
}

/// The images to reconcile.
fn differing(compared: &[Compared], state: &State) -> Vec<Differing> {
    let differing = compared.iter().filter(|compared| !compared.image.differences.is_empty());
    let logged = differing.inspect(|Compared { image, .. }| {
        tracing::info!(image = %image.id, differences = image.differences.join("; "), "the image differs");
    });
    let requests = logged.map(|compared| Differing {
        image_id: compared.image.id.clone(),
        id: state.review_id.clone(),
        organization_changed_at: state.organization_changed_at,
        adopt: state.adopt && compared.has_no_share,
    });
    requests.collect()
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
