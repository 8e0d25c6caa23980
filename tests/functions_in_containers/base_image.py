"""Replaces Lambda's base image where no image registry can be reached: an image of a few Debian packages.

`sam local invoke` puts its emulator of Lambda's runtime on top of a base image, in a `RUN` step that needs a shell. The
functions need only the C library, as in Lambda's image for `provided.al2023`; the certificates are for calls of AWS itself.
Its name differs from Lambda's images, and it is removed after the test, so that it is not mistaken for one.
"""

import io
import shutil
import tarfile
from pathlib import Path

import docker

import debian_packages

PACKAGES = ["busybox-static", "libc6", "libgcc-s1", "ca-certificates"]
COMMANDS = ["sh", "mv", "chmod"]


def make(client: docker.DockerClient, name: str, folder: Path) -> None:
    """Builds the image with this name; the folder holds the packages."""
    root = folder / "root"
    debian_packages.unpack(PACKAGES, root, with_what_they_lack=False)
    _merge_usr(root)
    for command in COMMANDS:
        (root / "usr/bin" / command).symlink_to("busybox")
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text("".join(one.read_text() for one in certificates))
    for unneeded in ("usr/share", "usr/lib/locale"):
        shutil.rmtree(root / unneeded, ignore_errors=True)
    (root / "tmp").mkdir(exist_ok=True)
    client.api.import_image_from_data(_packed(root), repository=name, tag="latest")


def remove(client: docker.DockerClient, name: str) -> None:
    """Removes the image, and the images that SAM built on it."""
    for image in client.images.list(name=name):
        for tag in image.tags:
            client.images.remove(tag, force=True)


def _merge_usr(root: Path) -> None:
    """Makes `/lib` and similar folders links into `/usr`, as Debian's packages expect; none of our packages does it."""
    for name in ("bin", "sbin", "lib", "lib64"):
        folder, merged = root / name, root / "usr" / name
        merged.mkdir(parents=True, exist_ok=True)
        if folder.is_dir():
            shutil.copytree(folder, merged, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(folder)
        folder.symlink_to(Path("usr") / name)


def _packed(root: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(root, arcname=".")
    return packed.getvalue()
