"""Makes an image `failed`, `invalid` or `error` when a test asks for it.

In AWS an image fails for reasons that the simulated AWS does not have, such as a copy whose key cannot be used. A failed
image keeps its id and shows why in `StateReason`; only `failed` has an event.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html (imageState, stateReason)
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-ami-events.html

AWS has no API for this: `POST /simulated-aws/image-failures` with

    {"image": "ami-…", "state": "failed", "reason": "The key is not usable"}
"""

import json
from collections.abc import Iterable

from moto.ec2.models import ec2_backends

from simulated_aws.core import past_states, signed_calls
from simulated_aws.core.signed_calls import Application, Environ, StartResponse
from simulated_aws.ec2 import image_states
from simulated_aws.ec2.image import Image

STATES = ("failed", "invalid", "error")

_PATH = "/simulated-aws/image-failures"


def fail(image: Image, state: str, reason: str) -> None:
    """Ends the image in this state. AWS documents no codes of reasons; `Client.InternalError` stands for all of them. [R]"""
    past_states.before_write("ec2", image.id)
    image.state = state
    image.state_reason = {"Code": "Client.InternalError", "Message": reason}
    if state == "failed":
        image_states.send_event(image, state, reason)


def install(application: Application) -> Application:
    """Wraps the application with the request."""

    def call(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != _PATH:
            return application(environ, start_response)
        asked = json.loads(signed_calls.read_body(environ))
        image = _find(asked["image"])
        if image is None or asked["state"] not in STATES:
            return signed_calls.answer(start_response, "400 Bad Request", {"message": f"not possible: {asked}"})
        fail(image, asked["state"], asked.get("reason", ""))
        return signed_calls.answer(start_response, "200 OK", {})

    return call


def _find(image_id: str) -> Image | None:
    backends = [backend for regions in list(ec2_backends.values()) for backend in list(regions.values())]
    return next((backend.amis[image_id] for backend in backends if image_id in backend.amis), None)
