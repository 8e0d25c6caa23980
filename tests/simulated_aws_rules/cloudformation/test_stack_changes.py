"""Updating and deleting a stack, and the roll-back of a failed creation."""

import json
import threading

import pytest
from botocore.exceptions import ClientError
from running import Simulation, eventually, start, wait_until_ready
from simulated_aws.cloudformation import redeploy, template

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Greeting: { Type: String, Default: hello }
  Answer: { Type: String, Default: old }
  Queued: { Type: String, Default: "no" }
  Table: { Type: String, Default: new }
  Billing: { Type: String, Default: PAY_PER_REQUEST }
  Days: { Type: Number, Default: 30 }
Conditions:
  Queues: !Equals [!Ref Queued, "yes"]
  MakesTable: !Equals [!Ref Table, new]
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: worker
      Runtime: provided.al2023
      Handler: bootstrap
      CodeUri: functions/worker
      Timeout: 9
      Environment: { Variables: { GREETING: !Sub "${Greeting} there" } }
      Policies:
        - Statement: [{ Effect: Allow, Action: "sqs:SendMessage", Resource: !Sub "arn:aws:sqs:*:*:${Greeting}" }]
      Events:
        Asked: { Type: EventBridgeRule, Properties: { Pattern: { source: [test.function] } } }
  Workflow:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: patient
      DefinitionSubstitutions: { Answer: !Ref Answer }
      Policies: [{ LambdaInvokePolicy: { FunctionName: !Ref Worker } }]
      Definition:
        StartAt: Work
        States:
          Work:
            Type: Task
            Resource: arn:aws:states:::lambda:invoke
            Parameters: { FunctionName: worker, "Payload.$": $ }
            Retry: [{ ErrorEquals: [NotYet], IntervalSeconds: 1, BackoffRate: 1, MaxAttempts: 600 }]
            Next: Answer
          Answer: { Type: Pass, Result: "${Answer}", End: true }
  ScheduleGroup: { Type: AWS::Scheduler::ScheduleGroup, Properties: { Name: schedules } }
  Logs: { Type: AWS::Logs::LogGroup, Properties: { LogGroupName: logs, RetentionInDays: !Ref Days } }
  Dashboard:
    Type: AWS::CloudWatch::Dashboard
    Properties: { DashboardName: dashboard, DashboardBody: '{"widgets":[]}' }
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      { AlarmName: alarm, ComparisonOperator: GreaterThanThreshold, EvaluationPeriods: 1, Threshold: 1, Period: 60,
        Namespace: n, MetricName: m, Statistic: Sum }
  Queue: { Type: AWS::SQS::Queue, Condition: Queues, Properties: { QueueName: queue } }
  Reports: { Type: AWS::S3::Bucket, DeletionPolicy: RetainExceptOnCreate }
  Kept:
    Type: AWS::DynamoDB::Table
    Condition: MakesTable
    DeletionPolicy: RetainExceptOnCreate
    Properties:
      TableName: kept
      BillingMode: !Ref Billing
      AttributeDefinitions: [{ AttributeName: pk, AttributeType: S }]
      KeySchema: [{ AttributeName: pk, KeyType: HASH }]
Outputs:
  WorkflowArn: { Value: !Ref Workflow }
