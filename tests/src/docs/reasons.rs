//! Why each statement of `template.yaml` is needed, and why it is not narrower. `cargo docs` fails for a statement without a
//! reason here, and for a reason without its statement.

/// Why a statement is there.
pub struct Reason {
    /// The `Sid` of the statement; a statement without one has that of its action.
    pub sid: &'static str,
    /// The role or policy, where statements with this `Sid` have different reasons.
    pub of: Option<&'static str>,
    /// The reason.
    pub why: &'static str,
}

const fn any(sid: &'static str, why: &'static str) -> Reason {
    Reason { sid, of: None, why }
}

const fn of(of: &'static str, sid: &'static str, why: &'static str) -> Reason {
    Reason { sid, of: Some(of), why }
}

/// All reasons.
pub const REASONS: &[Reason] = &[
    any(
        "NoLogButItsOwn",
        "SAM gives each function the managed policy `AWSLambdaBasicExecutionRole`, which allows it to write every log.",
    ),
    any(
        "ReadImages",
        "Reads images, their tags and their snapshots. EC2 supports no resources for these actions.",
    ),
    any("ReadKeys", "Reads the state, the owner and the tags of the keys of an image."),
    any(
        "ReadOrganization",
        "Reads who belongs to the organization. AWS Organizations supports no resources for these actions.",
    ),
    any(
        "ReadTreeAndTags",
        "Reads which accounts are in an OU, and which carry a tag. Roots, OUs and accounts differ from hub to hub.",
    ),
    any("ReadIntent", "Reads the last intent of the image."),
    any(
        "RecordIntentAndNeed",
        "One transaction writes the intent (`IMAGE#…`) and the principals that the image needs on its keys (`KEY#…`). AWS does not \
         say whether `dynamodb:LeadingKeys` then names the rows of one action or of all.",
    ),
    any(
        "AssumeOrganizationRole",
        "Reads the organization where the hub is neither the management account nor a delegated administrator.",
    ),
    any(
        "KeepSchedules",
        "Creates, moves and deletes the schedules of an image's expiry: only schedules `ami-…` of the stack's group.",
    ),
    any(
        "PassScheduleRoleToScheduler",
        "A schedule names the role with which EventBridge Scheduler starts the workflow.",
    ),
    any(
        "StartExpiriesTooNearForScheduler",
        "Starts the share workflow directly for an expiry that is too near for EventBridge Scheduler.",
    ),
    any("TakeLeasesAndRecordSchedules", "Holds the lease of the image, and records its schedules."),
    any(
        "ReadKeyPolicies",
        "Reads the policy, the state and the tags of a key before and after it writes the policy.",
    ),
    any(
        "PutPoliciesOfManagedKeys",
        "Grants and revokes. The key's own policy, or its delegation to IAM, must allow it too.",
    ),
    any(
        "NeverPastTheLockOutCheck",
        "KMS then always checks that the hub can still change the policy. It is a deny, because a request that does not name \
         the parameter lacks the condition key: an allow that asked for `false` would never apply.",
    ),
    any("TakeLeasesAndKeepUnion", "Holds the lease of the key, and records what all images need on it."),
    any(
        "ReleaseWhileTheIntentStands",
        "One transaction names rows `KEY#…` and `IMAGE#…`: it releases a principal only while the intent of the image is the latest.",
    ),
    any(
        "AppendToAuditLog",
        "Adds rows to the audit log; no function may update or delete one. A put can still replace a row, and IAM cannot forbid \
         that: the condition of the function's request, that the row is new, does.",
    ),
    of(
        "share-image",
        "ReadPermissions",
        "Reads who has access. No `ec2:Owner` condition: AWS does not say how EC2 answers it for an image that is gone. EC2 \
         answers the owner only.",
    ),
    any(
        "FindImages",
        "Finds out whether an image whose permissions EC2 does not show is gone, and which other images have one of its \
         snapshots. EC2 supports no resources for this action.",
    ),
    of(
        "review-shares",
        "ReadPermissions",
        "Compares who has access with the tags. EC2 answers the owner only.",
    ),
    any("RequestUsageReports", "Asks EC2, before it revokes, whether targets still use the image."),
    any(
        "GrantAndRevokeOwnImagesAndSnapshots",
        "Grants and revokes: only images and snapshots that the hub owns. No `ec2:Attribute` condition: AWS documents neither its \
         values nor their spelling.",
    ),
    any(
        "NeverPublic",
        "No snapshot becomes public. IAM has no such condition key for images; block public access for AMIs, an account setting, \
         keeps those private.",
    ),
    any("TakeLeasesAndRecordShares", "Holds the lease of the image, and records its shares and snapshots."),
    any(
        "ReadUsageReports",
        "Reads what EC2 answers about the use of an image. EC2 supports no resources for these actions.",
    ),
    any(
        "PutNotifications",
        "Sends events to the hub's bus and to the bus of each target account: only events of the source `ami-share` whose detail \
         type begins with `AMI`.",
    ),
    any("PublishNotifications", "Sends the same to the topic."),
    any(
        "WriteStatusTag",
        "Writes only the tag `ami-share:status`. Also on an image of another account that was tagged in the hub: the status says \
         that only its owner can share it.",
    ),
    any("TakeLeasesAndRecordNotifications", "Holds the lease of the image, and records what was sent."),
    any("ReadKeysAndPolicies", "Compares the key policies with what the images need."),
    any("ReadImagesAndKeysOfLedger", "Reads what is recorded for each image and each key."),
    any("ReadIntents", "Reads the intents of a page of images."),
    any("PageThroughManagedImages", "Lists the managed images without reading the whole table."),
    any(
        "ReadAndWriteReviews",
        "Writes the access review and its parts, and reads the parts: only below `reviews/`, and only while the bucket belongs to \
         the hub.",
    ),
    any("ListPartsOfReviews", "Lists the parts of a review."),
    any("PublishWhereTheReviewIs", "Publishes where the access review is, and that a review failed."),
    any(
        "StartReconciliationsAndReviews",
        "Starts the reconciliations and reviews that events of keys, snapshots and the organization require.",
    ),
    any(
        "InvokeFunctions",
        "Runs the steps. SAM's `LambdaInvokePolicy` would allow every function whose name begins like one of these.",
    ),
    any("InvokeFunction", "Runs the review function."),
    any("SendTraces", "Sends traces. X-Ray supports no resources for these actions."),
    any("StartReconciliations", "Reconciles the images that differ from their tags."),
    any(
        "WaitForReconciliations",
        "Waits for the reconciliations that it started, and stops them when the review is stopped.",
    ),
    any("WatchTheirEnd", "Step Functions learns by this rule that an execution that it started has ended."),
    any("AssumeRole", "EventBridge Scheduler assumes the role, for this account only."),
    any("StartShareWorkflow", "Starts the share workflow when a schedule is due."),
    any("SendFailedStartsToDeadLetterQueue", "Sends a start that failed to the dead-letter queue."),
    any("AlarmsOfThisAccount", "CloudWatch publishes the alarms of this stack."),
    any("OnlyOverTls", "Nobody reads or writes the access reviews without TLS."),
    any(
        "RulesOfThisAccount",
        "EventBridge rules of this account send the events that they could not deliver.",
    ),
];
