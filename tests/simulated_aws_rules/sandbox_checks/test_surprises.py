"""The checks on a sandbox account, run where the simulated AWS behaves otherwise than it does: what they say then.

They run in the test's own process, so that moto can be changed under them.
"""

import os
import re

import pytest
from moto.core.exceptions import JsonRESTError
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.amis import AmisResponse
from moto.kms.responses import KmsResponse
from running import HUB, REGION
from sandbox import caller, cleaning, command, failures, usage
from sandbox.account import Account
from sandbox.masking import Mask
from simulated_aws.core import accounts
from simulated_aws.iam import requested_actions
from simulated_aws.iam.requested_actions import RequestedAction

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@pytest.fixture
def check_here(aws, endpoint, monkeypatch, tmp_path, capsys):
    """The command in this process, for a run of some checks."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, "AWS_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)

    def run(*only):
        """Its exit status and what it said."""
        arguments = ["--account", HUB, "--region", REGION, "--yes", "--patience", "0.01", "--output", str(tmp_path)]
        status = command.main([*arguments, "--only", ",".join(only)])
        return status, capsys.readouterr().out

    return run


def test_a_wrong_belief_is_reported_as_wrong(check_here, monkeypatch):
    monkeypatch.setattr(accounts, "exists", lambda _: True)
    status, said = check_here("image-bad-account", "key-bad-principal", "image-filter")
    assert status == 1
    assert "| `image-bad-account` | does not hold | EC2 accepted an account that does not exist |" in said
    assert "| `key-bad-principal` | does not hold | KMS accepted an account that does not exist |" in said
    assert "| `image-filter` | holds |" in said


@pytest.fixture
def logs_are_judged(monkeypatch):
    """What the simulated AWS does not know, as AWS has it.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
    """
    for name in ("CreateLogGroup", "CreateLogStream", "PutLogEvents"):

        def asked(response, action=f"logs:{name}"):
            group = response._get_param("logGroupName")
            yield RequestedAction(action, f"arn:aws:logs:{response.region}:{response.current_account}:log-group:{group}:log-stream:")

        monkeypatch.setitem(requested_actions._ACTIONS_OF, ("logs", name), asked)


def test_a_denial_that_spares_the_own_log_is_seen_to_do_so(check_here, logs_are_judged):
    status, said = check_here("log-denial")
    assert status == 0 and "| `log-denial` | holds | in its own: CreateLogGroup: ResourceAlreadyExistsException" in said


def test_a_log_that_is_not_denied_contradicts(check_here, logs_are_judged, monkeypatch):
    given = caller.statements
    monkeypatch.setattr(caller, "statements", lambda fixture: [one for one in given(fixture) if "NotResource" not in one])
    status, said = check_here("log-denial")
    assert status == 1 and re.search(r"`log-denial` \| does not hold \| .*in another: .*PutLogEvents: accepted", said)


def test_an_entry_that_is_not_evaluated_contradicts(check_here, monkeypatch):
    judge = requested_actions._put_events
    monkeypatch.setitem(requested_actions._ACTIONS_OF, ("events", "PutEvents"), lambda response: iter(list(judge(response))[:1]))
    status, said = check_here("put-events-conditions")
    assert status == 1
    assert "| `put-events-conditions` | does not hold | all alike: accepted, another source: accepted" in said


def test_an_event_without_its_error_contradicts(check_here, monkeypatch):
    monkeypatch.setattr(failures, "_failure_event", lambda *_: {"status": "FAILED", "cause": failures.CAUSE})
    status, said = check_here("status-event-error")
    assert status == 1 and "| `status-event-error` | does not hold | error None, cause a check of ami-share" in said


@pytest.mark.parametrize("error", ["States.TaskFailed", "AwsFailed"])
def test_a_child_that_cannot_be_started_and_fails_like_any_other_contradicts(check_here, monkeypatch, error):
    monkeypatch.setattr(failures, "_error", lambda *_: error)
    status, said = check_here("nested-execution-errors")
    assert status == 1 and f"| `nested-execution-errors` | does not hold | not started: {error} |" in said


def test_a_report_that_does_not_come_in_time_contradicts(check_here, monkeypatch):
    monkeypatch.setenv("SIMULATED_AWS_REPORT_DELAY", "1000")
    status, said = check_here("usage-report-delay")
    assert status == 0 and "| `usage-report-delay` | not checked | still pending after" in said
    monkeypatch.setattr(usage, "REPORT_SECONDS", 0)
    status, said = check_here("usage-report-delay")
    assert status == 1 and "| `usage-report-delay` | does not hold | still pending after" in said


def test_a_report_that_is_read_late_proves_nothing(check_here, monkeypatch):
    monkeypatch.setenv("SIMULATED_AWS_REPORT_DELAY", "0")
    monkeypatch.setattr(usage, "REPORT_SECONDS", 0.001)
    status, said = check_here("usage-report-delay")
    assert status == 0 and re.search(r"`usage-report-delay` \| not checked \| available after .* polled too late", said)


def test_a_check_that_breaks_off_stops_no_other(check_here, aws, monkeypatch):
    from moto.kms.models import KmsBackend

    def breaks(*_):
        raise RuntimeError("out of order")

    monkeypatch.setattr(KmsBackend, "get_key_policy", breaks)
    status, said = check_here("key-policy-text", "image-filter")
    assert status == 3
    assert "| `key-policy-text` | broke off |" in said and "| `image-filter` | holds |" in said
    assert "nothing is left" in said
    assert aws.ec2().describe_images(Owners=["self"])["Images"] == []


def test_what_cannot_be_removed_is_named(check_here, monkeypatch):
    from moto.iam.models import IAMBackend

    def breaks(*_args, **_kwargs):
        raise RuntimeError("out of order")

    monkeypatch.setattr(IAMBackend, "delete_role", breaks)
    monkeypatch.setattr("sandbox.cleaning._IN_USE_SECONDS", 0)
    status, said = check_here("owner-condition")
    assert status == 3 and re.search(r"left behind: role ami-share-check-\w+-caller", said)
    assert re.search(rf"try again later with python3 tests/sandbox --account {HUB} --region {REGION} --clean \w{{8}}", said)


def test_the_owner_of_a_snapshot_is_not_taken_for_a_change_that_does_not_come(check_here, monkeypatch):
    """https://github.com/hashicorp/terraform-provider-aws/issues/12102"""
    from moto.ec2.models.elastic_block_store import Snapshot

    monkeypatch.setattr(Snapshot, "create_volume_permission_userids", property(lambda _: set(), lambda *_: None), raising=False)
    status, said = check_here("permissions-settle", "snapshot-bad-account")
    assert status == 0
    assert re.search(r"`permissions-settle` \| skipped \| needs a second account .* for the snapshot; image add \d.\d s", said)
    assert "| `snapshot-bad-account` | skipped | needs a second account" in said


