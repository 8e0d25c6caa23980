"""The states of an image, and their `EC2 AMI State Change` events.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-ami-events.html
"""

import os
import threading
import uuid
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError, InvalidSnapshotInUse, UnvailableAMIIdError
from moto.ec2.responses.amis import AmisResponse

from simulated_aws.core import past_states
from simulated_aws.ec2.image import Image
from simulated_aws.eventbridge import emission


def become_available(image: Image) -> None:
    """Makes the image available: it can be launched and shared from now on."""
    past_states.before_write("ec2", image.id)
    image.state = "available"
    send_event(image, "available")


def become_available_later(image: Image) -> None:
    """How long an image stays pending: `SIMULATED_AWS_IMAGE_DELAY` in seconds, by default 2."""
    delay = float(os.environ.get("SIMULATED_AWS_IMAGE_DELAY", "2"))
    timer = threading.Timer(delay, _finish, args=(image,))
    timer.daemon = True
    timer.start()


def own_image(backend: Any, image_id: str) -> Image:
    """The caller's image, for calls that only its owner may make.

    Codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    if image_id in backend.deleted_amis:
        raise UnvailableAMIIdError(image_id)
    if image_id not in backend.amis:
        raise InvalidAMIIdError(image_id)
    return backend.amis[image_id]


def install() -> None:
    """Lets DeregisterImage, DisableImage and EnableImage change the state and send its event."""
    AmisResponse.deregister_image = _deregister_image
    AmisResponse.disable_image = _disable_image
    AmisResponse.enable_image = _enable_image


def _finish(image: Image) -> None:
    still_there = image.ec2_backend.amis.get(image.id) is image
    if still_there and image.state == "pending":
        become_available(image)


def _deregister_image(response: AmisResponse) -> ActionResult:
    """Removes the image; its snapshots stay unless the request has `DeleteAssociatedSnapshots`.

    The answer has the result for each snapshot. A snapshot that another image needs, or that another account owns, stays;
    the image is deregistered all the same.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeregisterImage.html
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSnapshotReturnCode.html
    """
    backend = response.ec2_backend
    image = own_image(backend, response._get_param("ImageId"))
    response.error_on_dryrun()
    backend.deregister_image(image.id)
    deleting = image.snapshots if response._get_param("DeleteAssociatedSnapshots", False) else []
    results = [{"SnapshotId": snapshot.id, "ReturnCode": _delete_snapshot(backend, snapshot.id)} for snapshot in deleting]
    send_event(image, "deregistered")
    return ActionResult({"Return": True, "DeleteSnapshotResults": results})


def _delete_snapshot(backend: Any, snapshot_id: str) -> str:
    """[R] AWS documents no code for a snapshot of another account: `client-error` is the only one that fits."""
    try:
        backend.delete_snapshot(snapshot_id)
    except InvalidSnapshotInUse:
        return "skipped"
    except EC2ClientError:
        return "client-error"
    return "success"


def _disable_image(response: AmisResponse) -> ActionResult:
    """A disabled image loses every launch permission, and enabling it does not restore them.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/disable-an-ami.html
    """
    image = own_image(response.ec2_backend, response._get_param("ImageId"))
    response.error_on_dryrun()
    image.launch_permissions = []
    image.state = "disabled"
    send_event(image, "disabled")
    return ActionResult({"Return": True})


def _enable_image(response: AmisResponse) -> ActionResult:
    image = own_image(response.ec2_backend, response._get_param("ImageId"))
    response.error_on_dryrun()
    if image.state == "disabled":
        become_available(image)
    return ActionResult({"Return": True})


def send_event(image: Image, state: str, error: str = "") -> None:
    """Sends the event that says that the image has this state now."""
    backend = image.ec2_backend
    detail = {"RequestId": str(uuid.uuid4()), "ImageId": image.id, "State": state, "ErrorMessage": error}
    arn = f"arn:aws:ec2:{backend.region_name}::image/{image.id}"
    emission.emit(backend.account_id, backend.region_name, "aws.ec2", "EC2 AMI State Change", [arn], detail)
