"""A mapping that cannot be changed, and so can be hashed, compared, copied and sent to another process like any value."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from typing_extensions import override

K = TypeVar("K")
V = TypeVar("V")


class Frozen(dict[K, V]):
    """A dict whose content is final."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        msg = "this mapping is part of a frozen value and cannot be changed"
        raise TypeError(msg)

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    @override
    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none because it changes; this one does not
        return hash(frozenset(self.items()))

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)
