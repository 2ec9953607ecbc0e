"""Objects whose process kills itself at one of their steps, for tests of what is left then."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any


class KillAt:
    """Counts the points that a process passes, and kills it with SIGKILL at the one given."""

    def __init__(self, last: int) -> None:
        self._last = last
        self._passed = 0

    def __call__(self) -> None:
        """Pass a point."""
        self._passed += 1
        if self._passed == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """A proxy that calls `point` after each method of `steps`; `before`: before it, too."""

    def __init__(
        self,
        real: object,
        steps: Collection[str],
        point: Callable[[], None],
        *,
        before: bool = False,
    ) -> None:
        self._real: Any = real
        self._steps = steps
        self._point = point
        self._before = before

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        return partial(self._step, method) if name in self._steps else method

    def _step(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._before:
            self._point()
        result = method(*args, **kwargs)
        if inspect.isawaitable(result):
            return self._finish(result)
        self._point()
        return result

    async def _finish(self, begun: Awaitable[Any]) -> Any:
        result = await begun
        self._point()
        return result


def kill_at_each_step(run: Callable[[int], None], most: int) -> int:
    """Run forks that are to be killed after the first step, the second, and so on.

    Returns the number of steps. Raises SystemExit: there are more than `most`.
    """
    for step in range(1, most):
        child = os.fork()
        if not child:
            run(step)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            return step - 1
        assert code == -signal.SIGKILL
    raise SystemExit(f"there are more steps than {most}")
