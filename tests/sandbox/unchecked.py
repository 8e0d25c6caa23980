"""Beliefs that no sandbox can confirm, and why: docs/assumptions.md lists them, and the report shows them as skipped."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Unchecked:
    """One belief, and what a check would need."""

    id: str
    belief: str
    needs: str


UNCHECKED = [
    Unchecked(
        "absent-permission",
        "EC2 accepts the removal of a launch or create-volume permission that is not there, and changes nothing.",
        "an image and a snapshot of a check that is not written yet",
    ),
    Unchecked(
        "closed-account",
        "EC2 and KMS refuse an account that was closed, as they refuse one that does not exist.",
        "an account to close, which takes 90 days to go",
    ),
    Unchecked(
        "event-account-joined",
        "AccountJoinedOrganization and AccountDepartedOrganization come with the detail-type `AWS Service Event via CloudTrail`.",
        "an account that joins or leaves the organization",
    ),
    Unchecked(
        "forwarded-source",
        "A bus policy with `events:source` allows events of AWS Organizations that a rule of the management account forwards from another Region.",
        "the management account of an organization, with a hub in another account and Region",
    ),
    Unchecked(
        "delegation-policy",
        "The documented resource-based delegation policy lets the hub's roles make all six calls that read the organization.",
        "the management account of an organization, and a hub in another account",
    ),
    Unchecked(
        "metrics-without-dimensions",
        "CloudWatch makes metrics without dimensions of a document in the embedded metric format whose `Dimensions` are `[[]]`.",
        "metrics, which nobody can remove and CloudWatch keeps for 15 months",
    ),
    Unchecked(
        "image-quota-code",
        "Over the quota of launch permissions EC2 refuses the whole call with a code that we do not count as a rejected item.",
        "more than a thousand accounts",
    ),
    Unchecked(
        "lambda-clocks",
        "The clocks of two Lambda functions differ by less than ten seconds.",
        "many functions over many days",
    ),
    Unchecked(
        "request-rates",
        "EC2 and KMS take as many calls a second as the copies of AWS's pages say that we read.",
        "thousands of calls, which would slow down all other callers in the account",
    ),
    Unchecked(
        "auto-scaling-grant",
        "The documented KMS grant lets the Auto Scaling groups of a target account launch encrypted images, and target accounts cannot make it themselves.",
        "a second account with an Auto Scaling group, whose instances cost money",
    ),
    Unchecked(
        "console-link",
        "The console shows an object of a bucket under the address that the access review's message has.",
        "a person who is signed in",
    ),
    Unchecked(
        "table-name-taken",
        "CloudFormation makes no stack whose table has a name that is taken, and deletes what it had made by then, what the template keeps later included.",
        "a whole deployment",
    ),
    Unchecked(
        "updated-environment",
        "An invocation that begins when the update of its function is complete has the new environment.",
        "invocations at the very moment of an update, many times",
    ),
    Unchecked(
        "deleted-log-group",
        "Nothing makes a function's log group anew once CloudFormation has deleted it with the stack.",
        "a whole deployment that is deleted while its functions are at work",
    ),
]
