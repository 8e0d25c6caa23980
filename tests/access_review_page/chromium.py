"""Brings Debian's headless Chromium without installing anything on this machine.

`apt-get` fetches the browser, and those of its libraries that this machine lacks, into a folder of our own, and
checks their signatures; they are unpacked there and never installed, so that nobody has to be root. Debian's
mirrors keep only the newest Chromium, which is why its version cannot be pinned: it is told instead.
"""

import fcntl
import os
import platform
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "chromium-headless-shell"
# A font, and what Playwright's own driver is linked to.
BESIDE = ["fonts-dejavu-core", "libatomic1"]

# Fontconfig's own configuration may be missing, and would not know our folder.
# https://www.freedesktop.org/software/fontconfig/fontconfig-user.html
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{root}/usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{home}/font-cache</cachedir>
  <alias><family>sans</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
  <selectfont><rejectfont><pattern><patelt name="family"><string>DejaVu Serif</string></patelt></pattern></rejectfont></selectfont>
</fontconfig>
"""


class CannotInstall(Exception):
    """This machine has no way to get the browser; the text says why."""


@dataclass(frozen=True)
class Chromium:
    """A browser that can be started."""

    executable: Path
    # What it, and the driver that starts it, need in the environment.
    environment: dict[str, str]


def find_or_install(home: Path) -> Chromium:
    """The machine's own browser, or the one in `home`, which is fetched first if it is not there."""
    own = shutil.which(PACKAGE)
    if own:
        return Chromium(Path(own), {})
    home.mkdir(parents=True, exist_ok=True)
    finished = home / "installed"
    with only_one(home):
        if not finished.exists():
            fetch(home)
            finished.touch()
    return unpacked(home)


@contextmanager
def only_one(home: Path):
    """Waits for another process that installs at the same time."""
    with open(home / "install.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch(home: Path) -> None:
    for command in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(command):
            raise CannotInstall(f"there is no {command} here, and {PACKAGE} is not installed")
    downloads = home / "downloads"
    shutil.rmtree(downloads, ignore_errors=True)
    for folder in ("lists/partial", "archives/partial"):
        (downloads / folder).mkdir(parents=True)
    # A list of somebody else's packages that cannot be had does no harm, as long as ours is known.
    update = apt(downloads, "apt-get", "update")
    if not apt(downloads, "apt-cache", "show", PACKAGE).stdout:
        if update.returncode != 0:
            raise RuntimeError(f"apt-get update failed:\n{update.stdout}{update.stderr}")
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "this system")
        raise CannotInstall(f"{name} has no package {PACKAGE}")
    install = ["install", "--yes", "--no-install-recommends", "--no-remove", "--download-only"]
    download = apt(downloads, "apt-get", *install, PACKAGE, *BESIDE)
    if download.returncode != 0:
        raise RuntimeError(f"fetching {PACKAGE} failed:\n{download.stdout}{download.stderr}")
    root = home / "root"
    shutil.rmtree(root, ignore_errors=True)
    for archive in sorted((downloads / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", archive, root], check=True)
    (home / "fonts.conf").write_text(FONTS.format(root=root, home=home))
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
        [command, *given, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


def unpacked(home: Path) -> Chromium:
    root = home / "root"
    libraries = sorted({str(library.parent) for library in root.rglob("*.so*")})
    before = os.environ.get("LD_LIBRARY_PATH")
    environment = {
        "LD_LIBRARY_PATH": ":".join(libraries + ([before] if before else [])),
        "FONTCONFIG_FILE": str(home / "fonts.conf"),
    }
    # What is in /usr/bin is a script that starts the machine's own browser.
    return Chromium(root / "usr/lib/chromium" / PACKAGE, environment)
