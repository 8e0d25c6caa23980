"""The command: checks its arguments and the account, runs the checks, cleans up in any case, and reports.

Exit status: 0 when nothing was contradicted, 1 when something was, 2 when nothing was run, 3 when a check broke off, the
run was interrupted, or something is left behind.
"""

import argparse
import secrets
import time
from collections.abc import Callable

import boto3
from botocore.exceptions import BotoCoreError, ClientError

# Importing a module registers its checks, in the order in which they run: slow ones last.
from sandbox import images, keys, rights, rights_to_rows, rights_to_publish, patterns, schedules, failures  # noqa: F401, I001
from sandbox import functions, organization, events, usage  # noqa: F401, I001
from sandbox import arguments, cleaning, guards, interruption, naming, report
from sandbox.account import Account
from sandbox.findings import CHECKS, Check, Finding, Needs, NotChecked, Verdict
from sandbox.fixture import Fixture
from sandbox.masking import Mask
from sandbox.screen import say

PLAN = """\
In account {account}, {region}, this will make, use and remove again:
  1 EBS volume of 1 GiB, for a minute, and 1 empty snapshot of it      less than 0.01 USD
  3 AMIs of that snapshot; it launches none of them                  free
  2 KMS keys, which KMS deletes {days} days later, at no charge            less than 0.01 USD
  2 IAM roles, 1 EventBridge rule, 1 SQS queue, 1 schedule group       free
  3 state machines, 1 Lambda function that does nothing                free, at this number of runs
  1 DynamoDB table, 2 log groups, 1 event bus, for some minutes        less than 0.01 USD
For moments it shares the image and the snapshot with {grantee}; where the account is in an organization, it shares
the image with the whole organization and its first OU; and with no other account, unless the random account number
exists that EC2 and KMS are expected to refuse. Nothing becomes public. All of it is tagged {tag} = {run} and named
{name}-…
It takes about 25 minutes; most of that is waiting for events."""


def main(words: list[str]) -> int:
    """Runs the command."""
    given = arguments.parse(words)
    try:
        return _run(given)
    except guards.Refused as reason:
        say(f"refused: {reason}")
        return 2


def _run(given: argparse.Namespace) -> int:
    unknown = set(given.only or []) - {check.id for check in CHECKS}
    if unknown:
        raise guards.Refused(f"there is no check of {', '.join(sorted(unknown))}")
    account, second = _accounts(given)
    if given.clean:
        return 3 if _leaves_something(account, given, given.clean) else 0
    run = secrets.token_hex(4)
    grantee = "the second account" if second else "this account itself"
    say(PLAN.format(account=given.account, region=given.region, run=run, tag=naming.TAG, name=naming.name(run),
                    grantee=grantee, days=cleaning.KEY_WAITS_DAYS))  # fmt: skip
    if not given.yes:
        say("\nNothing has been made. Add --yes to do it.")
        return 2
    fixture = Fixture(account, second, run, given.patience, say)
    findings: dict[str, Finding] = {}
    is_interrupted, left = _checked_and_cleaned(fixture, given, findings)
    status = _reported(report.of(run, given.region, _against(account), findings), given, second)
    return status or (3 if left or is_interrupted else 0)


def _accounts(given: argparse.Namespace) -> tuple[Account, Account | None]:
    """The sandbox, and another account if one is named. Nothing is made before both are verified."""
    try:
        account = Account(boto3.Session(profile_name=given.profile), given.region)
        guards.is_meant(account, given.account)
        if given.clean:
            return account, None
        guards.has_no_ami_share(account)
        second = Account(boto3.Session(profile_name=given.second_profile), given.region) if given.second_profile else None
        if second and second.id == account.id:
            raise guards.Refused("--second-profile belongs to the same account")
    except (BotoCoreError, ClientError) as error:
        raise guards.Refused(str(error)) from error
    return account, second


def _reported(written: report.Report, given: argparse.Namespace, second: Account | None) -> int:
    """Shows and writes the report, which users send to others: it alone is masked."""
    mask = Mask()
    mask.know(given.account, "<sandbox>")
    if second:
        mask.know(second.id, "<second>")
    say("\n" + written.markdown(mask))
    for file in report.write(written, mask, given.output):
        say(f"written to {file}")
    return 1 if written.is_contradicted else 3 if written.is_broken else 0


def _against(account: Account) -> str:
    return "AWS" if account.is_aws else f"a simulated AWS ({account.endpoint.split('://')[-1]})"


def _checked_and_cleaned(fixture: Fixture, given: argparse.Namespace, findings: dict[str, Finding]) -> tuple[bool, bool]:
    """Whether it was interrupted, and whether something is left behind."""
    selected = [check for check in CHECKS if not given.only or check.id in given.only]
    is_interrupted = False
    with interruption.heeded():
        try:
            _check_all(fixture, selected, findings)
        except KeyboardInterrupt:
            interruption.hold_off(say)
            is_interrupted = True
            say("\ninterrupted")
        finally:
            interruption.hold_off(say)
            left = _leaves_something(fixture.account, given, fixture.run)
    return is_interrupted, left


def _check_all(fixture: Fixture, selected: list[Check], findings: dict[str, Finding]) -> None:
    """Runs each check; one that fails stops no other."""
    early: list[Callable[[Fixture], object]] = []
    if any(check.run.__module__ in (events.__name__, usage.__name__) for check in selected):
        # Their answers arrive while the others run.
        early = [events.provoke, lambda fixture: fixture.usage_report]
    for begin in early:
        try:
            begin(fixture)
        except Exception as error:  # The checks that wait for it will say what is missing.
            say(f"  this did not work: {error}")
    for check in selected:
        say(f"checking {check.id}")
        findings[check.id] = finding = _run_check(check, fixture)
        say(f"  {finding.verdict.value}: {finding.seen}")
        if early:
            usage.poll(fixture)


def _run_check(check: Check, fixture: Fixture) -> Finding:
    try:
        return check.run(fixture)
    except Needs as needed:
        return Finding(Verdict.SKIPPED, f"needs {needed}")
    except NotChecked as reason:
        return Finding(Verdict.NOT_CHECKED, str(reason))
    except Exception as error:  # Whatever it is, the other checks run, and everything is cleaned up.
        return Finding(Verdict.BROKEN, f"{type(error).__name__}: {str(error).split('Encoded authorization')[0][:300]}")


def _leaves_something(account: Account, given: argparse.Namespace, run: str) -> bool:
    """Cleans up, twice, because AWS may show late what was made last."""
    say(f"\ncleaning up run {run}")
    first = cleaning.clean(account, run, say)
    if account.is_aws:
        say(f"  in {cleaning.LATE_SECONDS} s again, for what is shown late")
        time.sleep(cleaning.LATE_SECONDS)
    removed, left = cleaning.clean(account, run, say)
    if left:
        say("  left behind: " + ", ".join(f"{kind} {thing}" for kind, thing in left))
        say(f"  try again later with {arguments.cleaning(given, run)}")
    elif not first.removed and not removed:
        say(f"  nothing of that run was found in this account in {account.region}")
    else:
        say(f"  nothing is left in {account.region}, except keys that are pending deletion")
    return bool(left)
