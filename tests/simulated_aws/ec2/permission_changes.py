"""Reads which permissions a request adds or removes: ModifyImageAttribute and ModifySnapshotAttribute have two forms each.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html
"""

from moto.ec2.responses._base_response import EC2BaseResponse

Permission = dict[str, str]


def changes(response: EC2BaseResponse, operation: str, structure: str, flat_forms: dict[str, str]) -> list[Permission]:
    """Those of `operation` (`Add` or `Remove`), in the structured form and in the flat one (parameter to kind)."""
    structured = response._get_param(structure, {}).get(operation, [])
    changes = [{kind: named} for entry in structured for kind, named in entry.items()]
    if (response._get_param("OperationType") or "").lower() == operation.lower():
        for parameter, kind in flat_forms.items():
            changes += [{kind: named} for named in response._get_param(parameter, [])]
    return changes
