"""Format responses for each caller, within the size that it accepts.

CloudFormation rejects a response of more than 4,096 bytes, and then waits until the stack times out. The provider framework
adds ids and its own stack trace, which count too; so an error text gets at most 2,500 bytes.
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
"""Bytes for the longest name of a host (253) and of a database (63)."""


def physical_id(host: str | None, database: str) -> str:
    """Return the physical id of a database as a resource: it depends on host and database only."""
    full_id = _UNWRITABLE.sub("?", f"dbschema:{host or 'local'}:{database}")
    if size(full_id) - 2 <= _PHYSICAL_LIMIT:
        return full_id
    import hashlib  # noqa: PLC0415  long names are rare

    digest = hashlib.sha256(full_id.encode()).hexdigest()[:16]
    return f"{cut(full_id, _PHYSICAL_LIMIT - 20).removesuffix(_CUT)}:{digest}"


def data(result: Result) -> dict[str, str]:
    """Return the attributes of the custom resource for Fn::GetAtt: always the same keys, with short values."""
    return {
        "Outcome": result.kind,
        "Revision": cut(result.revision or "base", 100),
        "Applied": str(len(result.applied)),
        "Differences": str(len(result.findings)),
        "Message": cut(result.message, _DATA_LIMIT),
    }


def provider(identity: str, result: Result) -> dict[str, Any]:
    """Format the response to CDK's provider framework, which adds the ids; without Data if revisions are left."""
    if result.kind == "left":
        return {"PhysicalResourceId": identity}
    return {"PhysicalResourceId": identity, "Data": data(result)}


def completion(result: Result) -> dict[str, Any]:
    """Format the response to the framework's question for completion; it accepts Data only with IsComplete true."""
    if result.kind == "left":
        return {"IsComplete": False}
    return {"IsComplete": True, "Data": data(result)}


def success(resource: Resource, identity: str, result: Result | None) -> bytes:
    """Format a success for CloudFormation itself.

    Args:
        resource: the custom resource of the event.
        identity: the physical id.
        result: the result of the call; None: a response without Data, for a deletion.
    """
    body = {"Status": "SUCCESS", **_ids(resource, identity)}
    if result is not None:
        body["Data"] = data(result)
    return as_json(body).encode()


def failure(resource: Resource, identity: str, reason: str, code: str) -> bytes:
    """Format a failure for CloudFormation itself; cut `reason` to the bytes that the ids and the code leave."""
    body = {"Status": "FAILED", **_ids(resource, identity), "Reason": coded("", code)}
    room = min(TEXT_LIMIT - len(coded("", code)), LIMIT - size(body))
    body["Reason"] = coded(cut(reason or "Unknown", room), code)
    return as_json(body).encode()


def plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """Format the response to a plain invocation: an HTTP status, and a JSON object as text.

    The longest lists of `body` are shortened until the response fits; `<name>_omitted` counts the omitted items.
    """
    kept = _bounded(body)
    while size(response := {"statusCode": 200, "body": as_json(kept)}) > LIMIT:
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
    return response


def _bounded(value: object) -> Any:
    """Convert `value` to the types of JSON, with short texts."""
    if isinstance(value, str):
        return cut(value, _DATA_LIMIT)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {cut(str(name), 100): _bounded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_bounded(item) for item in value]
    return cut(str(value), _DATA_LIMIT)


def _ids(resource: Resource, identity: str) -> dict[str, Any]:
    return {
        "PhysicalResourceId": identity,
        "StackId": resource.stack_id,
        "RequestId": resource.request_id,
        "LogicalResourceId": resource.logical_id,
    }


def listed(ids: Sequence[str]) -> str:
    """Join ids for a sentence."""
    return ", ".join(ids) or "none"
