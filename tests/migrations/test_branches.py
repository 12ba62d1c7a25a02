"""Revisions of several packages are run like one line, each after what it depends on."""

from __future__ import annotations

import io
import os
from itertools import chain
from typing import TYPE_CHECKING

import psycopg
import pytest
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.migration import HeadMaintainer, MigrationStep
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from dbschema.errors import UnknownRevision
from dbschema.migrations import errors, runner
from dbschema.migrations.baseline import baseline
from dbschema.migrations.history import History
from dbschema.migrations.revisions import Graph, Node, line
from dbschema.migrations.scripts import Scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

ENVIRONMENT = """
from alembic import context
from dbschema.migrations import alembic_env

alembic_env.run(context, list)
"""

REVISION = """
'''{id} is made.'''
from alembic import op

revision = "{id}"
down_revision = {down}
depends_on = {depends}
branch_labels = {labels}


def upgrade():
    op.execute('CREATE TABLE "{id}" ()')


def downgrade():
    op.execute('DROP TABLE "{id}"')
"""


class Project:
    """An application with an ini file, and lines of revisions in a folder each."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.ini = root / "alembic.ini"
        (root / "scripts").mkdir()
        (root / "scripts" / "env.py").write_text(ENVIRONMENT, encoding="utf-8")
        self._folders: list[str] = []

    def write(
        self,
        folder: str,
        revision: str,
        down: str | tuple[str, ...] | None = None,
        *,
        depends: str | tuple[str, ...] | None = None,
        label: str | None = None,
    ) -> None:
        """Add a revision to the line in `folder`."""
        if folder not in self._folders:
            (self._root / folder).mkdir()
            self._folders.append(folder)
            self.ini.write_text(
                "[alembic]\nscript_location = %(here)s/scripts\npath_separator = os\n"
                f"version_locations = {os.pathsep.join(f'%(here)s/{one}' for one in self._folders)}\n",
                encoding="utf-8",
            )
        source = REVISION.format(id=revision, down=repr(down), depends=repr(depends), labels=repr(label))
        (self._root / folder / f"{revision}.py").write_text(source, encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two lines: lib1, lib2, lib3; and shop1 on lib1, shop2 on lib2."""
    made = Project(tmp_path)
    made.write("lib", "lib1")
    made.write("lib", "lib2", "lib1")
    made.write("lib", "lib3", "lib2")
    made.write("shop", "shop1", depends="lib1", label="shop")
    made.write("shop", "shop2", "shop1", depends="lib2")
    return made


def tables(url: str) -> set[str]:
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection:
        found = connection.execute("SELECT relname FROM pg_class WHERE relname ~ '^(lib|shop)\\d$'")
        return {name for (name,) in found}


def ids(steps: Sequence[runner.Revision]) -> list[str]:
    return [one.id for one in steps]


def test_all_lines_are_applied_each_revision_after_what_it_depends_on(
    project: Project, fresh_database: str
) -> None:
    run = runner.upgrade(fresh_database, location=project.ini)

    found = runner.status(fresh_database, location=project.ini)
    assert ids(run.steps) == ["lib1", "shop1", "lib2", "shop2", "lib3"]
    assert tables(fresh_database) == set(ids(run.steps))
    assert (run.before, run.after, found.head) == (None, "shop2, lib3", "shop2, lib3")
    assert (found.up_to_date, found.current, found.pending) == (True, ("shop2", "lib3"), ())
    assert runner.upgrade(fresh_database, location=project.ini).steps == ()


def test_a_line_that_another_one_stands_on_grows(project: Project, fresh_database: str) -> None:
    """A new version of the library brings a revision; the database stands at the application's alone."""
    runner.upgrade(fresh_database, "shop2", location=project.ini)

    before = runner.status(fresh_database, location=project.ini)
    run = runner.upgrade(fresh_database, location=project.ini)

    assert (before.current, ids(before.pending), before.unknown) == (("shop2",), ["lib3"], ())
    assert (ids(run.steps), run.before, run.after) == (["lib3"], "shop2", "shop2, lib3")


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        ("lib2", {"lib1", "lib2"}),
        ("shop1", {"lib1", "shop1"}),
        ("shop@head", {"lib1", "lib2", "shop1", "shop2"}),
        ("shop@shop1", {"lib1", "shop1"}),
        ("lib3, shop1", {"lib1", "lib2", "lib3", "shop1"}),
        ("shop1+1", {"lib1", "lib2", "shop1", "shop2"}),
        ("lib3-1", {"lib1", "lib2"}),
        ("+2", None),
        ("heads", {"lib1", "lib2", "lib3", "shop1", "shop2"}),
    ],
)
def test_a_target_brings_what_it_stands_on_and_no_more(
    project: Project, fresh_database: str, target: str, reached: set[str] | None
) -> None:
    runner.upgrade(fresh_database, target, location=project.ini)

    found = tables(fresh_database)
    assert found == reached if reached is not None else len(found) == 2


