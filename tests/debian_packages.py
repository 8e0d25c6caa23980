"""Unpacks Debian packages without installing anything on this machine.

`apt-get` downloads them into a separate folder and checks their signatures; they are unpacked there and never
installed, so this needs no root. Versions cannot be pinned, because Debian's mirrors have only the newest version of a
package.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


class CannotInstall(Exception):
    """This machine cannot get the packages; the message says why."""


def unpack(packages: Sequence[str], root: Path, *, with_what_they_lack: bool) -> None:
    """Empties `root` and unpacks the packages into it; if asked, also their dependencies that this machine lacks.

    Raises `CannotInstall` if this machine has no apt, or apt does not know the first package.
    """
    for command in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(command):
            raise CannotInstall(f"there is no {command} here, and {packages[0]} is not installed")
    downloads = root.with_name(f"{root.name}-downloads")
    shutil.rmtree(downloads, ignore_errors=True)
    for folder in ("lists/partial", "archives/partial"):
        (downloads / folder).mkdir(parents=True)
    # A package list that cannot be downloaded does no harm, as long as apt knows the package.
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
    """Runs apt on separate folders; of the machine it only reads the sources, keys and installed packages."""
    options = {
        "Dir::State::Lists": downloads / "lists",
        "Dir::Cache": downloads,
        "Dir::Cache::Archives": downloads / "archives",
        # No folder of the machine is written, so its locks, which only root can take, are not needed.
        "Debug::NoLocking": "1",
        # apt's own user could not write to these folders.
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    settings = [argument for name, value in options.items() for argument in ("-o", f"{name}={value}")]
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        [command, *settings, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        # `apt-get download` puts them here.
        cwd=downloads / "archives",
    )  # fmt: skip