def test_what_is_encrypted_by_default_is_not_shared(check_here, aws):
    aws.ec2().enable_ebs_encryption_by_default()
    status, said = check_here("image-bad-account", "owner-condition", "key-policy-text")
    assert status == 0
    for belief in ("image-bad-account", "owner-condition"):
        assert f"| `{belief}` | skipped | needs EBS encryption by default to be off in this Region |" in said
    assert "| `key-policy-text` | holds |" in said
    assert aws.ec2().describe_volumes()["Volumes"] == []


def test_an_image_that_is_not_known_at_first_is_waited_for(check_here, monkeypatch):
    refused = _refuse_first(monkeypatch, AmisResponse, "describe_images", "InvalidAMIID.NotFound")
    status, said = check_here("image-filter")
    assert refused and status == 0 and "| `image-filter` | holds |" in said


def test_what_could_not_be_made_is_not_made_again(check_here, monkeypatch):
    refused = _refuse_first(monkeypatch, AmisResponse, "register_image", "InvalidParameterCombination")
    status, said = check_here("image-filter", "image-bad-account")
    assert refused and status == 3
    assert len(re.findall(r"broke off \| ClientError: .*InvalidParameterCombination", said)) == 2


@pytest.mark.parametrize("code", ["RequestExpired", "UnauthorizedOperation"])
def test_a_refusal_for_something_else_is_no_evidence(check_here, monkeypatch, code):
    refused = _refuse_first(monkeypatch, AmisResponse, "modify_image_attribute", code)
    status, said = check_here("image-bad-account")
    assert refused and status == 0
    assert re.search(rf"`image-bad-account` \| not checked \| .*{code}", said)


