"""The laws of tests/laws on PostgreSQL: the same stories, the same oracle, the queries translated."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import test_incremental_equals_full as law
from length import at_length
from on_postgres import LawfulPostgres


def _holds(story: law.Story) -> None:
    with tempfile.TemporaryDirectory(prefix="sqlflow-law-") as folder:
        project = LawfulPostgres(Path(folder), story.zone)
        try:
            world = law.World(project, [law.BY_NAME[name] for name in story.models])
            world.begin(story)
            world.build()
            for happening in story.steps:
                for op in happening:
                    world.do(op)
                world.build()
            world.build()
        finally:
            project.drop()


@settings(law._FAST, max_examples=1)
@given(law._time_stories)
def test_incremental_models_and_their_children_equal_their_queries(story: law.Story) -> None:
    _holds(story)


@settings(law._FAST, max_examples=1)
@given(law._key_stories)
def test_merged_tables_hold_what_the_mode_promises(story: law.Story) -> None:
    _holds(story)


@settings(law._FAST, max_examples=1)
@given(law._log_stories)
def test_appended_tables_hold_every_row_once(story: law.Story) -> None:
    _holds(story)


@pytest.mark.long
@settings(law._LONG, max_examples=at_length(32))
@given(st.one_of(law._time_stories, law._time_stories, law._key_stories, law._log_stories))
def test_all_of_it_at_length(story: law.Story) -> None:
    _holds(story)
