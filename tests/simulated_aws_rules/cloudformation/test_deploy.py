"""The deployment of a stack, and the start and end of the server process."""

import os
import shutil
import signal
import subprocess
import urllib.request

import pytest
import yaml
from running import HERE, Simulation, command, eventually, start, wait_until_ready
from simulated_aws.cloudformation import parameters, template

STACK = HERE / "stack" / "template.yaml"


def run(tmp_path, *arguments):
    """Starts the server and waits until it ends by itself; returns its exit status and output."""
    process = start(tmp_path, *arguments)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def test_the_stack_is_complete_and_its_outputs_can_be_read(simulation):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html"""
    cloudformation = simulation.client("cloudformation")
    assert cloudformation.describe_stacks(StackName="ami-share")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    assert simulation.outputs["BusName"] == "ami-share-bus"
    resources = cloudformation.describe_stack_resources(StackName="ami-share")["StackResources"]
    types = {resource["LogicalResourceId"]: resource["ResourceType"] for resource in resources}
    assert types["Workflow"] == "AWS::StepFunctions::StateMachine"
    assert all(resource["PhysicalResourceId"] for resource in resources)


def test_a_resource_whose_condition_is_false_is_not_made(simulation):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/conditions-section-structure.html"""
    resources = simulation.client("cloudformation").describe_stack_resources(StackName="ami-share")["StackResources"]
    assert "Mail" not in [resource["LogicalResourceId"] for resource in resources]


def test_an_item_that_is_no_value_is_not_in_its_list(simulation):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/pseudo-parameter-reference.html"""
    policy = simulation.client("iam").get_role_policy(RoleName="ami-share-schedules", PolicyName="start")
    # moto writes a policy from CloudFormation in Python's syntax.
    document = str(policy["PolicyDocument"])
    assert document.count("'Effect'") == 2, document
    assert "None" not in document, document


def test_policies_and_subscriptions_that_moto_skips_are_there(simulation):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html"""
    bus = simulation.client("events").describe_event_bus(Name=simulation.outputs["BusName"])
    assert "222222222222" in bus["Policy"]
    topic = simulation.outputs["TopicArn"]
    attributes = simulation.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    assert "222222222222" in attributes["Policy"]
    subscriptions = simulation.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [one["Protocol"] for one in subscriptions] == ["sqs"]
    url = simulation.outputs["DeadLettersUrl"]
    policy = simulation.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
    assert "sns.amazonaws.com" in policy["Policy"]


def test_the_definition_of_the_workflow_has_its_substitutions(simulation):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachine.html"""
    workflow = simulation.outputs["WorkflowArn"]
    definition = simulation.client("stepfunctions").describe_state_machine(stateMachineArn=workflow)["definition"]
    assert "${WorkerArn}" not in definition
    assert ":function:worker" in definition


def test_a_resource_type_that_nothing_makes_is_an_error_and_not_silence(tmp_path):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html"""
    path = tmp_path / "template.yaml"
    path.write_text(yaml.dump({"Resources": {"X": {"Type": "AWS::QLDB::Ledger", "Properties": {}}}}))
    status, output = run(tmp_path, "--template", str(path))
    assert status == 1
    assert "cannot make AWS::QLDB::Ledger" in output


def test_a_function_without_a_binary_is_an_error(tmp_path):
    """https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-rust.html"""
    shutil.copytree(HERE / "stack", tmp_path / "stack")
    path = tmp_path / "stack" / "template.yaml"
    path.write_text(path.read_text().replace("CodeUri: functions/worker", "CodeUri: functions/missing"))
    status, output = run(tmp_path, "--template", str(path))
    assert status == 1
    assert "functions/missing" in output


def test_a_parameter_is_checked_before_anything_is_made(tmp_path):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html"""
    status, output = run(tmp_path, "--template", str(STACK), "--parameter", "Greeting=HELLO")
    assert status == 1
    assert "the parameter `Greeting` is `HELLO`, and must be small letters" in output


DECLARED = {
    "Count": {"Type": "Number", "Default": 5, "MinValue": 1, "MaxValue": 9},
    "Color": {"Type": "String", "Default": "red", "AllowedValues": ["red", "blue"]},
    "Name": {"Type": "String", "MaxLength": 3, "Default": "abc"},
}


def test_parameters_have_their_defaults():
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html"""
    assert parameters.resolve(DECLARED, {"Count": "7"}) == {"Count": "7", "Color": "red", "Name": "abc"}


