"""Brings Debian's packages without installing anything on this machine.

`apt-get` fetches them into a folder of our own and checks their signatures; they are unpacked there and never
installed, so that nobody has to be root. Debian's mirrors keep only the newest version of a package, which is why
versions cannot be pinned.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


class CannotInstall(Exception):
    """This machine has no way to get the packages; the text says why."""


def unpack(packages: Sequence[str], root: Path, *, with_what_they_lack: bool) -> None:
    """Unpacks the packages into `root`, which begins empty, and if wanted with what they need and this machine lacks.

    Raises `CannotInstall` if there is no apt here, or it does not know the first of the packages.
    """
    for command in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(command):
            raise CannotInstall(f"there is no {command} here, and {packages[0]} is not installed")
    downloads = root.with_name(f"{root.name}-downloads")
    shutil.rmtree(downloads, ignore_errors=True)
    for folder in ("lists/partial", "archives/partial"):
        (downloads / folder).mkdir(parents=True)
    # A list of somebody else's packages that cannot be had does no harm, as long as ours is known.
    update = apt(downloads, "apt-get", "update")
    if not apt(downloads, "apt-cache", "show", packages[0]).stdout:
        if update.returncode != 0:
            raise RuntimeError(f"apt-get update failed:\n{update.stdout}{update.stderr}")
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "this system")
        raise CannotInstall(f"{name} has no package {packages[0]}")
    install = ["install", "--yes", "--no-install-recommends", "--no-remove", "--download-only"]
    download = apt(downloads, "apt-get", *(install if with_what_they_lack else ["download"]), *packages)
    if download.returncode != 0:
        raise RuntimeError(f"fetching {packages[0]} failed:\n{download.stdout}{download.stderr}")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for archive in sorted((downloads / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", archive, root], check=True)
    shutil.rmtree(downloads)


def apt(downloads: Path, command: str, *arguments: str) -> subprocess.CompletedProcess:
    """Runs apt on folders of our own; it reads the machine's sources, keys and installed packages only."""
    options = {
        "Dir::State::Lists": downloads / "lists",
        "Dir::Cache": downloads,
        "Dir::Cache::Archives": downloads / "archives",
        # Nothing of the machine's is written, so that its locks, which only root can take, are not needed.
        "Debug::NoLocking": "1",
        # apt's own user could not write to our folders.
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    given = [argument for name, value in options.items() for argument in ("-o", f"{name}={value}")]
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        [command, *given, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        # `apt-get download` puts them here.
        cwd=downloads / "archives",
    )  # fmt: skip
