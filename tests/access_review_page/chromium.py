"""Fetches Debian's headless Chromium without installing anything on this machine.

The browser, and the libraries that this machine lacks, are unpacked into a folder of this project. Its version cannot be
pinned, because Debian's mirrors keep only the newest Chromium; the report has the version.
"""

import fcntl
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import debian_packages

PACKAGE = "chromium-headless-shell"
# A font, and the libraries of Playwright's driver.
BESIDE = ["fonts-dejavu-core", "libatomic1"]

# The configuration of Fontconfig may be missing, and does not include our folder.
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


@dataclass(frozen=True)
class Chromium:
    """A browser that can be started."""

    executable: Path
    # The environment that the browser and its driver need.
    environment: dict[str, str]


def find_or_install(home: Path) -> Chromium:
    """The machine's own browser, or the one in `home`, which is fetched first if it is missing."""
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
    root = home / "root"
    debian_packages.unpack([PACKAGE, *BESIDE], root, with_what_they_lack=True)
    (home / "fonts.conf").write_text(FONTS.format(root=root, home=home))


def unpacked(home: Path) -> Chromium:
    root = home / "root"
    libraries = sorted({str(library.parent) for library in root.rglob("*.so*")})
    before = os.environ.get("LD_LIBRARY_PATH")
    environment = {
        "LD_LIBRARY_PATH": ":".join(libraries + ([before] if before else [])),
        "FONTCONFIG_FILE": str(home / "fonts.conf"),
    }
    # The file in /usr/bin is a script that starts the machine's own browser.
    return Chromium(root / "usr/lib/chromium" / PACKAGE, environment)
