//! Example reviews of any size, with something of everything that the page can show.

use ami_share_domain::ids::{AccountId, ImageId, KeyArn};
use ami_share_domain::image::unmanaged::UnmanagedGrant;
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::review::report::{AccessReview, ReviewedImage, ReviewedKey, ReviewedShare};
use anyhow::Result;

const HUB: &str = "111122223333";
const PRODUCTION: &str = "ou-ab12-prod1234";
const BUILD: &str = "ou-ab12-build567";
const PARTNER: &str = "o-z9y8x7w6v5";
const NAMES: [&str; 6] =
    ["golden-linux", "golden-linux-arm64", "build-runner", "database", "windows-server", "bastion"];

/// A review of so many images, of which the first few have every trouble that there is.
pub fn review(images: usize) -> Result<AccessReview> {
    let keys = (1..=3).map(key_arn).collect::<Result<Vec<_>>>()?;
    let images = (0..images).map(|number| image(number, &keys)).collect::<Result<Vec<_>>>()?;
    Ok(AccessReview {
        account: HUB.parse()?,
        region: "eu-west-1".to_owned(),
        started_at: "2026-06-01T12:00:00Z".parse()?,
        finished_at: "2026-06-01T12:00:41Z".parse()?,
        keys: keys
            .into_iter()
            .zip([9_214, 31_870, 2_048])
            .map(|(arn, bytes)| key(arn, bytes, &images))
            .collect(),
        images,
    })
}

/// A review of a hub without images.
pub fn empty() -> Result<AccessReview> {
    Ok(AccessReview { keys: Vec::new(), ..review(0)? })
}

/// A review of two images, of which the last has so many shares.
pub fn crowd(shares: usize) -> Result<AccessReview> {
    let mut review = review(2)?;
    if let Some(image) = review.images.last_mut() {
        let accounts = (0..shares).map(|number| format!("{:012}", 300_000_000_000 + 7 * number));
        image.shares = accounts.map(|account| share(&account, &[&account])).collect::<Result<_>>()?;
    }
    Ok(review)
}

fn key_arn(number: usize) -> Result<KeyArn> {
    Ok(format!("arn:aws:kms:eu-west-1:{HUB}:key/{number:08x}-12ab-34cd-56ef-1234567890ab").parse()?)
}

fn key(arn: KeyArn, bytes: usize, images: &[ReviewedImage]) -> ReviewedKey {
    let needing = images.iter().filter(|image| image.keys.contains(&arn));
    let shares = needing.clone().flat_map(|image| &image.shares).map(|share| share.target.clone());
    let mut granted: Vec<String> = shares.collect();
    granted.sort();
    granted.dedup();
    let is_small = bytes < 4_096;
    let unneeded = if is_small { vec!["999999999999".to_owned()] } else { Vec::new() };
    granted.extend(unneeded.iter().cloned());
    ReviewedKey {
        images: needing.count(),
        arn,
        bytes,
        limit: 32_768,
        granted,
        unneeded,
        problem: is_small
            .then(|| "the key is disabled: enable it, or copy the image with another key".to_owned()),
    }
}

fn image(number: usize, keys: &[KeyArn]) -> Result<ReviewedImage> {
    let family = NAMES.get(number % NAMES.len()).copied().unwrap_or_default();
    let id: ImageId = format!("ami-{:017x}", 0x0ab3_4def_5600_1700 + 37 * number).parse()?;
    let is_gone = number == 5;
    Ok(ReviewedImage {
        name: if is_gone { String::new() } else { format!("{family}-2026.{:02}", number / NAMES.len() + 1) },
        state: if is_gone { "gone" } else { "available" }.to_owned(),
        status: (!is_gone).then(|| "shared with 2 accounts, 1 OU".to_owned()),
        confirmed_at: format!("2026-06-01T12:00:{:02}Z", number % 40).parse()?,
        shares: if is_gone { Vec::new() } else { shares(number)? },
        unmanaged: unmanaged(number, &id),
        refused: refused(number),
        differences: differences(number),
        keys: keys.iter().skip(number % 4).take(1).cloned().collect(),
        id,
    })
}

fn shares(number: usize) -> Result<Vec<ReviewedShare>> {
    let production = share(PRODUCTION, &["222222222222", "333333333333", "444444444444"])?;
    let build = share(BUILD, &["555555555555", "666666666666"])?;
    let copied = ReviewedShare {
        permits: vec!["launch".to_owned(), "copy".to_owned()],
        triggered_by: Some(format!("arn:aws:sts::{HUB}:assumed-role/ci-publisher/build-{number}")),
        ..share("777777777777", &["777777777777"])?
    };
    let partner = ReviewedShare {
        until: Some("2026-06-04T18:00:00Z".parse()?),
        triggered_by: None,
        event: String::new(),
        ..share(PARTNER, &[])?
    };
    let older = ReviewedShare {
        is_managed: false,
        until: Some("2026-12-31T23:59:59Z".parse()?),
        ..share("888888888888", &["888888888888"])?
    };
    Ok(match number % NAMES.len() {
        0 => vec![production, copied, partner],
        1 => vec![production, build],
        2 => vec![build],
        3 => vec![production, older],
        4 => vec![partner],
        _ => vec![copied],
    })
}

fn share(target: &str, accounts: &[&str]) -> Result<ReviewedShare> {
    Ok(ReviewedShare {
        target: target.to_owned(),
        accounts: accounts.iter().map(|account| account.parse()).collect::<Result<Vec<AccountId>, _>>()?,
        selectors: vec![target.to_owned()],
        permits: vec!["launch".to_owned()],
        is_managed: true,
        since: "2026-03-14T09:26:53Z".parse()?,
        until: None,
        triggered_by: Some(format!("arn:aws:sts::{HUB}:assumed-role/platform/jo.doe@example.com")),
        event: "7bf73129-1428-4cd3-a780-95db273d1602".to_owned(),
    })
}

fn unmanaged(number: usize, id: &ImageId) -> Vec<UnmanagedGrant> {
    let grant = |resource: &str, grantee: &str| UnmanagedGrant {
        resource: resource.to_owned(),
        grantee: grantee.to_owned(),
    };
    match number {
        0 => vec![grant(id.as_str(), "999999999999"), grant("snap-0abcdef1234567890", "999999999999")],
        1 => vec![grant(id.as_str(), "all")],
        7 => {
            let ou = format!("arn:aws:organizations::{HUB}:ou/o-a1b2c3d4e5/ou-ab12-forgot89");
            vec![grant(id.as_str(), &ou)]
        }
        _ => Vec::new(),
    }
}

fn refused(number: usize) -> Vec<Refusal> {
    match number {
        0 => vec![Refusal::new(
            "123456789012",
            RefusalCode::ExternalNotAllowed,
            "account 123456789012 is not in the organization: add it to AllowedExternalAccounts, or remove the selector",
        )],
        2 => vec![Refusal::new(
            "<script>alert(1)</script>",
            RefusalCode::MalformedSelector,
            "`<script>alert(1)</script>` is no selector: write an account id, an OU, `org` or `tag:Key=Value`",
        )],
        _ => Vec::new(),
    }
}

fn differences(number: usize) -> Vec<String> {
    match number {
        2 => vec!["ou-ab12-build567 has no launch permission: it was removed out of band".to_owned()],
        _ => Vec::new(),
    }
}