def test_a_foreign_key_keeps_no_key_from_being_removed(check_here, aws, monkeypatch):
    """Its policy may let nobody look at it."""
    foreign, describe = aws.key(), KmsResponse.describe_key

    def denies(response):
        if response._get_param("KeyId") in foreign:
            raise JsonRESTError("AccessDeniedException", "no resource-based policy allows the kms:DescribeKey action")
        return describe(response)

    monkeypatch.setattr(KmsResponse, "describe_key", denies)
    status, said = check_here("key-policy-text")
    assert status == 0 and re.search(r"key \S+ will be deleted in 7 days", said)


def test_a_key_that_is_still_shown_as_if_nothing_had_been_is_not_left_behind(check_here, monkeypatch):
    """KMS refuses to delete it a second time: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html"""
    schedule = KmsResponse.schedule_key_deletion

    def refuses(response):
        if response.kms_backend.describe_key(response._get_param("KeyId")).key_state == "PendingDeletion":
            raise JsonRESTError("KMSInvalidStateException", "it is pending deletion")
        return schedule(response)

    monkeypatch.setattr(KmsResponse, "schedule_key_deletion", refuses)
    monkeypatch.setattr(cleaning, "_is_key_of", _shown_late(cleaning._is_key_of))
    status, said = check_here("key-policy-text")
    assert status == 0 and "left behind" not in said and len(re.findall("will be deleted", said)) == 2


def test_on_aws_it_reads_again_after_a_while(check_here, monkeypatch):
    monkeypatch.setattr(Account, "is_aws", True)
    monkeypatch.setattr(cleaning, "LATE_SECONDS", 0.01)
    status, said = check_here("image-filter")
    assert status == 0 and "in 0.01 s again, for what is shown late" in said


def _refuse_first(monkeypatch, responses, operation, code):
    """Lets moto refuse the first such call of the run. Gives a list that is empty until then."""
    answered, refused = getattr(responses, operation), []

    def call(response):
        if not refused:
            refused.append(code)
            raise EC2ClientError(code, "out of order")
        return answered(response)

    monkeypatch.setattr(responses, operation, call)
    return refused


def _shown_late(is_key_of):
    """What was a key of the run stays one."""
    seen = set()

    def replay(account, run, key):
        if is_key_of(account, run, key):
            seen.add(key)
        return key in seen

    return replay


def test_nothing_of_a_person_or_account_is_shown():
    mask = Mask()
    mask.know(HUB, "<sandbox>")
    said = mask(
        f"User: arn:aws:sts::{HUB}:assumed-role/Admin/jane@example.com may not act on arn:aws:iam::999999999999:user/joe, "
        "arn:aws:organizations::999999999999:ou/o-a1b2c3d4e5/ou-ab12-cdef3456, AROAEXAMPLEEXAMPLE34, ami-188b4108c0741f7e2"
    )
    assert said == (
        "User: arn:aws:sts::<sandbox>:assumed-role/<name> may not act on arn:aws:iam::<account>:user/<name>, "
        "arn:aws:organizations::<account>:ou/<organization>/<organization>, <id>, ami-188b4108c0741f7e2"
    )
