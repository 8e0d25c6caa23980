"""The output for the user. A closed output stops nothing: cleaning up still runs."""

import os
import sys
from contextlib import suppress


def say(text: str) -> None:
    """Prints a line, if the output is still open: with `| tee log`, Ctrl-C ends `tee` before us, and a terminal may be closed.

    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    try:
        print(text, flush=True)
    except OSError:
        # Otherwise Python would try to write the rest when it ends, and change the exit status.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (RuntimeError, ValueError):
        pass  # A signal came while a line was being printed, or there is no screen at all.