@pytest.mark.parametrize(
    ("target", "stay"),
    [
        ("shop@base", {"lib1", "lib2", "lib3"}),
        ("shop1", {"lib1", "lib2", "lib3", "shop1"}),
        ("lib1", {"lib1"}),
        ("lib2", {"lib1", "lib2", "shop1"}),
        ("lib2, shop1", {"lib1", "lib2", "shop1"}),
        ("base", set()),
    ],
)
def test_a_downgrade_takes_back_what_stands_on_its_target_and_no_more(
    project: Project, fresh_database: str, target: str, stay: set[str]
) -> None:
    runner.upgrade(fresh_database, location=project.ini)

    run = runner.downgrade(fresh_database, target, location=project.ini)

    assert tables(fresh_database) == stay
    assert run.complete
    assert runner.upgrade(fresh_database, location=project.ini).after == "shop2, lib3"


def test_steps_are_counted_over_all_lines(project: Project, fresh_database: str) -> None:
    runner.upgrade(fresh_database, location=project.ini)

    taken = runner.downgrade(fresh_database, "-2", location=project.ini)
    again = runner.upgrade(fresh_database, "+2", location=project.ini)

    assert ids(taken.steps) == list(reversed(ids(again.steps)))
    assert tables(fresh_database) == {"lib1", "lib2", "lib3", "shop1", "shop2"}


@pytest.mark.parametrize(
    ("target", "error", "says"),
    [
        ("shop@lib1", UnknownRevision, "There is no revision"),
        ("store@head", UnknownRevision, "There is no revision"),
        ("+1, shop1", UnknownRevision, "There is no revision"),
        ("head-1", errors.WrongTarget, "is the beginning of several"),
        ("shop2+1", errors.WrongTarget, "counts too far"),
        ("lib1-2", errors.WrongTarget, "counts too far"),
        ("base", errors.WrongTarget, "is no target for"),
    ],
)
def test_what_names_no_place_is_refused_before_a_connection_is_made(
    project: Project, target: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        runner.upgrade("postgresql://nobody@127.0.0.1:1/nothing", target, location=project.ini)


def test_a_downgrade_to_what_is_not_applied_is_none(project: Project, fresh_database: str) -> None:
    runner.upgrade(fresh_database, "lib2", location=project.ini)

    with pytest.raises(errors.WrongTarget, match="is no target for downgrade"):
        runner.downgrade(fresh_database, "shop1", location=project.ini)


def test_two_heads_of_one_line_are_refused(project: Project) -> None:
    project.write("shop", "other2", "shop1")

    with pytest.raises(errors.BrokenScripts, match="several heads \\(other2, shop2\\)"):
        runner.upgrade("postgresql://nobody@127.0.0.1:1/nothing", location=project.ini)


def test_a_line_that_was_joined_again_has_one_head(project: Project, fresh_database: str) -> None:
    project.write("shop", "other2", "shop1")
    project.write("shop", "shop3", ("shop2", "other2"))

    run = runner.upgrade(fresh_database, location=project.ini)
    back = runner.downgrade(fresh_database, "base", location=project.ini)

    assert run.after == "shop3, lib3"
    assert len(run.steps) == len(back.steps) == 7


def test_a_revision_of_newer_code_is_told_as_such(project: Project, fresh_database: str) -> None:
    """Also where it is the other line that is newer."""
    project.write("shop", "shop3", "shop2")
    runner.upgrade(fresh_database, location=project.ini)
    (project.ini.parent / "shop" / "shop3.py").unlink()

    with pytest.raises(errors.DatabaseNewer) as caught:
        runner.upgrade(fresh_database, location=project.ini)
    tolerated = runner.upgrade(fresh_database, location=project.ini, tolerate_newer=True)

    assert caught.value.unknown == tolerated.unknown == ("shop3",)


def test_two_revisions_of_a_line_at_once_are_no_place(project: Project, fresh_database: str) -> None:
    runner.upgrade(fresh_database, location=project.ini)
    address = make_url(fresh_database).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection:
        connection.execute("INSERT INTO alembic_version VALUES ('lib1')")

    with pytest.raises(errors.UnexpectedState, match="several revisions at once"):
        runner.upgrade(fresh_database, location=project.ini)


def test_what_both_recorded_though_one_stands_on_the_other_is_no_error(
    project: Project, fresh_database: str
) -> None:
    """`alembic stamp` by hand may leave that."""
    runner.upgrade(fresh_database, "shop1", location=project.ini)
    address = make_url(fresh_database).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection:
        connection.execute("INSERT INTO alembic_version VALUES ('lib1')")

    run = runner.upgrade(fresh_database, location=project.ini)

    assert (run.before, run.after) == ("shop1", "shop2, lib3")
    assert runner.status(fresh_database, location=project.ini).up_to_date


def test_a_run_that_is_out_of_time_says_what_is_left_of_all_lines(
    project: Project, fresh_database: str
) -> None:
    run = runner.upgrade(fresh_database, location=project.ini, within=0)
    rest = runner.upgrade(fresh_database, location=project.ini)

    assert (run.steps, run.after, len(run.left)) == ((), None, 5)
    assert ids(rest.steps) == ids(run.left)


def test_adoption_records_every_line(project: Project, fresh_database: str) -> None:
    runner.upgrade(fresh_database, location=project.ini)
    address = make_url(fresh_database).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection:
        connection.execute("DROP TABLE alembic_version")

    adopted = baseline(fresh_database, lambda _: (), location=project.ini)

    assert (adopted.recorded, adopted.revision) == (True, "shop2, lib3")
    assert runner.status(fresh_database, location=project.ini).up_to_date


def test_the_sql_of_all_lines_does_what_a_run_does(
    project: Project, new_database: Callable[..., str]
) -> None:
    by_run, by_script = (new_database(migrated=False) for _ in range(2))
    runner.upgrade(by_run, location=project.ini)
    address = make_url(by_script).set(drivername="postgresql").render_as_string(hide_password=False)

    for span in (None, "heads:lib2, shop1", "lib2, shop1:heads"):
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(runner.sql(span, location=project.ini))

    assert tables(by_script) == tables(by_run)
    assert runner.status(by_script, location=project.ini).current == ("shop2", "lib3")


def test_an_ini_file_that_names_no_scripts_is_told(tmp_path: Path) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s/none\n", encoding="utf-8")

    with pytest.raises(errors.BrokenScripts, match=r"alembic\.ini"):
        History(ini)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Node, ...]:
    """One to three lines of revisions, each of which may depend on some that were written before it."""
    nodes: list[Node] = []
    last: dict[int, str] = {}
    for number in range(draw(st.integers(1, 9))):
        of = draw(st.integers(0, 2))
        others = [node.id for node in nodes if node.id[0] != "abc"[of]]
        depends = draw(st.lists(st.sampled_from(others), max_size=2, unique=True)) if others else []
        down = (last[of],) if of in last else ()
        # Where one is implied by the others, Alembic removes from its table what is not in it.
        depends = [one for one in depends if one not in _below(nodes, down, {*depends} - {one})]
        down = tuple(one for one in down if one not in _below(nodes, (), depends))
        if of in last and not down:
            continue
        name = f"{'abc'[of]}{number}"
        nodes.append(Node(name, down, tuple(depends)))
        last[of] = name
    return tuple(nodes)


