"""Group commit: callers of one process share transactions, so that one hot balance does not cost one flush each.

There is no thread of its own. A caller that finds no transaction under way carries out everything that waits, its own operation
included; the others sleep until they have their answer or are asked to go on as the next leader. While a commit is flushed to disk,
more callers queue up, so that the batches grow with the load by themselves. Tasks queue up like threads; where a task's turn to lead
comes, a thread of the loop's executor leads for it.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from typing_extensions import override

from guardrails.core.errors import GateClosed, LedgerUnavailable
from guardrails.gate.operations import Operation

T = TypeVar("T")
MAX_BATCH = 256
"""Operations in one transaction at the most."""
_INTERRUPTED = "the thread that booked for several callers was interrupted, and it is not known whether it had committed; ask again"


class _Waiting(ABC):
    """An operation in the queue, and how its caller is reached."""

    __slots__ = ("done", "leads", "operation")

    def __init__(self, operation: Operation[Any]) -> None:
        self.operation = operation
        self.done = False
        self.leads = False

    @abstractmethod
    def answer(self) -> None:
        """Tell the caller that the operation is done."""

    @abstractmethod
    def hand_over(self) -> None:
        """Have the caller lead."""


class _Thread(_Waiting):
    """A thread, asleep on a lock of its own."""

    __slots__ = ("_wake",)

    def __init__(self, operation: Operation[Any]) -> None:
        super().__init__(operation)
        self._wake = threading.Lock()
        self._wake.acquire()

    def sleep(self) -> None:
        self._wake.acquire()

    @override
    def answer(self) -> None:
        self._wake.release()

    @override
    def hand_over(self) -> None:
        self._wake.release()


class _Task(_Waiting):
    """A task, whose future is resolved on its own loop."""

    __slots__ = ("_lead", "_loop", "future")

    def __init__(self, operation: Operation[Any], lead: Callable[[_Waiting], None]) -> None:
        super().__init__(operation)
        self._loop = asyncio.get_running_loop()
        self._lead = lead
        self.future: asyncio.Future[Any] = self._loop.create_future()

    @override
    def answer(self) -> None:
        # A loop that was closed with tasks in flight has nobody left to tell.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._resolve)

    @override
    def hand_over(self) -> None:
        threading.Thread(target=self._lead, args=(self,), name="guardrails-leader", daemon=True).start()

    def _resolve(self) -> None:
        if self.future.done():
            return
        if self.operation.error is not None:
            self.future.set_exception(self.operation.error)
        else:
            self.future.set_result(self.operation.result)


class Combiner:
    """Carries out operations of many threads and tasks, many in one transaction, each caller getting its own answer.

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
        waiting = _Thread(operation)
        if self._enqueue(waiting):
            self._lead(waiting)
        else:
            try:
                waiting.sleep()
            except BaseException:
                self._leave(waiting)
                raise
            if not waiting.done:
                self._lead(waiting)
        if operation.error is not None:
            raise operation.error
        return operation.result

    def submit_task(self, operation: Operation[T]) -> asyncio.Future[T]:
        """The same for a task: a future of the running loop. Cancelling it does not take the operation back.

        Raises:
            GateClosed: after `close`.
        """
        waiting = _Task(operation, self._lead)
        if self._enqueue(waiting):
            waiting.hand_over()
        return waiting.future

    def close(self) -> None:
        """Take no more operations, and wait for those that are under way."""
        with self._mutex:
            self._closed = True
            while self._led:
                self._idle.wait()

    def _enqueue(self, waiting: _Waiting) -> bool:
        """Queue up; True where nobody leads, so that the caller must."""
        with self._mutex:
            if self._closed:
                raise GateClosed
            self._queue.append(waiting)
            lead, self._led = not self._led, True
        return lead

    def _lead(self, own: _Waiting) -> None:
        """Carry out batches until the own operation is done, then hand over to the next one that waits.

        A thread that leads for tasks goes on while tasks are next: nobody waits for it to come back.
        """
        try:
            while not own.done or (isinstance(own, _Task) and self._task_is_next()):
                batch = self._next_batch()
                try:
                    self._carry_out([waiting.operation for waiting in batch])
                except BaseException as error:
                    interrupted = not isinstance(error, Exception)
                    for waiting in batch:
                        # Ctrl-C is the leader's own; the others are told what it means for them.
                        waiting.operation.error = LedgerUnavailable(_INTERRUPTED) if interrupted and waiting is not own else error
                    if not isinstance(error, Exception):
                        raise
                finally:
                    for waiting in batch:
                        waiting.done = True
                        if waiting is not own or isinstance(waiting, _Task):
                            waiting.answer()
        finally:
            with self._mutex:
                self._hand_over()

    def _leave(self, waiting: _Waiting) -> None:
        """Take back what waits for a caller that was interrupted (Ctrl-C), so that nobody waits for it to lead."""
        with self._mutex:
            if waiting in self._queue:
                leads = self._queue[0] is waiting and waiting.leads
                self._queue.remove(waiting)
                if leads:
                    self._hand_over()

    def _hand_over(self) -> None:
        """Have the next one lead, where one waits; under the mutex."""
        if self._queue:
            self._queue[0].leads = True
            self._queue[0].hand_over()
        else:
            self._led = False
            self._idle.notify_all()

    def _task_is_next(self) -> bool:
        with self._mutex:
            return bool(self._queue) and isinstance(self._queue[0], _Task)

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
