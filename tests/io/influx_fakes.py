"""InfluxDB 2.x and 3 Core as far as setting up goes, after their documentation: the real ones are not here.

With ASHIBAR_TEST_INFLUX_URL (and _TOKEN, _ORG) the tests that can do so use a real server instead.
"""

import json
import re

TOKEN = "right-t0ken"


def reply(status, content=None, **headers):
    body = b"" if content is None else json.dumps(content).encode()
    return status, {"Content-Type": "application/json", **headers}, body


class Two:
    """2.x: organisations, buckets, mappings. `virtual`: it maps buckets of its own accord, as newer ones."""

    def __init__(self, *, virtual=False):
        self.buckets, self.mappings, self.virtual = [], [], virtual

    def __call__(self, method, path, query, body):  # noqa: PLR0911
        content = json.loads(body) if body else {}
        if path == "/ping":
            return 204, {"X-Influxdb-Version": "v2.7.6", "X-Influxdb-Build": "OSS"}, b""
        if path == "/api/v2/orgs":
            found = [] if query.get("org", "house") != "house" else [{"id": "0a", "name": "house"}]
            return reply(200, {"orgs": found}) if found else reply(404, {"code": "not found"})
        if (method, path) == ("GET", "/api/v2/buckets"):
            found = [each for each in self.buckets if each["name"] == query["name"]]
            return reply(200, {"buckets": found}) if found else reply(404, {"code": "not found"})
        if (method, path) == ("POST", "/api/v2/buckets"):
            assert content.keys() == {"orgID", "name", "retentionRules"}
            self.buckets.append(content | {"id": f"b{len(self.buckets)}"})
            return reply(201, self.buckets[-1])
        if method == "PATCH" and path.startswith("/api/v2/buckets/"):
            bucket = next(each for each in self.buckets if each["id"] == path.rsplit("/", 1)[1])
            bucket.update(content)
            return reply(200, bucket)
        if path == "/api/v2/dbrps":
            return self.dbrps(method, query, content)
        return reply(404, {"code": "not found", "message": path})

    def dbrps(self, method, query, content):
        if method == "POST":
            assert content.keys() == {"orgID", "bucketID", "database", "retention_policy", "default"}
            self.mappings.append(content)
            return reply(201, content | {"id": "d0", "virtual": False})
        found = [each for each in self.mappings if each["bucketID"] == query["bucketID"]]
        if self.virtual and not found:
            name = next(each["name"] for each in self.buckets if each["id"] == query["bucketID"])
            found = [{"database": name, "retention_policy": "autogen", "default": True, "virtual": True}]
        return reply(200, {"content": found})


class Three:
    """3 Core: databases. Its /ping gives JSON."""

    def __init__(self):
        self.databases = {}

    def __call__(self, method, path, query, body):
        if path == "/ping":
            return reply(200, {"version": "3.2.1", "revision": "f1e2"}, **{"X-Influxdb-Build": "Core"})
        if (method, path) == ("GET", "/api/v3/configure/database"):
            assert query == {"format": "json"}
            return reply(200, [{"iox::database": name} for name in self.databases])
        if (method, path) == ("POST", "/api/v3/configure/database"):
            content = json.loads(body)
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", content["db"]):
                return reply(400, {"error": "invalid name"})
            self.databases[content["db"]] = content.get("retention_period")
            return 200, {}, b""
        return reply(404, {"error": path})
