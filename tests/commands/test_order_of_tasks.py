"""What a task waits for, also through views that are up to date: their inputs may be made anew in the same build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from markdown_cases import CONFIG, sqlflow

FILES = {
    "sqlflow.yml": CONFIG,
    "sources/raw.yml": 'raw.orders: {path: "data/o*.csv", columns: {id: INTEGER}}\n'
    'raw.zones: {path: "data/z*.csv", columns: {id: INTEGER}}\n',
    "data/o1.csv": "id\n1\n",
    "data/z1.csv": "id\n1\n",
    "models/m/zones.sql": "-- @mode: view\nSELECT id FROM raw.zones",
}


@pytest.mark.parametrize("header", ["@checks: [references: {column: id, to: m.zones.id}]", "@depends_on: m.zones"])
def test_what_a_check_or_a_hook_reads_through_a_view_is_made_first(tmp_path: Path, header: str) -> None:
    for path, text in {**FILES, "models/m/orders.sql": f"-- {header}\nSELECT id FROM raw.orders"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert sqlflow(tmp_path, "sqlflow build").code == 0
    (tmp_path / "data/z1.csv").rename(tmp_path / "data/z2.csv")
    (tmp_path / "data/o2.csv").write_text("id\n1\n")

    plan = json.loads(sqlflow(tmp_path, "sqlflow build --dry-run --json").out)
    needs = {task["id"]: task["needs"] for task in plan["tasks"]}
    assert "m.zones" not in needs
    assert sorted(needs["m.orders"]) == ["raw.orders", "raw.zones"]
    assert sqlflow(tmp_path, "sqlflow build").code == 0
