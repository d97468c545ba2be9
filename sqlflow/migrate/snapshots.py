"""dbt's snapshots as models of mode `snapshot`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlflow.migrate.configs import as_list, as_mapping
from sqlflow.migrate.incremental import key_of, one_or_list
from sqlflow.migrate.naming import Named
from sqlflow.migrate.remarks import Outcome, Remark

CONFIGS = frozenset(
    ["strategy", "updated_at", "check_cols", "target_schema", "target_database", "invalidate_hard_deletes", "hard_deletes",
     "snapshot_meta_column_names", "dbt_valid_to_current", "relation"]
)  # fmt: skip
_COLUMN = re.compile(r"[^\W\d]\w*")
_FAR_DAY = re.compile(r"'(\d{4}-\d\d-\d\d)(?:[ T]00:00(?::00(?:\.0+)?)?)?'")
_DELETIONS = {"ignore": "ignore", "invalidate": "close", "new_record": "tombstone"}


def history(
    named: Named, columns: Sequence[str] | None, adapter: str, remarks: list[Remark]
) -> tuple[Mapping[str, Any], Sequence[str]]:
    """The directives of a snapshot, and the columns that its table has beside those of its query."""
    config, place = named.config, named.node.place
    key, notes, wrong = key_of(config.get("unique_key"), adapter)
    remarks += [Remark(Outcome.NOTED, note, place) for note in notes]
    if wrong or not key:
        reason = wrong or "a snapshot needs `unique_key`; dbt refuses it, too"
        remarks.append(Remark(Outcome.BY_HAND, reason, place, "name the columns of the key in `@key`"))
    found: dict[str, Any] = {"mode": "snapshot", **({"key": one_or_list(key)} if key else {})}
    found |= _changes(named, adapter, remarks)
    deletions = _deletions(named, remarks)
    if deletions != "close":
        found["deleted_rows"] = deletions
    validity = _validity(named, columns, tombstones=deletions == "tombstone", remarks=remarks)
    found["validity"] = validity
    added = [validity["from"], validity["to"], validity.get("current", "is_current")]
    remarks.append(_other_columns(named, added[2]))
    return found, [*added, validity["deleted"]] if deletions == "tombstone" else added


def _changes(named: Named, adapter: str, remarks: list[Remark]) -> Mapping[str, Any]:
    """How a change is seen."""
    config, place = named.config, named.node.place
    strategy, updated = str(config.get("strategy") or "").lower(), config.get("updated_at")
    if strategy == "timestamp" and updated and _COLUMN.fullmatch(str(updated).strip('"`')):
        return {"cursor": str(updated).strip('"`')}
    if strategy == "timestamp":
        reason = f"`updated_at` is no column but `{updated}`; all columns are compared, and versions begin at the time of a build"
        hint = "give the expression a name in the SELECT, and write `-- @cursor: NAME`"
        remarks.append(Remark(Outcome.BY_HAND, reason, place, hint))
        return {}
    if strategy != "check":
        reason = f"the strategy `{strategy}` is not one of dbt's; all columns are compared"
        remarks.append(Remark(Outcome.BY_HAND, reason, place, "say with `@cursor` or `@compare` what makes a version"))
        return {}
    if updated:
        reason = f"dbt begins versions at `{updated}`; here they begin at the time of the build that sees a change"
        hint = f"write `-- @cursor: {updated}` if it grows with every change"
        remarks.append(Remark(Outcome.NOTED, reason, place, hint))
    checked = config.get("check_cols")
    if checked in ("all", ["all"], None):
        return {}
    names = [str(one).strip('"`') for one in as_list(checked)]
    odd = [name for name in names if not _COLUMN.fullmatch(name)]
    if odd:
        reason = f"`check_cols` has what is no column: {', '.join(f'`{one}`' for one in odd)}; all columns are compared"
        remarks.append(Remark(Outcome.BY_HAND, reason, place, "name the columns that count in `@compare`"))
        return {}
    return {"compare": names}


def _deletions(named: Named, remarks: list[Remark]) -> str:
    config = named.config
    word = config.get("hard_deletes")
    if word is None:
        return "close" if str(config.get("invalidate_hard_deletes", "")).lower() == "true" else "ignore"
    known = _DELETIONS.get(str(word).lower())
    if known is None:
        reason = f"`hard_deletes: {word}` is not one of dbt's; rows that are gone stay current"
        remarks.append(Remark(Outcome.BY_HAND, reason, named.node.place, "write what you want with `@deleted_rows`"))
    return known or "ignore"


def _validity(
    named: Named, columns: Sequence[str] | None, *, tombstones: bool, remarks: list[Remark]
) -> dict[str, Any]:
    config, place = named.config, named.node.place
    names = {word: str(name) for word, name in as_mapping(config.get("snapshot_meta_column_names")).items() if name}
    found: dict[str, Any] = {
        "from": names.get("dbt_valid_from", "dbt_valid_from"), "to": names.get("dbt_valid_to", "dbt_valid_to"),
    }  # fmt: skip
    if "is_current" in {name.lower() for name in columns or ()}:
        found["current"] = "is_current_version"
    if tombstones:
        found["deleted"] = names.get("dbt_is_deleted", "dbt_is_deleted")
        reason = f"`{found['deleted']}` is a BOOLEAN here, and a text in dbt; a row that is gone is not current"
        remarks.append(Remark(Outcome.NOTED, reason, place))
    if end := config.get("dbt_valid_to_current"):
        days = _FAR_DAY.findall(str(end))
        try:
            day = date.fromisoformat(days[0]) if len(days) == 1 else None
        except ValueError:
            day = None
        if day is not None and day.year >= 2100:
            found["open"] = day
        elif str(end).strip().lower() != "null":
            reason = f"`dbt_valid_to_current` is no far day but `{end}`; the end of what is valid is NULL"
            remarks.append(Remark(Outcome.BY_HAND, reason, place, "say it with `open` in `@validity`"))
    return found


def _other_columns(named: Named, current: str) -> Remark:
    names = as_mapping(named.config.get("snapshot_meta_column_names"))
    gone = [str(names.get(word) or word) for word in ("dbt_scd_id", "dbt_updated_at")]
    start = str(names.get("dbt_valid_from") or "dbt_valid_from")
    reason = f"the table has no `{gone[0]}` and no `{gone[1]}`, and has `{current}`"
    if str(named.config.get("strategy") or "").lower() != "timestamp":
        reason += "; its times have a time zone"
    hint = f"`{gone[1]}` is `{start}`; the key and `{start}` tell a version from others"
    return Remark(Outcome.NOTED, reason, named.node.place, hint)
