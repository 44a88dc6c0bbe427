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
    """2.x: organisations, buckets, mappings, as 2.8 answers. `virtual`: it maps buckets of its own accord.

    `new`: nobody has set it up. `narrow`: the token is one bucket's, and sees no organisation.
    """

    def __init__(self, *, virtual=False, new=False, narrow=False):
        self.buckets, self.mappings, self.virtual, self.new, self.narrow = [], [], virtual, new, narrow

    def __call__(self, method, path, query, body):
        if path == "/ping":
            return 204, {"X-Influxdb-Version": "v2.8.0", "X-Influxdb-Build": "OSS"}, b""
        if path == "/api/v2/setup":
            return reply(200, {"allowed": self.new})
        if self.new:
            return reply(401, {"code": "unauthorized", "message": "unauthorized access"})
        if path == "/api/v2/write":
            return self.write(query["org"])
        content = json.loads(body) if body else {}
        if path.startswith("/api/v2/buckets"):
            return self.bucket(method, path.rpartition("/")[2], query, content)
        asked = {"/api/v2/orgs": self.orgs, "/api/v2/dbrps": self.dbrps}.get(path)
        return asked(method, query, content) if asked else reply(404, {"code": "not found", "message": path})

    def write(self, org):
        if org in ("0a", "house"):
            return 204, {}, b""
        return reply(404, {"message": f'organization name "{org}" not found'})

    def orgs(self, _method, query, _content):
        if self.narrow:
            return reply(200, {"orgs": []})
        if query.get("org", "house") != "house":
            return reply(404, {"code": "not found"})
        return reply(200, {"orgs": [{"id": "0a", "name": "house"}]})

    def bucket(self, method, number, query, content):
        if method == "GET":
            found = [each for each in self.buckets if each["name"] == query["name"]]
            return reply(200, {"buckets": found}) if found else reply(404, {"code": "not found"})
        if not fits(content["retentionRules"]):
            return reply(422, {"message": TOO_LONG})
        if method == "POST":
            assert content.keys() == {"orgID", "name", "retentionRules"}
            self.buckets.append(content | {"id": f"b{len(self.buckets)}"})
            return reply(201, self.buckets[-1])
        found = next(each for each in self.buckets if each["id"] == number)
        found.update(content)
        return reply(200, found)

    def dbrps(self, method, query, content):
        if method == "POST":
            assert content.keys() == {"orgID", "bucketID", "database", "retention_policy", "default"}
            if not re.fullmatch(r"[\w.-]+", content["database"]):
                return reply(400, {"message": "database must contain at least one character"})
            self.mappings.append(content | {"id": "d0", "virtual": False})
            return reply(201, self.mappings[-1])
        assert query == {"orgID": "0a"}
        made = [self.makes(each) for each in self.buckets] if self.virtual else []
        return reply(200, {"content": [*self.mappings, *made]})

    def makes(self, bucket):
        """Return the mapping it makes by itself."""
        database, _, policy = bucket["name"].partition("/")
        return {"database": database, "retention_policy": policy or "autogen", "default": not policy,
                "virtual": True, "bucketID": bucket["id"], "id": bucket["id"]}  # fmt: skip


TOO_LONG = "shard-group duration must also be updated to be smaller than new retention duration"


def fits(rules):
    """Return whether each rule comes with shards that fit it; 2.8 has week-long ones where none are named."""
    shards = [(each["everySeconds"], each.get("shardGroupDurationSeconds", 604_800)) for each in rules]
    return all(shard_s > 0 and (not every_s or shard_s <= every_s) for every_s, shard_s in shards)


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
