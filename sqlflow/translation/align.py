"""Which parts of two texts of SQL, one made of the other, stand for each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from sqlflow.core.text import Edit

_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[\w$]+|::|<>|[<>!]=|\S")
_MOST = 2000  # tokens of a text; more take seconds, and are not told apart


def differences(written: str, made: str) -> list[Edit]:
    """The edits that make `made` out of `written`, around the words that both have in the same order.

    >>> differences("a::INT + 1", "CAST(a AS INT) + 1")
    [Edit(start=0, end=0, text='CAST('), Edit(start=1, end=3, text=' AS '), Edit(start=6, end=7, text=') ')]
    """
    left, right = list(_TOKEN.finditer(written)), list(_TOKEN.finditer(made))
    if max(len(left), len(right)) > _MOST:
        return [Edit(0, len(written), made)]
    return list(_edits(written, made, left, right))


def _edits(written: str, made: str, left: list[re.Match[str]], right: list[re.Match[str]]) -> Iterator[Edit]:
    matcher = SequenceMatcher(None, [m[0].lower() for m in left], [m[0].lower() for m in right], autojunk=False)
    here = there = 0
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            old, new = left[block.a + offset], right[block.b + offset]
            if old[0] != new[0]:
                continue  # the same word in other letters
            if written[here : old.start()] != made[there : new.start()]:
                yield Edit(here, old.start(), made[there : new.start()])
            here, there = old.end(), new.end()
    if written[here:] != made[there:]:
        yield Edit(here, len(written), made[there:])
