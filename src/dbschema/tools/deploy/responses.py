"""What goes back, in the form that the caller reads, and never longer than it accepts.

CloudFormation refuses an answer of more than 4,096 bytes, and then waits for another one until the stack times out. What the
provider framework adds (ids, a stack trace of its own) counts too, so that an error's text gets 2,500 of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from dbschema.tools.deploy.limits import _CUT, _UNWRITABLE, LIMIT, TEXT_LIMIT, as_json, coded, cut, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbschema.tools.deploy.events import Resource
    from dbschema.tools.deploy.result import Result


MESSAGE: Final = "Database schema initialized successfully"

_DATA_LIMIT: Final = 400
_PHYSICAL_LIMIT: Final = 330
"""Room for the longest name of a host (253) and of a database (63)."""


def physical_id(host: str | None, database: str) -> str:
    """The id of the resource that a database is: the same for the same database, whatever happens to it."""
    whole = _UNWRITABLE.sub("?", f"dbschema:{host or 'local'}:{database}")
    if size(whole) - 2 <= _PHYSICAL_LIMIT:
        return whole
    import hashlib  # noqa: PLC0415  for names that are hardly ever so long

    digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return f"{cut(whole, _PHYSICAL_LIMIT - 20).removesuffix(_CUT)}:{digest}"


def data(outcome: Result) -> dict[str, str]:
    """The attributes of the custom resource, for Fn::GetAtt; always the same ones, each short."""
    return {
        "Outcome": outcome.kind,
        "Revision": cut(outcome.revision or "base", 100),
        "Applied": str(len(outcome.applied)),
        "Differences": str(len(outcome.findings)),
        "Message": cut(outcome.message, _DATA_LIMIT),
    }


def provider(identity: str, outcome: Result) -> dict[str, Any]:
    """For CDK's provider framework, which adds the ids; without Data where the work goes on."""
    if outcome.kind == "left":
        return {"PhysicalResourceId": identity}
    return {"PhysicalResourceId": identity, "Data": data(outcome)}


def completion(outcome: Result) -> dict[str, Any]:
    """For the provider framework that asks whether all is done; it takes no Data where that is not so."""
    if outcome.kind == "left":
        return {"IsComplete": False}
    return {"IsComplete": True, "Data": data(outcome)}


def success(resource: Resource, identity: str, outcome: Result | None) -> bytes:
    """For CloudFormation itself.

    Args:
        resource: what it is about.
        identity: the physical id.
        outcome: None where nothing was done.
    """
    body = {"Status": "SUCCESS", **_ids(resource, identity)}
    if outcome is not None:
        body["Data"] = data(outcome)
    return as_json(body).encode()


def failure(resource: Resource, identity: str, reason: str, code: str) -> bytes:
    """For CloudFormation itself; `reason` is cut to what is left beside the ids and the code of the error."""
    body = {"Status": "FAILED", **_ids(resource, identity), "Reason": coded("", code)}
    room = min(TEXT_LIMIT - len(coded("", code)), LIMIT - size(body))
    body["Reason"] = coded(cut(reason or "Unknown", room), code)
    return as_json(body).encode()


def plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """For whoever invokes the function: the status of HTTP, and the text of a JSON object.

    The longest lists of `body` are shortened until all fits; how many are missing is told in `<name>_omitted`.
    """
    kept = _bounded(body)
    while size(answer := {"statusCode": 200, "body": as_json(kept)}) > LIMIT:
        lists = [(size(value), name) for name, value in kept.items() if isinstance(value, list) and value]
        if not lists:
            return {
                "statusCode": 200,
                "body": as_json({name: kept[name] for name in ("message", "ok") if name in kept}),
            }
        name = max(lists)[1]
        shown: list[Any] = kept[name]
        kept[name] = shown[: len(shown) * 3 // 4]
        kept[f"{name}_omitted"] = kept.get(f"{name}_omitted", 0) + len(shown) - len(kept[name])
    return answer


def _bounded(value: object) -> Any:
    """`value` as JSON knows it, with short texts."""
    if isinstance(value, str):
        return cut(value, _DATA_LIMIT)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {cut(str(name), 100): _bounded(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_bounded(one) for one in value]
    return cut(str(value), _DATA_LIMIT)


def _ids(resource: Resource, identity: str) -> dict[str, Any]:
    return {
        "PhysicalResourceId": identity,
        "StackId": resource.stack_id,
        "RequestId": resource.request_id,
        "LogicalResourceId": resource.logical_id,
    }


def listed(ids: Sequence[str]) -> str:
    """Ids for a sentence."""
    return ", ".join(ids) or "none"