@pytest.mark.parametrize(
    "given", [{"Count": "10"}, {"Count": "x"}, {"Color": "green"}, {"Name": "abcd"}, {"Unknown": "x"}]
)
def test_parameters_that_the_template_does_not_accept_are_refused(given):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html"""
    with pytest.raises(parameters.ParameterError):
        parameters.resolve(DECLARED, given)


def test_a_parameter_without_default_needs_a_value():
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html"""
    with pytest.raises(parameters.ParameterError, match="needs a value"):
        parameters.resolve({"Name": {"Type": "String"}}, {})


def test_the_binary_is_named_by_the_build_method_or_by_the_folder_of_the_code(tmp_path):
    """https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-rust.html"""
    built = {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "."}}
    built["Metadata"] = {"BuildProperties": {"Binary": "resolve-share"}}
    plain = {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "functions/share-image"}}
    path = tmp_path / "template.yaml"
    path.write_text(yaml.dump({"Resources": {"A": built, "B": plain}}))
    assert template.binaries(path) == {"A": "resolve-share", "B": "share-image"}


def test_a_template_that_sam_rejects_is_an_error_with_its_reasons(tmp_path):
    """https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-reference.html"""
    path = tmp_path / "template.yaml"
    path.write_text(yaml.dump({"Resources": {"X": {"Type": "AWS::Serverless::StateMachine", "Properties": {}}}}))
    with pytest.raises(template.TemplateError, match="Definition"):
        template.expand(path, {})


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "SIGKILL", "end of input"])
def test_it_ends_at_once_and_leaves_no_function_behind(tmp_path, how):
    """A process of a function is a child of this machine, not of AWS: https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html"""
    import json

    import boto3

    process = start(tmp_path, "--template", str(STACK))
    url = wait_until_ready(process)
    client = boto3.client(
        "lambda", endpoint_url=url, region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    payload = json.dumps({"detail": {"do": "sleep", "seconds": 0}})
    child = json.loads(client.invoke(FunctionName="worker", Payload=payload)["Payload"].read())["pid"]

    if how == "end of input":
        process.stdin.close()
    else:
        process.send_signal(getattr(signal, how))

    assert process.wait(60) == (-9 if how == "SIGKILL" else 0)
    eventually(lambda: not _lives(child))
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=1)


def _lives(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process_id}/stat", encoding="utf-8") as file:
        return file.read().rsplit(")", 1)[-1].split()[0] != "Z"


def test_a_port_that_is_taken_is_reported_in_one_line(simulation):
    """A rule of this program, not of AWS: it reports the error and ends with status 2."""
    port = simulation.endpoint_url.rsplit(":", 1)[-1]
    ended = subprocess.run(
        command("--port", port), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stdout.splitlines() == [f"simulated AWS: port {port} cannot be used: Address already in use"]


def test_it_can_be_reached_at_another_address_too_and_in_another_region(tmp_path):
    """Lambda's and Step Functions' own calls stay on this machine: https://docs.docker.com/engine/network/drivers/bridge/"""
    process = start(tmp_path, "--template", str(STACK), "--address", "127.0.0.2", "--region", "eu-west-1")
    try:
        url = wait_until_ready(process)
        assert url.startswith("http://127.0.0.2:")
        for reached in (url, url.replace("127.0.0.2", "127.0.0.1")):
            assert urllib.request.urlopen(f"{reached}/moto-api/").status == 200
        here = Simulation(url, tmp_path, "eu-west-1")
        assert here.outputs["WorkflowArn"].startswith("arn:aws:states:eu-west-1:111122223333:")
    finally:
        process.terminate()
        process.wait(60)


def test_an_address_that_is_not_of_this_machine_is_reported_in_one_line():
    """A rule of this program, not of AWS. The address is one for documentation: https://www.rfc-editor.org/rfc/rfc5737"""
    ended = subprocess.run(
        command("--port", "0", "--address", "192.0.2.1"), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60, env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stdout.splitlines() == [
        "simulated AWS: port 0 of 192.0.2.1 cannot be used: Cannot assign requested address"
    ]


def test_the_server_answers_on_motos_own_page(simulation):
    """https://docs.getmoto.org/en/latest/docs/server_mode.html#dashboard"""
    assert urllib.request.urlopen(f"{simulation.endpoint_url}/moto-api/").status == 200
