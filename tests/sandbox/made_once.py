"""Things that are made once, at their first use, and whose failure is remembered as well."""

from collections.abc import Callable
from typing import Any


def once(make: Callable[[Any], Any]) -> Any:
    """A property. What went wrong the first time is raised again: a second try would meet the first one's name, and the
    checks would say so instead of the cause.
    """
    kept_as = f"_once_{make.__name__}"

    def read(self: Any) -> Any:
        if kept_as not in self.__dict__:
            try:
                self.__dict__[kept_as] = (make(self), None)
            except Exception as error:
                self.__dict__[kept_as] = (None, error)
        made, error = self.__dict__[kept_as]
        if error is not None:
            raise error
        return made

    return property(read, doc=make.__doc__)
