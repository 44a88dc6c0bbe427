"""An InfluxDB that is there already, for the tests that otherwise start one: ASHIBAR_TEST_INFLUX_URL.

With ASHIBAR_TEST_INFLUX_TOKEN and _ORG where it wants them. Each test gets a bucket or database of its own,
which is removed after it. Nothing else on that server is touched, and it is never stopped: `kill` cuts the
way to it.
"""

import contextlib
import http.client
import os
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ashibar.io.influx.organisation import org_id
from ashibar.io.influx.server import Server
from ashibar.io.influx.setup import _bucket_of, init

URL = os.environ.get("ASHIBAR_TEST_INFLUX_URL", "").rstrip("/")
TOKEN = os.environ.get("ASHIBAR_TEST_INFLUX_TOKEN", "")
ORG = os.environ.get("ASHIBAR_TEST_INFLUX_ORG", "-")
KEPT = ("content-type", "date", "x-influxdb-version", "x-influxdb-build", "retry-after")


class GivenInflux:
    """The same to a test as `servers.Influx`; what is written and asked goes through a way of its own."""

    def __init__(self, directory):
        self.directory, self._lines, self._lock = directory, 0, threading.Lock()
        self._server = Server(URL, TOKEN)
        self.kind = self._server.kind()
        self._made, self._open = [], set()
        self.database = self.another()
        list(init(self._server, ORG, self.database, None))
        self.port = 0
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def another(self):
        """Return a name for one more bucket or database, which is removed with the first."""
        self._made.append(f"ashibar-test-{time.time_ns()}")
        return self._made[-1]

    def need(self, generation):
        """Skip a test of what only one generation has."""
        if self.kind.generation != generation:
            pytest.skip(f"of {generation}.x; the server given is {self.kind}")

    def query(self, text):
        """Run InfluxQL; return the rows of the first series. Times are microseconds."""
        return self._server.influxql(self.database, text)

    def retain(self, seconds):
        """Let points stay so long."""
        if self.kind.generation == 3:
            pytest.skip("3 Core fixes the retention when a database is made")
        list(init(self._server, ORG, self.database, seconds))

    def asked(self):
        """Return how many points a 2xx answered, doubles included."""
        return self._lines

    def start(self):
        given = self

        class Way(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle(self):
                given._open.add(self.connection)
                with contextlib.suppress(OSError):  # cut
                    super().handle()
                given._open.discard(self.connection)

            def handle_any(self):
                given._pass(self)

            do_GET = do_POST = do_PATCH = handle_any  # noqa: N815 (http.server's names)

        self._way = ThreadingHTTPServer(("127.0.0.1", self.port), Way)
        self._way.daemon_threads = True
        self.port = self._way.server_address[1]
        self._thread = threading.Thread(target=self._way.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def kill(self):
        """Let nothing through any more until `start`."""
        if self._thread.is_alive():
            self._way.shutdown()
            self._thread.join()
            self._way.server_close()
            for each in list(self._open):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self.kill()
        for name in self._made:
            remove(self._server, self.kind.generation, name)

    def _pass(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        status, headers, content = self._ask(request, body)
        if 200 <= status < 300 and "/write" in request.path:
            with self._lock:
                self._lines += len(body.splitlines())
        request.send_response_only(status)
        for name, value in headers:
            request.send_header(name, value)
        if status != 204:
            request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _ask(self, request, body):
        """Ask the server with its own token, and the organisation given; those of the test are not its."""
        parts = urllib.parse.urlsplit(URL)
        path, _, query = request.path.partition("?")
        named = urllib.parse.parse_qsl(query, keep_blank_values=True)
        named = [(name, ORG if (name, value) == ("org", "-") else value) for name, value in named]
        query = urllib.parse.urlencode(named)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=30)
        keep = ("content-type", "content-encoding", "accept")
        headers = {name: value for name, value in request.headers.items() if name.lower() in keep}
        if TOKEN:
            headers["Authorization"] = f"{self._server.scheme} {TOKEN}"
        try:
            connection.request(request.command, f"{parts.path}{path}?{query}", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, [(k, v) for k, v in answer.getheaders() if k.lower() in KEPT], content
        except OSError as error:
            return 502, [], str(error).encode()
        finally:
            connection.close()


def remove(server, generation, name):
    """Remove a bucket or database, with what maps to it; nothing where it was never made."""
    if generation == 1:
        server.influxql("", f'DROP DATABASE "{name}"')
    elif generation == 3:
        server.call("DELETE", "/api/v3/configure/database", {"db": name})
    else:
        org = org_id(server, ORG, name)
        found = _bucket_of(server, org, name)
        if found is None:
            return
        mapped = server.call("GET", "/api/v2/dbrps", {"orgID": org, "bucketID": found["id"]}).json() or {}
        for each in mapped.get("content") or []:
            if not each.get("virtual"):
                server.call("DELETE", f"/api/v2/dbrps/{each['id']}", {"orgID": org})
        server.need("DELETE", f"/api/v2/buckets/{found['id']}")
