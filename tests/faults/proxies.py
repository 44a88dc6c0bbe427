"""Wires that can be cut: a TCP proxy (cut, delay, half-open), and an HTTP proxy before InfluxDB."""

import asyncio
import contextlib
import http.client
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class TcpProxy:
    """Passes bytes between a port of its own and `target`; `target` None or `refuse`: it hangs up at once."""

    def __init__(self, target):
        self.target, self.delay_s, self.stalled, self.refuse = target, 0.0, False, False
        self._writers = set()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(5)

    def _run(self, ready):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()
        for each in self._writers:
            each.transport.abort()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0.01))  # transports close in the turn after
        self._loop.close()

    async def _accept(self, reader, writer):
        if self.refuse:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pass(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                while self.stalled and not writer.transport.is_closing():  # noqa: ASYNC110 (set by another thread)
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    def cut(self):
        """Reset every connection through here."""
        self._loop.call_soon_threadsafe(lambda: [each.transport.abort() for each in self._writers])

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


class HttpFaults:
    """Passes writes on to `target` and counts the points that a 2xx answered; `mode` says what else to do.

    "pass"; ("answer", status); ("slow", seconds); "lost": passed on, but the answer never comes back;
    ("wrong", n): one line in n is wrong, always the same ones; the others are stored and the answer is 400,
    as the 1.x engine does it.
    """

    def __init__(self, target):
        self.mode = "pass"
        self.accepted = {}  # measurement -> lines a 2xx answered
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self):
                with contextlib.suppress(OSError):  # the daemon was killed
                    super().handle()

            def do_POST(self):
                outer.post(self, target)

            def do_GET(self):
                outer.post(self, target)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def post(self, request, target):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        mode = self.mode
        if mode != "pass" and mode[0] == "answer":
            self._answer(request, mode[1], b'{"code":"fault","message":"injected"}')
            return
        if mode != "pass" and mode[0] == "slow":
            self._stop.wait(mode[1])
        wrong = 0
        if mode != "pass" and mode[0] == "wrong" and "/write" in request.path:
            body, wrong = _without_wrong(body, mode[1])
        try:
            status, content = self._forward(request, target, body)
        except OSError:
            self._answer(request, 502, b"")
            return
        if 200 <= status < 300 and "/write" in request.path:
            self._count(body)
        if wrong and 200 <= status < 300:
            words = f'{{"error":"partial write: injected dropped={wrong}"}}'
            self._answer(request, 400, words.encode())
            return
        if mode == "lost":
            request.close_connection = True
            request.connection.close()
            return
        self._answer(request, status, content)

    @staticmethod
    def _forward(request, target, body):
        connection = http.client.HTTPConnection("127.0.0.1", target, timeout=20)
        try:
            anew = ("host", "content-length")  # the body may be shorter by then
            headers = {name: value for name, value in request.headers.items() if name.lower() not in anew}
            connection.request(request.command, request.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    @staticmethod
    def _answer(request, status, content):
        with contextlib.suppress(OSError):
            request.send_response(status)
            if status != 204:
                request.send_header("Content-Type", "application/json")
                request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            if status != 204:
                request.wfile.write(content)

    def _count(self, body):
        with self._lock:
            for line in body.splitlines():
                name = line.split(b",", 1)[0].split(b" ", 1)[0].decode()
                self.accepted[name] = self.accepted.get(name, 0) + 1

    def stop(self):
        self._stop.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(5)


def _without_wrong(body, one_in):
    """Return the lines of samples that are not chosen by their checksum, and how many were."""
    lines = body.splitlines(keepends=True)
    wrong = [each for each in lines if each.startswith(b"load") and zlib.crc32(each.strip()) % one_in == 0]
    return b"".join(each for each in lines if each not in wrong), len(wrong)
