//! From the request and what AWS rejected to the result; pure.

use std::collections::BTreeSet;

use ami_share_aws::ec2::permissions::RejectedPermission;
use ami_share_domain::refusal::Refusal;
use ami_share_domain::targets::target::Target;

/// Removes what EC2 rejected from `shared`, and returns why.
pub(crate) fn refusals(shared: &mut Vec<&Target>, rejected: &[RejectedPermission]) -> Vec<Refusal> {
    let mut seen = BTreeSet::new();
    let first = rejected.iter().filter(|rejected| seen.insert(&rejected.permission));
    let refusals = first.map(|RejectedPermission { permission, reason }| {
        shared.retain(|target| target.launch_permission() != *permission);
        Refusal::new(permission.name(), reason.clone())
    });
    refusals.collect()
}
