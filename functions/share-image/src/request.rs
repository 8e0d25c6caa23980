//! From the request and what AWS rejected to what is answered; pure.

use std::collections::BTreeSet;

use ami_share_aws::ec2::permissions::RejectedPermission;
use ami_share_domain::ids::KeyArn;
use ami_share_domain::image::request::ImageRequest;
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::targets::target::Target;

/// The keys that still admit somebody whom no live share needs.
pub(crate) fn keys_to_revoke(request: &ImageRequest) -> Vec<KeyArn> {
    let pending_revocation = request.keys.iter().filter(|key| !key.pending_revocation.is_empty());
    pending_revocation.map(|key| key.key.clone()).collect()
}

/// Takes those that EC2 rejected out of `shared`, and says why.
pub(crate) fn refusals(shared: &mut Vec<&Target>, rejected: &[RejectedPermission]) -> Vec<Refusal> {
    let mut seen = BTreeSet::new();
    let first = rejected.iter().filter(|rejected| seen.insert(&rejected.permission));
    let refusals = first.map(|RejectedPermission { permission, message }| {
        shared.retain(|target| target.launch_permission() != *permission);
        let selector = permission.name();
        Refusal::new(selector, RefusalCode::RejectedByAws, format!("EC2 does not take {selector}: {message}"))
    });
    refusals.collect()
}
