//! Who is told what: once, and only those who have something to hear.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::AccountId;
use ami_share_domain::notice::NoticeKind;
use ami_share_domain::share::Target;
use ami_share_testkit::ids::{account, now};
use ami_share_testkit::scenes::{Scene, scenes};
use ami_share_testkit::shares::{account_target, ou_target, refusal, share};
use ami_share_testkit::world::{Crash, World};
use proptest::prelude::*;

/// One scene in which the tag changes: each look has other words, and keys that refuse some targets.
fn changing_scenes() -> impl Strategy<Value = Vec<(Scene, Vec<prop::sample::Index>)>> {
    let looks =
        prop::collection::vec((scenes(), prop::collection::vec(any::<prop::sample::Index>(), 0..3)), 1..4);
    (scenes(), looks).prop_map(|(first, looks)| {
        let same_world = |scene: Scene| Scene { organization: first.organization.clone(), ..scene };
        looks.into_iter().map(|(scene, refused)| (same_world(scene), refused)).collect()
    })
}

proptest! {
    #[test]
    fn everybody_is_told_once_and_only_of_what_they_have(looks in changing_scenes()) {
        let mut world = World::default();
        let mut told: BTreeMap<AccountId, usize> = BTreeMap::new();
        for (scene, refused) in looks {
            let targets = scene.resolve().targets;
            let refused = refused.iter().filter(|_| !targets.is_empty());
            let refused: BTreeSet<&str> = refused.map(|place| place.get(&targets).name()).collect();
            let refused = refused.into_iter().map(refusal).collect();
            let given = world.give(&share(targets.clone()), refused, now(), Crash::Never).unwrap();
            let shared: BTreeSet<&AccountId> = targets
                .iter()
                .filter(|target| given.shared.iter().any(|name| name == target.name()))
                .flat_map(Target::accounts)
                .collect();
            let plan = world.tell(&given);
            for (account, notice) in &plan.members {
                prop_assert!(shared.contains(account));
                prop_assert_eq!(notice.kind, NoticeKind::Shared);
                prop_assert_eq!(notice.detail.account.as_ref(), Some(account));
                *told.entry(account.clone()).or_default() += 1;
            }
            prop_assert!(shared.into_iter().all(|account| told.contains_key(account)));
            let again = world.tell(&given);
            prop_assert_eq!((again.hub, again.members), (vec![], vec![]));
        }
        prop_assert!(told.values().all(|times| *times == 1), "{:?}", told);
    }
}

#[test]
fn an_ou_is_told_account_by_account_and_the_hub_once() {
    let mut world = World::default();
    let share = share(vec![account_target(account(1)), ou_target(1, vec![account(2), account(3)])]);
    let given = world.give(&share, Vec::new(), now(), Crash::Never).unwrap();
    let plan = world.tell(&given);
    let told: Vec<(&str, Option<&str>)> = plan
        .members
        .iter()
        .map(|(account, notice)| (account.as_str(), notice.detail.target.as_deref()))
        .collect();
    let unit = Some("ou-ab12-00000001");
    assert_eq!(
        told,
        [("000000000001", Some("000000000001")), ("000000000002", unit), ("000000000003", unit)]
    );
    assert_eq!(plan.hub.len(), 2);
}

#[test]
fn a_refusal_is_told_to_the_hub_alone_and_again_when_its_reason_changes() {
    let mut world = World::default();
    let share = share(vec![ou_target(1, vec![account(2)])]);
    let mut refused = refusal(share.targets[0].name());
    for reason in ["the key lacks its tag", "the policy has no room"] {
        refused.reason = reason.to_owned();
        let given = world.give(&share, vec![refused.clone()], now(), Crash::Never).unwrap();
        let plan = world.tell(&given);
        assert_eq!(plan.members, []);
        let news: Vec<_> =
            plan.hub.iter().map(|(notice, ..)| (notice.kind, notice.detail.reason.as_deref())).collect();
        assert_eq!(news, [(NoticeKind::Refused, Some(reason))]);
    }
    let given = world.give(&share, Vec::new(), now(), Crash::Never).unwrap();
    let plan = world.tell(&given);
    assert_eq!((plan.members.len(), plan.hub.len()), (1, 1));
}

#[test]
fn nothing_is_told_of_a_share_that_died_half_way() {
    let mut world = World::default();
    let wanted = share(vec![account_target(account(1))]);
    world.give(&wanted, Vec::new(), now(), Crash::AfterSteps(0));
    let nobody = ami_share_testkit::shares::given(share(Vec::new()), Vec::new());
    let plan = world.tell(&nobody);
    assert_eq!((plan.hub, plan.members), (vec![], vec![]));
}