def _below(nodes: list[Node], *revisions: Iterable[str]) -> frozenset[str]:
    return Graph(nodes).below(chain(*revisions))


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_plan_leads_where_alembic_says_that_it_leads(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """By any way through any history: what the version table would hold then is what we say that it holds."""
    root = tmp_path_factory.mktemp("graph")
    made = Project(root)
    for node in data.draw(graphs()):
        made.write(node.id[0], node.id, node.down or None, depends=node.depends or None)
    history = History(made.ini)
    directory = ScriptDirectory.from_config(Config(str(made.ini)))
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": io.StringIO()}
    )
    heads = HeadMaintainer(context, ())

    for _ in range(4):
        current = history.current(history.applied(heads.heads))
        upwards = data.draw(st.booleans())
        applied = history.applied(current)
        possible = sorted(history.everything if upwards else applied) + ([] if upwards else ["base"])
        if not possible:
            continue
        target = history.target(data.draw(st.sampled_from(possible)))
        plan = history.plan("upgrade" if upwards else "downgrade", current, target)
        for one in plan:
            step = MigrationStep.upgrade_from_script if upwards else MigrationStep.downgrade_from_script
            heads.update_to_step(step(directory.revision_map, directory.get_revision(one.id)))
            applied = applied | {one.id} if upwards else applied - {one.id}
            assert history.applied(applied) == applied, "a revision would stand on one that is not applied"
            assert set(history.current(applied)) == heads.heads
        if upwards:
            assert target.reached is not None
            assert target.reached <= applied
        else:
            assert not target.above & applied


def test_one_line_is_a_graph_like_any_other() -> None:
    graph = Graph(line(["one", "two", "three"]))

    assert (graph.heads, graph.bases, graph.split()) == (("three",), ("one",), ())
    assert graph.below(["two"]) == {"one", "two"}
    assert graph.above("one") == {"two", "three"}
    assert graph.tops(frozenset({"one", "two"})) == ("two",)


def test_the_scripts_of_this_package_are_one_line() -> None:
    history = History()

    assert history.has_one_branch
    assert Scripts(history.location).graph.order == history.graph.order
