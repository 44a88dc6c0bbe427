"""An HTTP server between a client and InfluxDB that answers by itself where a test wants it to."""

import gzip
import http.client
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEPT = ("content-type", "date", "x-influxdb-version", "x-influxdb-build", "retry-after")


class Between:
    """Passes requests on to `upstream` ('' for none) unless `answer(method, path, query, body)` gives one.

    An answer is (status, headers, body). `seen` has every request: method, path, query, headers, body.
    """

    def __init__(self, upstream="", answer=lambda *_: None):
        self.answer, self.seen, self.slow_s = answer, [], 0.0
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                path, _, query = self.path.partition("?")
                query = dict(urllib.parse.parse_qsl(query))
                between.seen.append((self.command, path, query, dict(self.headers), body))
                time.sleep(between.slow_s)
                said = between.answer(self.command, path, query, body)
                if said is None:
                    said = self.passed_on(upstream, body)
                self.give(*said)

            def passed_on(self, upstream, body):
                host = urllib.parse.urlsplit(upstream).netloc
                connection = http.client.HTTPConnection(host, timeout=30)
                try:
                    connection.request(self.command, self.path, body, {"Content-Type": "text/plain"})
                    answer = connection.getresponse()
                    headers = {k: v for k, v in answer.getheaders() if k.lower() in KEPT}
                    return answer.status, headers, answer.read()
                except OSError as error:
                    return 502, {}, str(error).encode()
                finally:
                    connection.close()

            def give(self, status, headers, body):
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = handle_any  # noqa: N815 (http.server's names)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def writes(self):
        """The bodies of all writes."""
        return [body for _, path, _, _, body in self.seen if path == "/api/v2/write"]

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