"""


class Stack:
    """The stack, and the ways to change it."""

    def __init__(self, aws, path):
        self.aws, self.path = aws, path
        self.cloudformation = aws.client("cloudformation")

    def deploy(self, **parameters):
        return redeploy.deploy(self.cloudformation, self.path, parameters)

    def delete(self):
        return redeploy.delete(self.cloudformation)

    def invoke(self, **detail):
        answer = self.aws.client("lambda").invoke(FunctionName="worker", Payload=json.dumps({"detail": detail}))
        return json.loads(answer["Payload"].read())

    def workflow(self):
        return self.cloudformation.describe_stacks(StackName="ami-share")["Stacks"][0]["Outputs"][0]["OutputValue"]

    def execute(self, **detail):
        """Starts an execution; returns a function that describes it."""
        stepfunctions = self.aws.client("stepfunctions")
        started = stepfunctions.start_execution(stateMachineArn=self.workflow(), input=json.dumps({"detail": detail}))
        return lambda: stepfunctions.describe_execution(executionArn=started["executionArn"])

    def tables(self):
        return self.aws.client("dynamodb").list_tables()["TableNames"]

    def queues(self):
        return self.aws.client("sqs").list_queues().get("QueueUrls", [])

    def buckets(self):
        return [bucket["Name"] for bucket in self.aws.client("s3").list_buckets()["Buckets"]]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("changes")
    path = folder / "template.yaml"
    path.write_text(TEMPLATE)
    process = start(folder, "--template", str(path))
    try:
        yield Stack(Simulation(wait_until_ready(process), folder), path)
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def stack(deployed):
    """The stack in its first state, whatever the previous test left."""
    deployed.cloudformation.delete_stack(StackName="ami-share")
    for table in deployed.tables():
        deployed.aws.client("dynamodb").delete_table(TableName=table)
    for bucket in deployed.buckets():
        deployed.aws.client("s3").delete_bucket(Bucket=bucket)
    assert deployed.deploy(**{name: one["Default"] for name, one in template.read(deployed.path)["Parameters"].items()})[
        "StackStatus"
    ] == "CREATE_COMPLETE"  # fmt: skip
    return deployed


def test_a_function_has_its_new_environment_at_once_and_what_runs_ends_as_it_began(stack):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html"""
    before = stack.invoke(do="environment")
    assert before["GREETING"] == "hello there"
    answers = []
    running = threading.Thread(target=lambda: answers.append(stack.invoke(do="sleep", seconds=3)))
    running.start()
    assert stack.deploy(Greeting="goodbye")["StackStatus"] == "UPDATE_COMPLETE"
    assert stack.invoke(do="environment")["GREETING"] == "goodbye there"
    running.join()
    assert answers[0]["pid"] != stack.invoke(do="sleep", seconds=0)["pid"]


def test_a_role_a_log_group_and_a_workflow_change_with_what_they_depend_on(stack):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html"""
    stack.deploy(Greeting="goodbye", Days="7")
    iam = stack.aws.client("iam")
    [role] = [role["RoleName"] for role in iam.list_roles()["Roles"] if "WorkerRole" in role["RoleName"]]
    [policy] = iam.list_role_policies(RoleName=role)["PolicyNames"]
    assert "goodbye" in str(iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"])
    assert [group["retentionInDays"] for group in stack.aws.client("logs").describe_log_groups()["logGroups"]] == [7]


def test_an_execution_ends_by_the_definition_with_which_it_began(stack, tmp_path):
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_UpdateStateMachine.html"""
    marker = tmp_path / "tries"
    running = stack.execute(do="fail_at_first", error="NotYet", marker=str(marker), times=1000)
    eventually(marker.exists)
    assert stack.deploy(Answer="new")["StackStatus"] == "UPDATE_COMPLETE"
    later = stack.execute()
    assert "new" in eventually(lambda: later().get("output"), 60)
    assert running()["status"] == "RUNNING"
    with open(marker, "a", encoding="utf-8") as file:
        file.write("released\n" * 1000)
    assert "old" in eventually(lambda: running().get("output"), 60)


