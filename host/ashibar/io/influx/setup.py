"""Makes the bucket or database in InfluxDB 1.8, 2.x or 3 Core, with the calls of each. Can be repeated.

What is there is kept; only a retention that was asked for is changed. Every step says what it did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ashibar.io.influx.organisation import org_id
from ashibar.io.influx.server import Kind, Server, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICY: Final = "autogen"
FOREVER: Final = "for ever"


def init(server: Server, org: str, bucket: str, retention_s: int | None) -> Iterator[str]:
    """Yield what was found and done, step by step; `retention_s` 0 is for ever, None leaves it alone.

    Raises ServerError, with what to do; what was done until then stays.
    """
    kind = server.kind()
    yield f"found {kind}"
    steps = {1: _database, 2: _bucket, 3: _core}[kind.generation]
    yield from steps(server, kind, org, bucket, retention_s)


def _database(server: Server, kind: Kind, _org: str, bucket: str, retention_s: int | None) -> Iterator[str]:
    name, _, policy = bucket.partition("/")
    if any(row["name"] == name for row in server.influxql("", "SHOW DATABASES")):
        yield f"database {name}: is there"
    else:
        server.influxql("", f"CREATE DATABASE {_quoted(name)}")
        yield f"database {name}: made"
    policies = server.influxql("", f"SHOW RETENTION POLICIES ON {_quoted(name)}")
    chosen = policy or next((row["name"] for row in policies if row["default"]), POLICY)
    there = next((row for row in policies if row["name"] == chosen), None)
    if there is None:
        text = f"CREATE RETENTION POLICY {_quoted(chosen)} ON {_quoted(name)}"
        server.influxql("", f"{text} {_duration(retention_s)} REPLICATION 1 {_shards(retention_s)}")
        yield f"retention policy {chosen}: made, points stay {_said(retention_s or 0)}"
    elif retention_s is None or _seconds(there["duration"]) == retention_s:
        yield f"retention policy {chosen}: is there, points stay {_said(_seconds(there['duration']))}"
    else:
        text = f"ALTER RETENTION POLICY {_quoted(chosen)} ON {_quoted(name)}"
        server.influxql("", f"{text} {_duration(retention_s)} {_shards(retention_s)}")
        yield f"retention policy {chosen}: changed, points stay {_said(retention_s)}"
    if tuple(int(part) for part in kind.version.split(".")[:2]) < (1, 8):
        yield "this version has no /api/v2/write: put a proxy in front that maps it (docs/influxdb.md)"
    yield "InfluxQL needs no mapping: the database has the bucket's name"


def _bucket(server: Server, _kind: Kind, org: str, bucket: str, retention_s: int | None) -> Iterator[str]:
    number = org_id(server, org, bucket)
    found = _bucket_of(server, number, bucket)
    rules = [] if retention_s is None else [_rule(retention_s)]
    if found is None:
        content = {"orgID": number, "name": bucket, "retentionRules": rules}
        found = server.need("POST", "/api/v2/buckets", None, content).json()
        yield f"bucket {bucket}: made, points stay {_said(retention_s or 0)}"
    else:
        now_s = sum(rule.get("everySeconds", 0) for rule in found.get("retentionRules") or [])
        if retention_s is None or now_s == retention_s:
            yield f"bucket {bucket}: is there, points stay {_said(now_s)}"
        else:
            server.need("PATCH", f"/api/v2/buckets/{found['id']}", None, {"retentionRules": rules})
            yield f"bucket {bucket}: is there, changed: points stay {_said(retention_s)}"
    yield _mapping(server, number, bucket, found["id"])


def _bucket_of(server: Server, org_id: str, bucket: str) -> dict[str, Any] | None:
    answer = server.call("GET", "/api/v2/buckets", {"name": bucket, "orgID": org_id})
    if answer.status not in (200, 404):
        raise server.refused(answer, "GET /api/v2/buckets")
    buckets: list[dict[str, Any]] = (answer.json() or {}).get("buckets") or []
    return next((each for each in buckets if each["name"] == bucket), None)


def _rule(retention_s: int) -> dict[str, Any]:
    """Return a retention rule with its shards: 2.x keeps those it had, too long for it or far too many."""
    shard_s = _shard_s(retention_s)
    return {"type": "expire", "everySeconds": retention_s, "shardGroupDurationSeconds": shard_s}


def _mapping(server: Server, org_id: str, bucket: str, bucket_id: str) -> str:
    """Map database and retention policy of InfluxQL to the bucket. Raises ServerError where they are taken.

    A bucket `a/b` is policy `b` of database `a`, as InfluxDB maps it by itself.
    """
    database, _, policy = bucket.partition("/")
    answer = server.need("GET", "/api/v2/dbrps", {"orgID": org_id}).json() or {}
    meant = [
        each
        for each in answer.get("content") or []
        if each["database"] == database
        and (each["retention_policy"] == policy if policy else each.get("default", True))
    ]
    made = [each for each in meant if not each.get("virtual")]  # goes before what InfluxDB makes by itself
    for each in made or [each for each in meant if each["bucketID"] == bucket_id]:
        where = f"database {database}, policy {each['retention_policy']}"
        if each["bucketID"] != bucket_id:
            raise ServerError(
                f"mapping for InfluxQL: expected {where} to be bucket {bucket}, came the bucket with the id"
                f" {each['bucketID']}; delete that mapping (`influx v1 dbrp delete --id {each.get('id')}`),"
                " or use another bucket"
            )
        how = "InfluxDB makes it by itself" if each.get("virtual") else "is there"
        return f"mapping for InfluxQL: {how}: {where}"
    content = {
        "orgID": org_id, "bucketID": bucket_id, "database": database, "retention_policy": policy or POLICY,
        "default": not policy,
    }  # fmt: skip
    server.need("POST", "/api/v2/dbrps", None, content)
    return f"mapping for InfluxQL: made: database {database}, policy {policy or POLICY}"


def _core(server: Server, _kind: Kind, _org: str, bucket: str, retention_s: int | None) -> Iterator[str]:
    listed = server.need("GET", "/api/v3/configure/database", {"format": "json"}).json() or []
    names = [next(iter(each.values())) if isinstance(each, dict) else each for each in listed]
    if bucket in names:
        yield f"database {bucket}: is there"
        if retention_s is not None:
            yield "retention: not changed, for InfluxDB 3 Core fixes it when a database is made"
    else:
        content = {"db": bucket} | ({"retention_period": f"{retention_s}s"} if retention_s else {})
        server.need("POST", "/api/v3/configure/database", None, content)
        yield f"database {bucket}: made, points stay {_said(retention_s or 0)}"
    yield "InfluxQL needs no mapping: the database has the bucket's name"


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _duration(retention_s: int | None) -> str:
    return f"DURATION {retention_s}s" if retention_s else "DURATION INF"


def _shards(retention_s: int | None) -> str:
    return f"SHARD DURATION {_shard_s(retention_s)}s"


def _shard_s(retention_s: int | None) -> int:
    """Return the piece of time that is deleted at once: the documentation's choice, which is not renewed."""
    days = (retention_s or 10**9) / 86_400
    return 3600 if days < 2 else 86_400 if days < 180 else 604_800


def _seconds(text: str) -> int:
    """Return the seconds of a duration as InfluxDB 1.x writes it, `8760h0m0s`; 0 is for ever."""
    total, number = 0, ""
    for each in text:
        if each.isdigit():
            number += each
        else:
            total += int(number or 0) * {"h": 3600, "m": 60, "s": 1}.get(each, 0)
            number = ""
    return total


def _said(retention_s: int) -> str:
    return f"{retention_s / 86400:g} days" if retention_s else FOREVER
