"""Finds the container engine of this machine, if the tests can use it.

`python engine.py` prints one line of JSON: the address at which containers reach this machine, or why there is no engine.
"""

import ipaddress
import json
import socket

import docker
from docker.errors import DockerException


class NoEngine(Exception):
    """Containers cannot run here; the text has the reason."""


def client() -> docker.DockerClient:
    """A client of the engine, found as SAM finds it."""
    try:
        found = docker.from_env()
        found.ping()
    except DockerException as error:
        raise NoEngine(f"no container engine answers: {error}") from error
    return found


def address_for_containers() -> str:
    """This machine's own address on the bridge that containers are attached to.

    https://docs.docker.com/engine/network/drivers/bridge/
    """
    try:
        ranges = client().networks.get("bridge").attrs["IPAM"]["Config"]
        network = ipaddress.ip_network(next(one["Subnet"] for one in ranges if ":" not in one["Subnet"]))
    except (DockerException, KeyError, StopIteration, TypeError) as error:
        raise NoEngine(f"the container engine has no bridge: {error!r}") from error
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        # Nothing is sent: the kernel only chooses the source address.
        route.connect((str(network[2]), 9))
        address = route.getsockname()[0]
    if ipaddress.ip_address(address) not in network:
        raise NoEngine(f"the bridge {network} of the container engine is not on this machine (rootless, or a remote engine)")
    return address


if __name__ == "__main__":
    try:
        print(json.dumps({"address": address_for_containers()}))
    except NoEngine as reason:
        print(json.dumps({"skipped": str(reason)}))
