//! Why a word of a tag gets no access: a code for machines and a sentence with the remedy for people.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The kinds of refusal, as metrics and events name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// The word is no selector.
    MalformedSelector,
    /// The word asks for a public image.
    Public,
    /// A tag of ours that does not exist, or a value that it cannot have.
    UnknownTag,
    /// The account is not in the organization, and not among the allowed ones.
    ExternalNotAllowed,
    /// The organization has no such OU or root, or is not the one of the word.
    NotFound,
    /// The account is closed or suspended.
    ClosedAccount,
    /// A `tag:` selector that no account and no OU matches.
    NoMatch,
    /// A share that leaves the organization must end at some time.
    NeedsUntil,
    /// `ami-share:until` cannot be read.
    UnreadableUntil,
    /// `ami-share:until` lies in the past.
    Expired,
    /// More targets than one image may have.
    TooManyTargets,
    /// The image belongs to another account.
    NotOwner,
    /// A snapshot is encrypted with the AWS managed key.
    AwsManagedKey,
    /// A key without the tag that lets us write its policy.
    UntaggedKey,
    /// A key of another account.
    ForeignKey,
    /// A key that is disabled or about to be deleted.
    UnusableKey,
    /// KMS or EC2 rejected the target itself.
    RejectedByAws,
    /// The key policy has no room left.
    PolicyTooLarge,
    /// The key policy is one that we must not, or cannot, put back.
    PolicyUnsafe,
}

/// One word that got no access, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// The word of the tag (or the target) that was refused.
    pub subject: String,
    /// The kind of refusal.
    pub code: RefusalCode,
    /// The whole sentence, naming what is wrong and the remedy; without a final stop.
    pub reason: String,
}

impl Refusal {
    /// A refusal of `subject` for `reason`.
    pub fn new(subject: impl Into<String>, code: RefusalCode, reason: impl Into<String>) -> Self {
        Self { subject: subject.into(), code, reason: reason.into() }
    }
}

/// What one sentence says of one word.
pub(crate) trait Sentence: Clone {
    /// How the word is written.
    type Subject: Clone + Display + PartialEq + Serialize + DeserializeOwned;

    /// Says `reason` of `subject`.
    fn of_parts(subject: Self::Subject, code: RefusalCode, reason: String) -> Self;
    /// The word, the code and the reason.
    fn parts(&self) -> (&Self::Subject, RefusalCode, &str);

    /// The same sentence, said of another word: its reason names that one where it names its own.
    fn said_of(&self, subject: &Self::Subject) -> Self {
        let (own, code, reason) = self.parts();
        Self::of_parts(subject.clone(), code, reason.replace(&own.to_string(), &subject.to_string()))
    }
}

impl Sentence for Refusal {
    type Subject = String;

    fn of_parts(subject: String, code: RefusalCode, reason: String) -> Self {
        Self { subject, code, reason }
    }

    fn parts(&self) -> (&String, RefusalCode, &str) {
        (&self.subject, self.code, &self.reason)
    }
}

/// How the documents between the steps hold refusals: a sentence that goes for many words is written once, with the
/// first of them as its word and the others in `also`; where it names the first, it is read as naming each. A key
/// without its tag refuses a thousand targets in one sentence of nearly two hundred characters, and a full one names
/// each that it has no room for; Step Functions takes 256 KiB from one step to the next.
///
/// A release that knows no `also` still reads the first word and the sentence.
pub(crate) mod together {
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Sentence;

    #[derive(Serialize, Deserialize)]
    #[serde(bound(serialize = "S: Serialize", deserialize = "S: DeserializeOwned"))]
    struct Together<S: Sentence> {
        #[serde(flatten)]
        first: S,
        #[serde(skip_serializing_if = "Vec::is_empty", default = "Vec::new")]
        also: Vec<S::Subject>,
    }

    /// Only neighbours stand together, so that the refusals are read in the order in which they were written.
    pub(crate) fn serialize<S, Z>(refusals: &[S], serializer: Z) -> Result<Z::Ok, Z::Error>
    where
        S: Sentence + Serialize,
        Z: Serializer,
    {
        let mut groups: Vec<Together<S>> = Vec::new();
        for refusal in refusals {
            let (subject, ..) = refusal.parts();
            let reads_the_same =
                |group: &&mut Together<S>| group.first.said_of(subject).parts() == refusal.parts();
            match groups.last_mut().filter(reads_the_same) {
                Some(group) => group.also.push(subject.clone()),
                None => groups.push(Together { first: refusal.clone(), also: Vec::new() }),
            }
        }
        groups.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, S, D>(deserializer: D) -> Result<Vec<S>, D::Error>
    where
        S: Sentence + DeserializeOwned,
        D: Deserializer<'de>,
    {
        let groups = Vec::<Together<S>>::deserialize(deserializer)?;
        let refusals = groups.into_iter().flat_map(|Together { first, also }| {
            let others: Vec<S> = also.iter().map(|subject| first.said_of(subject)).collect();
            std::iter::once(first).chain(others)
        });
        Ok(refusals.collect())
    }
}
