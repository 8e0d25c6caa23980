"""The state machines that the checks run, as Amazon States Language: none of them needs a function.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
"""

from typing import Any

Definition = dict[str, Any]

# The rule that informs Step Functions of the end of executions that others wait for. It makes it when the first state
# machine that waits is made, and keeps it: it is neither named nor tagged by us.
# https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
MANAGED_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"

# Waits until `not_before`, fails with `error` and `cause`, or just ends: as its input says.
WAITS_OR_FAILS: Definition = {
    "StartAt": "WhatToDo",
    "States": {
        "WhatToDo": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.not_before", "IsPresent": True, "Next": "WaitForTheMoment"},
                {"Variable": "$.error", "IsPresent": True, "Next": "Failed"},
            ],
            "Default": "Done",
        },
        "WaitForTheMoment": {"Type": "Wait", "TimestampPath": "$.not_before", "Next": "Done"},
        "Failed": {"Type": "Fail", "ErrorPath": "$.error", "CausePath": "$.cause"},
        "Done": {"Type": "Succeed"},
    },
}


def counting(partition: str, table: str) -> Definition:
    """Counts in each row of its input, one after the other, how often it came there; fails at a row that has `broken`.

    What fails is the task itself: a redrive begins at the state that failed, and a Fail state would fail again.
    https://docs.aws.amazon.com/step-functions/latest/dg/connect-ddb.html
    """
    count = {
        "Type": "Task", "End": True, "Resource": f"arn:{partition}:states:::dynamodb:updateItem",
        "Parameters": {
            "TableName": table, "Key": {"pk": {"S.$": "$.pk"}, "sk": {"S.$": "$.sk"}},
            "UpdateExpression": "ADD runs :one", "ConditionExpression": "attribute_not_exists(broken)",
            "ExpressionAttributeValues": {":one": {"N": "1"}}, "ReturnValues": "ALL_NEW",
        },
        "ResultSelector": {"row.$": "$.Attributes.sk.S", "runs.$": "$.Attributes.runs.N"},
    }  # fmt: skip
    each = {
        "Type": "Map", "End": True, "ItemsPath": "$.rows", "MaxConcurrency": 1,
        "ItemSelector": {"pk.$": "$.pk", "sk.$": "$$.Map.Item.Value"},
        "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Count", "States": {"Count": count}},
    }  # fmt: skip
    return {"StartAt": "Each", "States": {"Each": each}}


def starting(partition: str, waits: bool) -> Definition:
    """Starts the `machine` of its input with the `input` there, and waits for its end or does not."""
    task = {
        "Type": "Task", "End": True,
        "Resource": f"arn:{partition}:states:::states:startExecution{'.sync:2' if waits else ''}",
        "Parameters": {"StateMachineArn.$": "$.machine", "Input.$": "$.input"},
    }  # fmt: skip
    return {"StartAt": "Start", "States": {"Start": task}}
