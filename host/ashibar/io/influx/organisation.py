"""Which organisation of InfluxDB 2.x is meant where none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ashibar.io.influx.server import ServerError

if TYPE_CHECKING:
    from ashibar.io.influx.server import Server

ONLY_ONE: Final = "-"  # as `[influx] org`: the only one there is


def org_id(server: Server, org: str, bucket: str) -> str:
    """Return the id of an organisation, of ONLY_ONE that of the only one. Raises ServerError.

    A token of one bucket sees no organisation; it sees whose the bucket is.
    """
    answer = server.call("GET", "/api/v2/orgs", None if org == ONLY_ONE else {"org": org})
    if answer.status not in (200, 404):
        raise server.refused(answer, "GET /api/v2/orgs")
    orgs = _listed(answer.json(), "orgs")
    if len(orgs) == 1:
        return str(orgs[0]["id"])
    if not orgs and answer.status == 200:  # 404: there is none of that name
        buckets = _listed(server.call("GET", "/api/v2/buckets", {"name": bucket}).json(), "buckets")
        owners = {each["orgID"] for each in buckets if each.get("name") == bucket}
        if len(owners) == 1:
            return str(owners.pop())
    wanted = "one organisation" if org == ONLY_ONE else f"the organisation {org!r}"
    if orgs or answer.status == 404:
        names = ", ".join(each["name"] for each in orgs) or "none of that name"
        raise ServerError(f"expected {wanted}, came {names}; set [influx] org", 404)
    raise ServerError(
        f"expected {wanted}, and the token may see none; use one with more rights to make the bucket", 404
    )


def _listed(content: Any, key: str) -> list[dict[str, Any]]:
    return list(content.get(key) or []) if isinstance(content, dict) else []
