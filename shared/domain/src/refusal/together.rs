//! How the documents between the steps hold refusals: a reason stands once, with all the subjects that it refuses.
//! A key without its tag refuses thousands of targets for one reason, and Step Functions passes at most 256 KiB from
//! one step to the next.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Refusal, RefusalReason};

#[derive(Serialize, Deserialize)]
struct Together<S> {
    subjects: Vec<S>,
    reason: RefusalReason,
}

/// Only neighbours are grouped, so that the refusals are read in the order in which they were written.
pub(crate) fn serialize<S, Z>(refusals: &[Refusal<S>], serializer: Z) -> Result<Z::Ok, Z::Error>
where
    S: Clone + Serialize,
    Z: Serializer,
{
    let groups = refusals.chunk_by(|one, next| one.reason == next.reason);
    let groups = groups.filter_map(|group| {
        let reason = group.first()?.reason.clone();
        Some(Together { subjects: group.iter().map(|refusal| refusal.subject.clone()).collect(), reason })
    });
    serializer.collect_seq(groups)
}

pub(crate) fn deserialize<'de, S, D>(deserializer: D) -> Result<Vec<Refusal<S>>, D::Error>
where
    S: DeserializeOwned,
    D: Deserializer<'de>,
{
    let groups = Vec::<Together<S>>::deserialize(deserializer)?;
    let refusals = groups.into_iter().flat_map(|Together { subjects, reason }| {
        subjects.into_iter().map(move |subject| Refusal { subject, reason: reason.clone() })
    });
    Ok(refusals.collect())
}
