//! The flows that are tried with every fault at every call.

use ami_share_testkit::memory::InMemoryAws;
use ami_share_testkit::memory::dynamodb::DynamoDb;

use crate::flow::{Act, Expected, Flow};
use crate::world::{A, B, C, IMAGE, OTHER_IMAGE, OU, X};

const WITH: &str = "ami-share:with";
const UNTIL: &str = "ami-share:until";
const COPY: &str = "ami-share:copy";

/// Someone removes the launch permission of [`A`].
pub fn remove_a(aws: &mut InMemoryAws) {
    aws.edit_ec2(|ec2| {
        if let Some(image) = ec2.images.get_mut(IMAGE) {
            image.launch.remove(A);
        }
    });
}

/// The ledger's table is lost.
fn lose_ledger(aws: &mut InMemoryAws) {
    aws.dynamodb = DynamoDb::default();
}

const SHARED_WITH_A: Act = Act::Tag(IMAGE, &[(WITH, A)]);
const SHARED_WITH_A_AND_B: Act = Act::Tag(IMAGE, &[(WITH, "222222222222 333333333333")]);
const COPIED_BY_A: Act = Act::Tag(IMAGE, &[(WITH, A), (COPY, "allowed")]);
const UNTIL_JUNE: Act = Act::Tag(IMAGE, &[(WITH, A), (UNTIL, "2026-06-10")]);
const NOBODY: Expected = Expected { launch: &[], copy: &[], key: &[] };
const ONLY_A: Expected = Expected { launch: &[A], copy: &[], key: &[A] };

/// All flows.
pub const FLOWS: &[Flow] = &[
    Flow {
        name: "grant",
        image: IMAGE,
        before: &[],
        act: SHARED_WITH_A_AND_B,
        departing: &[],
        after: Expected { launch: &[A, B], copy: &[], key: &[A, B] },
    },
    Flow {
        name: "grant to an OU until a date",
        image: IMAGE,
        before: &[],
        act: Act::Tag(IMAGE, &[(WITH, "222222222222 ou-ab12-cdef3456"), (UNTIL, "2026-12-31")]),
        departing: &[],
        after: Expected { launch: &[A, OU], copy: &[], key: &[A, OU] },
    },
    Flow {
        name: "narrow",
        image: IMAGE,
        before: &[SHARED_WITH_A_AND_B],
        act: Act::Tag(IMAGE, &[(WITH, B)]),
        departing: &[A],
        after: Expected { launch: &[B], copy: &[], key: &[B] },
    },
    Flow {
        name: "replace",
        image: IMAGE,
        before: &[SHARED_WITH_A],
        act: Act::Tag(IMAGE, &[(WITH, C), (UNTIL, "2026-12-31")]),
        departing: &[A],
        after: Expected { launch: &[C], copy: &[], key: &[C] },
    },
    Flow {
        name: "revoke",
        image: IMAGE,
        before: &[SHARED_WITH_A_AND_B],
        act: Act::Tag(IMAGE, &[]),
        departing: &[A, B],
        after: NOBODY,
    },
    Flow {
        name: "expire",
        image: IMAGE,
        before: &[UNTIL_JUNE],
        act: Act::Expire(IMAGE),
        departing: &[A],
        after: NOBODY,
    },
    Flow {
        name: "copy",
        image: IMAGE,
        before: &[],
        act: COPIED_BY_A,
        departing: &[],
        after: Expected { launch: &[A], copy: &[A], key: &[A] },
    },
    Flow {
        name: "end copying",
        image: IMAGE,
        before: &[COPIED_BY_A],
        act: SHARED_WITH_A,
        departing: &[],
        after: ONLY_A,
    },
    Flow {
        name: "revoke copies",
        image: IMAGE,
        before: &[COPIED_BY_A],
        act: Act::Tag(IMAGE, &[]),
        departing: &[A],
        after: NOBODY,
    },
    Flow {
        name: "restore",
        image: IMAGE,
        before: &[SHARED_WITH_A],
        act: Act::OutOfBand(IMAGE, remove_a),
        departing: &[],
        after: ONLY_A,
    },
    Flow {
        name: "adopt",
        image: IMAGE,
        before: &[SHARED_WITH_A, Act::Silently(lose_ledger)],
        act: Act::Adopt(IMAGE),
        departing: &[],
        after: ONLY_A,
    },
    Flow {
        name: "deregister",
        image: IMAGE,
        before: &[COPIED_BY_A],
        act: Act::Deregister(IMAGE),
        departing: &[],
        after: NOBODY,
    },
    Flow {
        name: "deregister with snapshots",
        image: IMAGE,
        before: &[COPIED_BY_A],
        act: Act::DeregisterWithSnapshots(IMAGE),
        departing: &[],
        after: NOBODY,
    },
    Flow {
        name: "disable",
        image: IMAGE,
        before: &[SHARED_WITH_A],
        act: Act::State(IMAGE, "disabled"),
        departing: &[],
        after: NOBODY,
    },
    Flow {
        name: "two keys",
        image: OTHER_IMAGE,
        before: &[Act::Tag(OTHER_IMAGE, &[(WITH, A)])],
        act: Act::Tag(OTHER_IMAGE, &[(WITH, B)]),
        departing: &[A],
        after: Expected { launch: &[B, X], copy: &[], key: &[B] },
    },
];
