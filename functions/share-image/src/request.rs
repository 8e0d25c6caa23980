//! From the request and what AWS rejected to what is answered; pure.

use std::collections::BTreeSet;

use ami_share_aws::permissions::RejectedPermission;
use ami_share_domain::ids::KeyArn;
use ami_share_domain::image_plan::ImagePlan;
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::share::{Given, ImageRequest, Target};

/// What is answered when these targets have access, and nothing else was done.
pub(crate) fn given(request: &ImageRequest, shared: &[&Target], refused: Vec<Refusal>) -> Given {
    let share = request.share.clone();
    Given {
        shared: shared.iter().map(|target| target.name().to_owned()).collect(),
        refused: share.refused.iter().cloned().chain(refused).collect(),
        share,
        superseded: false,
        withdrawn: Vec::new(),
        restored: Vec::new(),
        unmanaged: Vec::new(),
        made_private: Vec::new(),
        retract: Vec::new(),
        retracted: Vec::new(),
        usage_report: None,
        usage: None,
        plan: Vec::new(),
    }
}

/// What is answered when a later look does all that is to be done.
pub(crate) fn overtaken(request: &ImageRequest) -> Given {
    Given { superseded: true, refused: Vec::new(), ..given(request, &[], Vec::new()) }
}

/// The keys that still admit somebody whom no live share needs.
pub(crate) fn keys_to_retract(request: &ImageRequest) -> Vec<KeyArn> {
    let leaving = request.keys.iter().filter(|key| !key.leaving.is_empty());
    leaving.map(|key| key.key.clone()).collect()
}

/// Takes everybody out of `shared` when the plan refuses to give anything.
pub(crate) fn refuse_all(shared: &mut Vec<&Target>, plan: &ImagePlan) -> Vec<Refusal> {
    let Some(refusal) = &plan.refused else { return Vec::new() };
    shared.drain(..).map(|target| Refusal { word: target.name().to_owned(), ..refusal.clone() }).collect()
}

/// Takes those that EC2 rejected out of `shared`, and says why.
pub(crate) fn refusals(shared: &mut Vec<&Target>, rejected: &[RejectedPermission]) -> Vec<Refusal> {
    let mut seen = BTreeSet::new();
    let first = rejected.iter().filter(|rejected| seen.insert(&rejected.permission));
    let refusals = first.map(|RejectedPermission { permission, message }| {
        shared.retain(|target| target.launch_permission() != *permission);
        let word = permission.name();
        Refusal::new(word, RefusalCode::RejectedByAws, format!("EC2 does not take {word}: {message}"))
    });
    refusals.collect()
}