def test_a_parameter_that_an_update_does_not_name_has_its_default_again(stack):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Parameter.html"""
    stack.deploy(Greeting="goodbye")
    change = {"StackName": "ami-share", "UsePreviousTemplate": True, "Capabilities": ["CAPABILITY_IAM"]}
    kept = {"ParameterKey": "Greeting", "UsePreviousValue": True}
    queued = {"ParameterKey": "Queued", "ParameterValue": "yes"}
    stack.cloudformation.update_stack(**change, Parameters=[kept, queued])
    assert stack.invoke(do="environment")["GREETING"] == "goodbye there"
    assert len(stack.queues()) == 1
    stack.cloudformation.update_stack(**change, Parameters=[queued])
    assert stack.invoke(do="environment")["GREETING"] == "hello there"


def test_a_resource_comes_and_goes_with_its_condition_unless_it_is_to_stay(stack):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html"""
    stack.deploy(Queued="yes")
    assert len(stack.queues()) == 1
    stack.deploy(Queued="no", Table="existing")
    assert (stack.queues(), stack.tables()) == ([], ["kept"])
    logical_ids = [
        resource["LogicalResourceId"]
        for resource in stack.cloudformation.describe_stack_resources(StackName="ami-share")["StackResources"]
    ]
    assert "Worker" in logical_ids and "Kept" not in logical_ids


def test_what_cannot_be_updated_is_an_error_and_not_silence(stack):
    """A limit of the simulated AWS: CloudFormation would change the table."""
    with pytest.raises(ClientError, match="cannot update AWS::DynamoDB::Table"):
        stack.deploy(Billing="PROVISIONED")


def test_a_deleted_stack_leaves_only_its_retained_resources(stack):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html"""
    trust = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam = stack.aws.client("iam")
    role = iam.create_role(RoleName="mine", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]
    stack.aws.client("scheduler").create_schedule(
        Name="soon", GroupName="schedules", ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": stack.workflow(), "RoleArn": role["Arn"]},
    )  # fmt: skip
    assert stack.delete()["StackStatus"] == "DELETE_COMPLETE"
    aws = stack.aws
    left = {
        "lambda": aws.client("lambda").list_functions()["Functions"],
        "iam": [role["RoleName"] for role in iam.list_roles()["Roles"] if role["RoleName"] != "mine"],
        "events": aws.client("events").list_rules()["Rules"],
        "states": aws.client("stepfunctions").list_state_machines()["stateMachines"],
        "logs": aws.client("logs").describe_log_groups()["logGroups"],
        "dashboards": aws.client("cloudwatch").list_dashboards()["DashboardEntries"],
        "alarms": aws.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "schedules": aws.client("scheduler").list_schedules()["Schedules"],
        "groups": [one["Name"] for one in aws.client("scheduler").list_schedule_groups()["ScheduleGroups"]],
    }
    assert left == {name: [] for name in left} | {"groups": ["default"]}
    assert stack.tables() == ["kept"] and len(stack.buckets()) == 1


def test_executions_end_with_their_workflow(stack, tmp_path):
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_DeleteStateMachine.html"""
    queue = stack.aws.queue()
    stack.aws.rule({"source": ["aws.states"], "detail": {"status": ["ABORTED"]}}, {"Arn": queue.arn})
    marker = tmp_path / "tries"
    running = stack.execute(do="fail_at_first", error="NotYet", marker=str(marker), times=1000)
    eventually(marker.exists)
    name = running()["name"]
    stack.delete()
    assert queue.next()["detail"]["name"] == name


def test_a_name_that_is_taken_fails_the_creation_which_leaves_nothing(stack):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html"""
    stack.delete()
    buckets = stack.buckets()
    failed = stack.deploy()
    assert failed["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "Table already exists: kept" in failed["StackStatusReason"]
    assert stack.aws.client("lambda").list_functions()["Functions"] == []
    # The table belongs to the earlier stack; a bucket of this failed creation must not stay.
    assert (stack.tables(), stack.buckets()) == (["kept"], buckets)
    with pytest.raises(ClientError, match="ROLLBACK_COMPLETE state and can not be updated"):
        stack.deploy(Table="existing")
    stack.delete()
    assert stack.deploy(Table="existing")["StackStatus"] == "CREATE_COMPLETE"
    assert stack.invoke(do="environment")["GREETING"] == "hello there"
