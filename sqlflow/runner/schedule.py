"""Which task may start now."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from msgspec import Struct

from sqlflow.core.plan import Task
from sqlflow.core.records import TableKind


class Failed(Struct, frozen=True):
    """A task that will not run because `cause` failed."""

    task: Task
    cause: Task


class Board:
    """The tasks of a plan and how far each is. Not safe for threads by itself: the caller holds a lock.

    Commits are numbered. A transaction sees the commits before it began and what it wrote itself, so a task may
    join it only if everything the task needs is one or the other. Queries of tests/ share transactions only with each
    other: what they read is committed, and stays, when they fail. Several threads begin with the longest chains; `one`
    thread keeps the order of the plan, so that it tells the same in each build.
    """

    def __init__(self, tasks: Sequence[Task], *, one: bool = False) -> None:
        self._tasks = {task.id: task for task in tasks}
        self._order = {task.id: position for position, task in enumerate(tasks)}
        self._waiting: dict[str, set[str]] = {}
        self._children: dict[str, list[str]] = {task.id: [] for task in tasks}
        for task in tasks:
            needs = {need for need in task.needs if need in self._tasks}
            self._waiting[task.id] = needs
            for need in needs:
                self._children[need].append(task.id)
        self._priority = {} if one else _longest_paths(tasks, self._children)
        self._ready: list[tuple[float, int, str]] = []  # a heap; entries that are no longer in _waiting are stale
        for name, needs in self._waiting.items():
            if not needs:
                self._make_ready(name)
        self._commit_of: dict[str, int] = {}
        self._alone: set[str] = set()
        self._tests = {task.id for task in tasks if task.kind is TableKind.TEST}
        self._open = len(tasks)
        self.commits = 0

    @property
    def finished(self) -> bool:
        """Every task is committed, failed or given up."""
        return self._open == 0

    def take(self, own: frozenset[str] | set[str], begun: int | None) -> Task | None:
        """The best task that may start, taken off the board; None when there is none now.

        `own`: tasks of the open transaction; `begun`: the number of commits when it began, None for a new one.
        """
        best = self._take_ready(own, begun)
        if best is None and own:
            # Children of what this transaction wrote wait only for it: they may join before it commits.
            joining = [
                child
                for name in own
                for child in self._children[name]
                if self._waiting.get(child)
                and self._waiting[child] <= own
                and child not in self._alone
                and child not in self._tests
                and (begun is None or self._visible(child, own, begun))
            ]
            best = min(joining, key=self._rank, default=None)
        if best is None:
            return None
        self._waiting.pop(best, None)
        return self._tasks[best]

    def _take_ready(self, own: frozenset[str] | set[str], begun: int | None) -> str | None:
        """The first ready task that this transaction may take; those it may not stay for others."""
        passed: list[tuple[float, int, str]] = []
        found: str | None = None
        while self._ready and found is None and len(passed) < _LOOK_AT_MOST:
            entry = heapq.heappop(self._ready)
            name = entry[2]
            if self._waiting.get(name, {name}):
                continue  # taken or given up since
            if (own and not self._may_join(name, own)) or (begun is not None and not self._visible(name, own, begun)):
                passed.append(entry)
            else:
                found = name
        for entry in passed:
            heapq.heappush(self._ready, entry)
        return found

    def _may_join(self, name: str, own: frozenset[str] | set[str]) -> bool:
        return name not in self._alone and (name in self._tests) is (not own.isdisjoint(self._tests))

    def _make_ready(self, name: str) -> None:
        heapq.heappush(self._ready, (*self._rank(name), name))

    def is_alone(self, task: Task) -> bool:
        """Whether the task must have a transaction for itself."""
        return task.id in self._alone

    def give_back(self, tasks: Iterable[Task]) -> None:
        """Tasks whose shared transaction was rolled back: each is to be done again, in a transaction of its own."""
        for task in tasks:
            self._alone.add(task.id)
            needs = {need for need in task.needs if need in self._tasks and need not in self._commit_of}
            self._waiting[task.id] = needs
            if not needs:
                self._make_ready(task.id)

    def committed(self, tasks: Sequence[Task]) -> None:
        self.commits += 1
        for task in tasks:
            self._commit_of[task.id] = self.commits
            self._open -= 1
        for task in tasks:
            for child in self._children[task.id]:
                needs = self._waiting.get(child)
                if needs is not None:
                    needs.discard(task.id)
                    if not needs:
                        self._make_ready(child)

    def failed(self, task: Task) -> list[Failed]:
        """The task failed; all that needs it, directly or not, is given up and returned."""
        self._open -= 1
        given_up: list[Failed] = []
        stack = list(self._children[task.id])
        while stack:
            name = stack.pop()
            if name in self._waiting:
                del self._waiting[name]
                self._open -= 1
                given_up.append(Failed(self._tasks[name], task))
                stack.extend(self._children[name])
        return sorted(given_up, key=lambda item: self._order[item.task.id])

    def withdraw(self, name: str) -> Task:
        """Take a task that has ended already; then say how."""
        del self._waiting[name]
        return self._tasks[name]

    def abandon(self) -> list[Task]:
        """Give up everything that has not started."""
        names = sorted(self._waiting, key=lambda name: self._order[name])
        self._waiting.clear()
        self._ready.clear()
        self._open -= len(names)
        return [self._tasks[name] for name in names]

    def _visible(self, name: str, own: frozenset[str] | set[str], begun: int) -> bool:
        return all(
            need in own or self._commit_of.get(need, begun + 1) <= begun
            for need in self._tasks[name].needs
            if need in self._tasks
        )

    def _rank(self, name: str) -> tuple[float, int]:
        return -self._priority.get(name, 0.0), self._order[name]


_TYPICAL_SECONDS = 0.05
_LOOK_AT_MOST = 20  # ready tasks that a transaction passes over because it began too early to see their parents


def _longest_paths(tasks: Sequence[Task], children: dict[str, list[str]]) -> dict[str, float]:
    """For each task, the expected seconds from its start to the end of the longest chain that follows."""
    longest: dict[str, float] = {}
    for task in reversed(tasks):
        own = _TYPICAL_SECONDS if task.expected_seconds is None else task.expected_seconds
        longest[task.id] = own + max((longest[child] for child in children[task.id]), default=0.0)
    return longest
