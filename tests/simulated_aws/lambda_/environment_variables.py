"""The environment variables of a function's process: the function's own, Lambda's, and the credentials of its role.

The process inherits nothing: a function that needs the developer's environment must fail here as it fails in AWS.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
"""

from moto.awslambda.models import LambdaFunction
from moto.sts.models import sts_backends


def of(function: LambdaFunction, endpoint_url: str) -> dict[str, str]:
    """The whole environment of one process. Lambda's own variables override those of the template."""
    own = {name: str(value) for name, value in function.environment_vars.items()}
    return own | _reserved(function) | _credentials(function) | {"AWS_ENDPOINT_URL": endpoint_url}


def _reserved(function: LambdaFunction) -> dict[str, str]:
    return {
        "_HANDLER": str(function.handler),
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": function.logs_group_name,
        "AWS_LAMBDA_LOG_STREAM_NAME": "simulated-aws/[$LATEST]",
        "LANG": "en_US.UTF-8",
        "LAMBDA_TASK_ROOT": "/var/task",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TZ": ":UTC",
    }


def _credentials(function: LambdaFunction) -> dict[str, str]:
    """A session of the function's role, named like the function."""
    session = sts_backends[function.account_id]["aws"].assume_role(
        region_name=function.region,
        role_session_name=function.function_name,
        role_arn=function.role,
        policy="",
        duration=3600,
        external_id="",
    )
    return {
        "AWS_ACCESS_KEY_ID": session.access_key_id,
        "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
        "AWS_SESSION_TOKEN": session.session_token,
    }
