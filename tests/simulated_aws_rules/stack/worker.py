"""Replaces a function's binary: a Runtime API client that does what `detail.do` of its event says.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import os
import time
import urllib.request

API = f"{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime"
attempts: dict[str, int] = {}


def post(path, body):
    urllib.request.urlopen(urllib.request.Request(f"{API}/{path}", data=json.dumps(body).encode())).close()


def error(kind):
    return {"errorType": kind, "errorMessage": f"this is {kind}"}


def note(marker):
    """Writes the moment down."""
    with open(marker, "a", encoding="utf-8") as file:
        file.write(f"{time.time()}\n")


def note_count(marker):
    with open(marker, encoding="utf-8") as file:
        return len(file.readlines())


def send(queue_url, text):
    """One call to SQS with the role's credentials. Its signature is not checked here."""
    scope = f"{os.environ['AWS_ACCESS_KEY_ID']}/20000101/{os.environ['AWS_REGION']}/sqs/aws4_request"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none",
        "X-Amz-Target": "AmazonSQS.SendMessage",
        "Content-Type": "application/x-amz-json-1.0",
    }
    body = json.dumps({"QueueUrl": queue_url, "MessageBody": text}).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], data=body, headers=headers)).close()


def serve(event, headers):
    """The answer, and whether it is an error."""
    detail = event.get("detail", {})
    match detail.get("do"):
        case "environment":
            return dict(os.environ), False
        case "headers":
            return dict(headers), False
        case "sleep":
            time.sleep(detail["seconds"])
            return {"pid": os.getpid()}, False
        case "meet":
            # Continues once so many processes are here: only concurrent invocations meet.
            note(detail["marker"])
            while note_count(detail["marker"]) < detail["number"]:
                time.sleep(0.05)
            return {"pid": os.getpid()}, False
        case "fail":
            return error(detail["error"]), True
        case "fail_at_first":
            note(detail["marker"])
            is_over = note_count(detail["marker"]) > detail["times"]
            return (event, False) if is_over else (error(detail["error"]), True)
        case "send":
            for text in detail["texts"]:
                send(detail["queue_url"], text)
            return {"pid": os.getpid()}, False
        case "log":
            print(*detail["lines"], sep="\n", flush=True)
            return {"pid": os.getpid()}, False
        case "exit":
            os._exit(3)
    return event, False


if os.environ["GREETING"] == "broken":
    post("init/error", error("Init.Broken"))
    raise SystemExit(1)
while True:
    with urllib.request.urlopen(f"{API}/invocation/next") as response:
        request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
        answer, failed = serve(json.load(response), response.headers)
    post(f"invocation/{request_id}/{'error' if failed else 'response'}", answer)
