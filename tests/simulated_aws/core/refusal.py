"""Refuses a call with an error in the form of its protocol.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (EC2: XML of its own)
https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#operation-error-serialization (SNS, STS, IAM, CloudFormation)
https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization (a header names the operation)
https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization (Scheduler, Lambda)
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import json
import uuid
from collections.abc import Iterable
from http import HTTPStatus
from xml.sax.saxutils import escape

from simulated_aws.core.signed_calls import SignedCall, StartResponse


def refuse(call: SignedCall, start_response: StartResponse, status: int, code: str, message: str) -> Iterable[bytes]:
    """Answers the error `code` with this HTTP status."""
    request_id = str(uuid.uuid4())
    kind, body, headers = _error(call, status, code, message, request_id)
    headers += [("Content-Type", kind), ("Content-Length", str(len(body))), ("x-amzn-RequestId", request_id)]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [body]


def _error(
    call: SignedCall, status: int, code: str, message: str, request_id: str
) -> tuple[str, bytes, list[tuple[str, str]]]:
    """The type, the body and the headers of the answer."""
    error = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if call.target is not None:
        return "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}).encode(), []
    if call.service == "ec2":
        xml = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    elif call.service == "s3":
        xml = f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
    elif call.form:
        fault = "Sender" if status < 500 else "Receiver"
        xml = f"<ErrorResponse><Error><Type>{fault}</Type>{error}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    else:
        return "application/json", json.dumps({"message": message}).encode(), [("x-amzn-ErrorType", code)]
    return "text/xml;charset=UTF-8", f'<?xml version="1.0" encoding="UTF-8"?>{xml}'.encode(), []
