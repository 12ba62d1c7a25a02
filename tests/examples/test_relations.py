"""The example of relationships: a tree, two keys to one class and an association model, without a warning."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.examples.conftest import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

USE = """
import os
import sqlalchemy
from sqlalchemy.orm import Session, joinedload, selectinload
from tasks import Label, Task, TaskLabel, metadata
from dbschema import create_tenant
from dbschema.models import User
from dbschema.sessions import create_engine, tenant_session

engine = create_engine(os.environ["DATABASE_URL"])
metadata.create_all(engine)
with Session(engine) as session, session.begin():
    acme, other = (create_tenant(session, name.title(), name).id for name in ("acme", "other"))
with tenant_session(engine, acme) as session, session.begin():
    ann, ben = (User(username=name, email=f"{name}@example.com") for name in ("ann", "ben"))
    leaf = Task(title="Buy paint", creator=ann, assignee=ben)
    session.add(Task(title="Paint", creator=ann, subtasks=[Task(title="Prepare", creator=ben, subtasks=[leaf])]))
    leaf.labels.append(Label(label="shop"))
with tenant_session(engine, acme) as session, session.begin():
    labels = selectinload(Task.task_labels).joinedload(TaskLabel.label)
    loading = selectinload(Task.subtasks, recursion_depth=2), joinedload(Task.creator), joinedload(Task.assignee), labels
    tasks = session.scalars(sqlalchemy.select(Task).options(*loading)).all()
    (root,) = [task for task in tasks if task.parent_id is None]
    (leaf,) = root.subtasks[0].subtasks
    print(root.title, leaf.title, leaf.creator.username, leaf.assignee.username, leaf.labels[0].label)
    leaf.assignee = None
    session.flush()
    session.delete(root)
with tenant_session(engine, acme) as session:
    left = [session.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(each)) for each in (Task, TaskLabel, Label)]
with tenant_session(engine, other) as session:
    print(left, session.scalars(sqlalchemy.select(Label)).all())
engine.dispose()
"""


def run(program: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=EXAMPLES / "relations",
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_models_are_imported_and_configured_without_a_warning() -> None:
    shown = run(
        "import tasks, sqlalchemy.orm as orm; orm.configure_mappers(); print(len(tasks.metadata.tables))"
    )

    assert shown == "24\n"


def test_the_models_are_used_without_a_warning_and_keep_tenants_apart(
    new_database: Callable[..., str],
) -> None:
    shown = run(USE, DATABASE_URL=new_database(migrated=True))

    assert shown == "Paint Buy paint ann ben shop\n[0, 0, 1] []\n"
