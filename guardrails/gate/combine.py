"""Group commit: callers of one process share transactions, so that one hot balance does not cost one flush each.

There is no thread of its own. A caller that finds no transaction under way carries out everything that waits, its own operation
included; the others sleep until they have their answer or are asked to go on as the next leader. While a commit is flushed to disk,
more callers queue up, so that the batches grow with the load by themselves.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from guardrails.core.errors import GateClosed
from guardrails.gate.operations import Operation

T = TypeVar("T")
MAX_BATCH = 256
"""Operations in one transaction at the most."""


class _Waiting:
    """An operation in the queue, and the lock on which its caller sleeps."""

    __slots__ = ("done", "operation", "wake")

    def __init__(self, operation: Operation[Any]) -> None:
        self.operation = operation
        self.done = False
        self.wake = threading.Lock()
        self.wake.acquire()


class Combiner:
    """Carries out operations of many threads, many in one transaction, each thread getting its own answer.

    `carry_out` runs them; it is never entered by two threads at once.
    """

    def __init__(self, carry_out: Callable[[Sequence[Operation[Any]]], None]) -> None:
        self._carry_out = carry_out
        self._queue: deque[_Waiting] = deque()
        self._mutex = threading.Lock()
        self._led = False
        self._closed = False
        self._idle = threading.Condition(self._mutex)

    def submit(self, operation: Operation[T]) -> T:
        """Carry out one operation, alone or among others, and return its result.

        Raises:
            GateClosed: after `close`.
            GuardrailsError: the operation's own error, or that of the transaction.
        """
        waiting = _Waiting(operation)
        with self._mutex:
            if self._closed:
                raise GateClosed
            self._queue.append(waiting)
            lead, self._led = not self._led, True
        if not lead:
            waiting.wake.acquire()
            lead = not waiting.done
        if lead:
            self._lead(waiting)
        if operation.error is not None:
            raise operation.error
        return operation.result

    def close(self) -> None:
        """Take no more operations, and wait for those that are under way."""
        with self._mutex:
            self._closed = True
            while self._led:
                self._idle.wait()

    def _lead(self, own: _Waiting) -> None:
        """Carry out batches until the own operation is done, then hand over to the next one that waits."""
        try:
            while not own.done:
                batch = self._next_batch()
                try:
                    self._carry_out([waiting.operation for waiting in batch])
                except BaseException as error:
                    for waiting in batch:
                        waiting.operation.error = error
                    if not isinstance(error, Exception):
                        raise
                finally:
                    for waiting in batch:
                        waiting.done = True
                        if waiting is not own:
                            waiting.wake.release()
        finally:
            with self._mutex:
                if self._queue:
                    self._queue[0].wake.release()
                else:
                    self._led = False
                    self._idle.notify_all()

    def _next_batch(self) -> list[_Waiting]:
        """What waits, in order, up to the first operation that touches what one before it touches."""
        batch: list[_Waiting] = []
        touched: set[str] = set()
        with self._mutex:
            while self._queue and len(batch) < MAX_BATCH:
                operation = self._queue[0].operation
                touches = operation.touches
                if batch and (operation.dry or batch[0].operation.dry or not touched.isdisjoint(touches)):
                    break
                touched |= touches
                batch.append(self._queue.popleft())
        return batch
