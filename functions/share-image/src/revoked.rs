//! What came of a revocation: what EC2 accepted, and what it shows afterwards; pure.

use std::collections::BTreeSet;

use ami_share_aws::ec2::permissions::{AcceptedPermissions, Applied, RejectedPermission, Shown};
use ami_share_aws::error::{AwsError, Fault};
use ami_share_domain::image::plan::ImageStep;

/// What came of one step that revokes access.
#[derive(Debug, Default)]
pub(crate) struct Revoked {
    /// The principals that have no access any more.
    pub(crate) ended: BTreeSet<String>,
    /// Those of them that an accepted call removed, call by call.
    pub(crate) accepted: Vec<AcceptedPermissions>,
    /// Those of them that EC2 does not show although it accepted no call: the image, the snapshot or the account is gone.
    pub(crate) without_call: Vec<String>,
    /// What EC2 rejected and still shows.
    pub(crate) rejected: Vec<RejectedPermission>,
    /// Why the step is unfinished.
    pub(crate) failure: Option<AwsError>,
}

/// Judges a step by what EC2 answered to its calls and by what it showed then. Access has ended where EC2 accepted the
/// removal and does not show it any more, and where there is nothing left that could grant it. A read alone is no proof:
/// it may be older than the grant.
pub(crate) fn revoked(step: &ImageStep, applied: Applied, shown: Result<Shown, AwsError>) -> Revoked {
    let Applied { accepted, rejected, failure } = applied;
    let shown = match shown {
        Ok(shown) => shown,
        Err(error) => return Revoked { rejected, failure: failure.or(Some(error)), ..Revoked::default() },
    };
    let was_accepted = |name: &String| accepted.iter().any(|call| call.principals.contains(name));
    let was_rejected = |name: &str| rejected.iter().any(|rejected| rejected.permission.name() == name);
    let cannot_grant = shown == Shown::Gone || failure.as_ref().is_some_and(says_unusable);
    let has_ended =
        |name: &String| !shown.includes(name) && (was_accepted(name) || was_rejected(name) || cannot_grant);
    let (ended, left): (BTreeSet<String>, BTreeSet<String>) =
        step.principals().into_iter().partition(has_ended);
    let without_call = ended.iter().filter(|name| !was_accepted(name)).cloned().collect();
    let still_shown: Vec<&str> = left.iter().filter(|name| was_accepted(name)).map(String::as_str).collect();
    let unsettled = (!still_shown.is_empty()).then(|| {
        let still_shown = still_shown.join(", ");
        AwsError::Busy(format!("EC2 accepted to revoke ({step}), and still shows {still_shown}"))
    });
    let failure = failure.filter(|_| left.iter().any(|name| !was_accepted(name) && !was_rejected(name)));
    Revoked {
        accepted: accepted.into_iter().filter_map(|call| only(call, &ended)).collect(),
        without_call,
        rejected: rejected.into_iter().filter(|one| left.contains(one.permission.name())).collect(),
        failure: failure.or(unsettled),
        ended,
    }
}

/// Whether EC2 says that the image or snapshot cannot be changed because it cannot be used.
fn says_unusable(failure: &AwsError) -> bool {
    matches!(failure.fault(), Fault::Missing | Fault::Unavailable)
}

/// The call with those of its principals whose access has ended.
fn only(mut call: AcceptedPermissions, ended: &BTreeSet<String>) -> Option<AcceptedPermissions> {
    call.principals.retain(|name| ended.contains(name));
    (!call.principals.is_empty()).then_some(call)
}

#[cfg(test)]
mod tests {
    use ami_share_domain::refusal::RefusalReason;
    use ami_share_domain::targets::target::LaunchPermission;

    use super::*;

    const TWO: [&str; 2] = ["222222222222", "333333333333"];

    fn step() -> ImageStep {
        let accounts = TWO.iter().map(|id| LaunchPermission::Account(id.parse().unwrap()));
        ImageStep::RevokeImage { permissions: accounts.collect() }
    }

    fn accepted(names: &[&str]) -> Applied {
        let principals = names.iter().map(|name| (*name).to_owned()).collect();
        Applied { accepted: vec![AcceptedPermissions { principals, request_id: None }], ..Applied::default() }
    }

    fn refused(code: &str, fault: Fault) -> Applied {
        let source = std::io::Error::other(code).into();
        let message = code.to_owned();
        let call = "ec2:ModifyImageAttribute";
        Applied::failed(AwsError::Call { call, subject: "it".to_owned(), fault, message, source })
    }

    fn shows(names: &[&str]) -> Result<Shown, AwsError> {
        Ok(Shown::Access(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    fn names(names: &BTreeSet<String>) -> Vec<&str> {
        names.iter().map(String::as_str).collect()
    }

    #[test]
    fn access_has_ended_where_ec2_accepted_the_removal_and_does_not_show_it() {
        let result = revoked(&step(), accepted(&TWO), shows(&["444444444444"]));
        assert_eq!(names(&result.ended), TWO);
        assert!(result.failure.is_none() && result.without_call.is_empty());
    }

    #[test]
    fn access_that_ec2_still_shows_has_not_ended_and_the_step_is_repeated() {
        let result = revoked(&step(), accepted(&TWO), shows(&TWO[1..]));
        assert_eq!(names(&result.ended), TWO[..1]);
        assert_eq!(result.accepted[0].principals, TWO[..1]);
        assert!(result.failure.unwrap().fault().is_retryable());
    }

    #[test]
    fn a_read_alone_is_no_proof_that_access_has_ended() {
        let result = revoked(&step(), refused("UnauthorizedOperation", Fault::Denied), shows(&[]));
        assert!(result.ended.is_empty());
        assert_eq!(result.failure.unwrap().fault(), Fault::Denied);
    }

    #[test]
    fn what_is_gone_grants_no_access_whatever_code_ec2_answers() {
        for fault in [Fault::Denied, Fault::Missing, Fault::Unavailable, Fault::Other] {
            let result = revoked(&step(), refused("any code", fault), Ok(Shown::Gone));
            assert_eq!(
                (names(&result.ended), result.without_call),
                (TWO.to_vec(), TWO.map(str::to_owned).to_vec())
            );
            assert!(result.failure.is_none());
        }
    }

    #[test]
    fn an_account_that_ec2_rejects_and_does_not_show_has_no_access() {
        let reason = RefusalReason::Ec2Rejected { message: "it does not exist".to_owned() };
        let permission = LaunchPermission::Account(TWO[1].parse().unwrap());
        let rejected = RejectedPermission { permission, reason };
        let applied = || Applied { rejected: vec![rejected.clone()], ..accepted(&TWO[..1]) };
        let result = revoked(&step(), applied(), shows(&[]));
        assert_eq!((names(&result.ended), result.rejected), (TWO.to_vec(), Vec::new()));
        let result = revoked(&step(), applied(), shows(&TWO[1..]));
        assert_eq!((names(&result.ended), result.rejected), (TWO[..1].to_vec(), vec![rejected.clone()]));
        assert!(result.failure.is_none());
    }

    #[test]
    fn what_cannot_be_read_has_not_ended() {
        let error = AwsError::Busy("it".to_owned());
        let result = revoked(&step(), accepted(&TWO), Err(error));
        assert!(result.ended.is_empty() && result.failure.is_some());
    }
}
