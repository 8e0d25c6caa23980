//! The access review: joins the parts of all pages, stores them as JSON and as an HTML page, and notifies the topic.

use std::collections::BTreeMap;

use ami_share_domain::ids::Arn;
use ami_share_domain::metrics;
use ami_share_domain::review::report::{AccessReview, ReviewedImage, ReviewedKey};
use ami_share_lambda::{Failure, Invocation};

use crate::ReviewShares;
use crate::pages::{Part, parts_prefix};
use crate::request::Reported;
use crate::state::State;

impl ReviewShares {
    /// Writes the access review, and publishes on the topic where it is.
    pub(crate) async fn write_report(
        &self,
        state: &State,
        invocation: &Invocation,
    ) -> Result<Reported, Failure> {
        let review = self.assemble(state).await?;
        let key = self.store(&review, &state.review_id).await?;
        let reported = count(&review, format!("s3://{}/{key}", self.bucket));
        let link = console_link(&self.region, &self.share_workflow, &self.bucket, &key);
        self.topic.notify(&subject(&reported), &message(&reported, &link)).await?;
        invocation.measure(&metrics::of_review(&review));
        tracing::info!(
            images = reported.images,
            shares = reported.shares,
            unmanaged = reported.unmanaged,
            refused = reported.refused,
            nearly_full_keys = reported.nearly_full_keys,
            differing = reported.differing,
            report = reported.report,
            "reviewed"
        );
        Ok(reported)
    }

    /// The key of the HTML page in the bucket.
    async fn store(&self, review: &AccessReview, folder: &str) -> Result<String, Failure> {
        let bad = |error: &dyn std::fmt::Display| Failure::BadRequest(error.to_string());
        let page = ami_share_report::render(review).map_err(|error| bad(&error))?;
        let json = serde_json::to_vec(review).map_err(|error| bad(&error))?;
        self.store.put(&format!("reviews/{folder}/access-review.json"), "application/json", json).await?;
        let key = format!("reviews/{folder}/access-review.html");
        self.store.put(&key, "text/html; charset=utf-8", page.into_bytes()).await?;
        Ok(key)
    }

    async fn assemble(&self, state: &State) -> Result<AccessReview, Failure> {
        let mut images: BTreeMap<_, ReviewedImage> = BTreeMap::new();
        let mut keys: BTreeMap<_, ReviewedKey> = BTreeMap::new();
        for key in self.store.list(&parts_prefix(&state.review_id)).await? {
            let Some(part) = self.store.get(&key).await? else { continue };
            let Part { images: of_part, keys: keys_of_part } = serde_json::from_slice(&part)
                .map_err(|error| Failure::BadRequest(format!("{key}: {error}")))?;
            images.extend(of_part.into_iter().map(|image| (image.id.clone(), image)));
            keys.extend(keys_of_part.into_iter().map(|key| (key.arn.clone(), key)));
        }
        let finished_at = self.reader.clock.now();
        Ok(AccessReview {
            account: self.hub.clone(),
            region: self.region.clone(),
            started_at: state.started_at.unwrap_or(finished_at),
            finished_at,
            images: images.into_values().collect(),
            keys: keys.into_values().collect(),
        })
    }
}

fn count(review: &AccessReview, report: String) -> Reported {
    let sum = |count: fn(&ReviewedImage) -> usize| review.images.iter().map(count).sum();
    Reported {
        report,
        images: review.images.len(),
        shares: sum(|image| image.shares.len()),
        unmanaged: sum(|image| image.unmanaged.len()),
        refused: sum(|image| image.refused.len()),
        nearly_full_keys: review.keys.iter().filter(|key| key.is_nearly_full()).count(),
        differing: sum(|image| usize::from(!image.differences.is_empty())),
    }
}

fn subject(reported: &Reported) -> String {
    format!("AMI access review: {} images, {} shares", reported.images, reported.shares)
}

fn message(reported: &Reported, link: &str) -> String {
    let Reported { report, images, shares, unmanaged, refused, nearly_full_keys, differing } = reported;
    format!(
        "Who can use which image, and why: {link}\n(sign in to this account first, or read {report})\n\n\
         {images} images\n{shares} shares\n{unmanaged} permissions that ami-share did not grant\n\
         {refused} refused selectors\n{nearly_full_keys} keys with a nearly full policy\n\
         {differing} images that differed from their tags and were reconciled\n"
    )
}

/// Where the console shows an object, after a login: a presigned link would need none. AWS does not document the
/// address; this is the one that the console itself uses (seen, not documented). The domains of the partitions:
/// <https://docs.aws.amazon.com/general/latest/gr/aws-arns-and-namespaces.html>,
/// <https://docs.amazonaws.cn/en_us/aws/latest/userguide/endpoints-arns.html>
fn console_link(region: &str, some_arn: &str, bucket: &str, key: &str) -> String {
    let domain = match Arn::parse(some_arn).map(|arn| arn.partition) {
        Ok("aws-cn") => "console.amazonaws.cn",
        Ok("aws-us-gov") => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    };
    format!("https://{region}.{domain}/s3/object/{bucket}?region={region}&prefix={key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_link_needs_a_login_and_is_not_presigned() {
        let arn = "arn:aws:states:eu-west-1:111122223333:stateMachine:ami-share-share";
        let link = console_link("eu-west-1", arn, "reviews", "reviews/1/access-review.html");
        assert_eq!(
            link,
            "https://eu-west-1.console.aws.amazon.com/s3/object/reviews?region=eu-west-1&prefix=reviews/1/access-review.html"
        );
        assert!(
            console_link("cn-north-1", "arn:aws-cn:states:cn-north-1:111122223333:stateMachine:x", "b", "k")
                .contains(".console.amazonaws.cn/")
        );
    }
}
