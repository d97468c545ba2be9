"""Amounts as people read and write them: counts, durations, sizes."""

from __future__ import annotations

import re


def counted(number: int, noun: str) -> str:
    """`1 row`, `1,234 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """`3ms`, `0.4s`, `1m 02s`, `2h 05m`."""
    if seconds < 0.0995:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    return _long_duration(round(seconds))


def whole_seconds(seconds: float) -> str:
    """A duration that is still going on: `3s`, `1m 02s`."""
    return f"{seconds:.0f}s" if seconds < 59.5 else _long_duration(round(seconds))


def _long_duration(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}m {seconds:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m"


_UNITS = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


def bytes_of(size: str) -> int | None:
    """The bytes of `2GB` or `500 MiB`; None for what is no size."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*", size)
    unit = _UNITS.get(found[2].lower()) if found else None
    return int(float(found[1]) * unit) if found and unit else None


def sized(number: float) -> str:
    """Bytes in words: `1.5 GB`, `640 MB`."""
    for unit, least in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= least:
            amount = number / least
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:,.0f} {unit}"
    return f"{number:.0f} bytes"
