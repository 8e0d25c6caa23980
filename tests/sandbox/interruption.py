"""Signals that end a run early: Ctrl-C, `kill`, a closed terminal. None of them ends the cleanup that follows."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def heeded() -> Iterator[None]:
    """Within it, each signal raises KeyboardInterrupt. Afterwards the previous handlers are back."""
    before = {one: signal.getsignal(one) for one in _SIGNALS}
    for one in _SIGNALS:
        # A parent that started us in the background may have had Ctrl-C ignored. `nohup` ignores SIGHUP on purpose.
        if not (one is signal.SIGHUP and before[one] is signal.SIG_IGN):
            signal.signal(one, _raise)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler or signal.SIG_DFL)


def hold_off(say: Callable[[str], None]) -> None:
    """From now on no signal ends the run."""
    signal.signal(signal.SIGINT, lambda *_: say("  cleaning up first; it will end by itself"))
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
