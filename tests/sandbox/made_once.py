"""Properties that are made once, at their first use, and that remember a failure as well."""

from collections.abc import Callable
from typing import Any


def once(make: Callable[[Any], Any]) -> Any:
    """A property. It raises the error of the first try again: a second try would fail because the name is taken, and the
    checks would report that instead of the cause.
    """
    stored_as = f"_once_{make.__name__}"

    def read(self: Any) -> Any:
        if stored_as not in self.__dict__:
            try:
                self.__dict__[stored_as] = (make(self), None)
            except Exception as error:
                self.__dict__[stored_as] = (None, error)
        made, error = self.__dict__[stored_as]
        if error is not None:
            raise error
        return made

    return property(read, doc=make.__doc__)
