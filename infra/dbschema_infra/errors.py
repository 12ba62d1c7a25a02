"""What can be wrong before anything is synthesised; each error names the thing, the place and the next step."""

from __future__ import annotations


class InfraError(Exception):
    """One line: what is wrong, and what to do.

    Args:
        what: the thing and the place, without a full stop.
        next_step: what to do about it, without a full stop.
    """

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(f"{what}. {next_step}.")
        self.what = what
        self.next_step = next_step


class BadSetting(InfraError):
    """A setting is unknown, cannot be read, or contradicts another one."""


class BadArchive(InfraError):
    """The archive of the function is missing, old, or none of ours."""


class BadRevisions(InfraError):
    """The revisions are not one line with one head, or cannot be read without running them."""


class BadCluster(InfraError):
    """A cluster from elsewhere came without something that the function needs to reach it."""


class UnknownFramework(InfraError):
    """This release of the CDK builds its provider framework in another way than the one that was read here."""

    def __init__(self, how: str) -> None:
        super().__init__(
            f"CDK's provider framework {how}, so that no time can be set for its machine",
            "Install the release of aws-cdk-lib that requirements/infra.txt pins",
        )
