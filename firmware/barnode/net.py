"""A TCP stream with bounded connecting, the same on the chip, the unix port and CPython. It knows no
protocol."""

import asyncio
import errno
import select
import socket
import sys

_IPPROTO_TCP = 6
_TCP_NODELAY = 1
_ON_MICROPYTHON = sys.implementation.name == "micropython"
RESOLVE_MS = 5000
CONNECT_MS = 5000
_looking: list = []  # holds one item while a look-up runs


class Stream:
    """Reads and writes bytes; `write` copies what the socket does not take at once, so a buffer may be
    reused."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer

    async def read(self, n):
        """Exactly n bytes; EOFError or OSError when the peer is gone."""
        return await self._reader.readexactly(n)

    def write(self, data, n):
        """Send data[0:n] in one piece."""
        if not _ON_MICROPYTHON:
            self._writer.write(bytes(memoryview(data)[:n]))
        elif n == len(data):
            self._writer.write(data)
        else:
            self._writer.write(memoryview(data)[:n])

    async def drain(self):
        await self._writer.drain()

    def close(self):
        """Give up the connection at once."""
        try:
            if _ON_MICROPYTHON:
                self._writer.s.close()
            else:
                self._writer.transport.abort()
        except OSError:
            pass


class _Closed(Stream):
    """The stream of whoever has none."""

    def __init__(self):
        pass

    async def read(self, n):  # noqa: ARG002 - as Stream has it
        raise OSError(errno.ENOTCONN)

    def write(self, data, n):  # noqa: ARG002 - as Stream has it
        raise OSError(errno.ENOTCONN)

    async def drain(self):
        raise OSError(errno.ENOTCONN)

    def close(self):
        pass


CLOSED = _Closed()


def tls_context(ca_file):
    """What checks the broker's certificate against the authority in `ca_file` (DER, or PEM where the port
    reads it)."""
    if _ON_MICROPYTHON:
        import tls
    else:
        import ssl as tls  # type: ignore[no-redef]
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]
    with open(ca_file, "rb") as file:
        data = file.read()
    if _ON_MICROPYTHON:
        context.load_verify_locations(data)
    else:
        context.load_verify_locations(cadata=data.decode() if data[:2] == b"--" else data)
    return context


async def connect(host, port, ca_file=None, resolve_ms=RESOLVE_MS, connect_ms=CONNECT_MS):
    """A Stream to host:port, the name looked up afresh; OSError within the two times when there is none.

    With `ca_file` it is TLS: the handshake takes place with the first bytes, in the time their reader
    allows."""
    context = tls_context(ca_file) if ca_file else None
    if not _ON_MICROPYTHON:
        pair: tuple = await asyncio.wait_for(
            asyncio.open_connection(host, port, ssl=context), connect_ms / 1000
        )
        return Stream(*pair)
    info = await _resolve(host, port, resolve_ms)
    sock = socket.socket(info[0], socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await _connect(sock, info[-1], connect_ms)
        try:  # noqa: SIM105 - no contextlib on the chip
            sock.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
        except OSError:
            pass  # a stack without it is slower, not wrong
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
            sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    stream = asyncio.StreamReader(sock)
    return Stream(stream, stream)


async def _connect(sock, address, timeout_ms):
    try:
        sock.connect(address)
    except OSError as error:
        if error.errno != errno.EINPROGRESS:
            raise
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    for _ in range(timeout_ms // 20):
        ready = poller.poll(0)
        if ready:
            if ready[0][1] & (select.POLLERR | select.POLLHUP):
                raise OSError(errno.ECONNREFUSED)
            return
        await asyncio.sleep_ms(20)
    raise OSError(errno.ETIMEDOUT)


async def _resolve(host, port, timeout_ms):
    """The library's look-up blocks, for seconds when the network is down: a thread of its own keeps sampling
    going."""
    if all(c in "0123456789." for c in host):
        return socket.getaddrinfo(host, port)[0]
    try:
        import _thread
    except ImportError:
        return socket.getaddrinfo(host, port)[0]
    if _looking:  # the library never came back: another thread would hang beside it
        raise OSError(errno.ETIMEDOUT)
    answer: list = []

    def look_up():
        try:
            answer.append(socket.getaddrinfo(host, port)[0])
        except Exception as error:
            answer.append(error)
        _looking.clear()

    _looking.append(True)
    try:
        _thread.start_new_thread(look_up, ())
    except OSError:
        _looking.clear()
        raise
    for _ in range(timeout_ms // 20):
        if answer:
            if isinstance(answer[0], Exception):
                raise answer[0]
            return answer[0]
        await asyncio.sleep_ms(20)
    raise OSError(errno.ETIMEDOUT)
