"""Tasks of users: a tree, two foreign keys to the same class, and an association model; see docs/own-tables.md."""

from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import Mapped, mapped_column

from dbschema import Base, TenantScoped, Timestamped, foreign_key
from dbschema.models import User
from dbschema.orm.relations import belongs_to, owns

metadata = Base.metadata


class Task(TenantScoped, Timestamped, Base):
    """Work to do, divided into subtasks."""

    __tablename__ = "tasks"
    __table_args__ = (
        foreign_key("created_by", "users"),
        foreign_key("assigned_to", "users"),
        foreign_key("parent_id", "tasks", cascade=True),
        Index("idx_tasks_created_by", "tenant_id", "created_by"),
        Index("idx_tasks_assigned_to", "tenant_id", "assigned_to"),
        Index("idx_tasks_parent", "tenant_id", "parent_id"),
        {"comment": "Work to do, divided into subtasks"},
    )

    title: Mapped[str] = mapped_column(comment="What is to be done")
    created_by: Mapped[UUID] = mapped_column(comment="The user who wrote it down")
    assigned_to: Mapped[UUID | None] = mapped_column(comment="The user who works on it")
    parent_id: Mapped[UUID | None] = mapped_column(comment="The task that it is a part of")

    creator: Mapped[User] = belongs_to("Task", "created_by", "User")
    assignee: Mapped[User | None] = belongs_to("Task", "assigned_to", "User", optional=True)
    parent: Mapped["Task | None"] = belongs_to(
        "Task", "parent_id", "Task", back_populates="subtasks", optional=True
    )
    subtasks: Mapped[list["Task"]] = owns(
        "Task", "Task", "parent_id", back_populates="parent", order_by="Task.title"
    )
    task_labels: Mapped[list["TaskLabel"]] = owns("Task", "TaskLabel", "task_id", back_populates="task")
    labels: AssociationProxy[list["Label"]] = association_proxy(
        "task_labels", "label", creator=lambda label: TaskLabel(label=label)
    )


class Label(TenantScoped, Timestamped, Base):
    """A word to find tasks by."""

    __tablename__ = "labels"
    __table_args__ = (
        UniqueConstraint("tenant_id", "label"),
        {"comment": "Words to find tasks by"},
    )

    label: Mapped[str] = mapped_column(comment="The word, unique within the tenant")

    task_labels: Mapped[list["TaskLabel"]] = owns("Label", "TaskLabel", "label_id", back_populates="label")
    tasks: AssociationProxy[list["Task"]] = association_proxy(
        "task_labels", "task", creator=lambda task: TaskLabel(task=task)
    )


class TaskLabel(TenantScoped, Timestamped, Base):
    """A label of a task: many to many."""

    __tablename__ = "task_labels"
    __table_args__ = (
        foreign_key("task_id", "tasks", cascade=True),
        foreign_key("label_id", "labels", cascade=True),
        UniqueConstraint("tenant_id", "task_id", "label_id"),
        Index("idx_task_labels_label", "tenant_id", "label_id"),
        {"comment": "Labels of tasks"},
    )

    task_id: Mapped[UUID] = mapped_column(comment="The task")
    label_id: Mapped[UUID] = mapped_column(comment="Its label")

    task: Mapped[Task] = belongs_to("TaskLabel", "task_id", "Task", back_populates="task_labels")
    label: Mapped[Label] = belongs_to("TaskLabel", "label_id", "Label", back_populates="task_labels")
