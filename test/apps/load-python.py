"""The contract of test/load in Python, standard library alone.

It takes up the listening socket by systemd's protocol (sd_listen_fds(3)), which is what gracer speaks to every
language, and says READY on the notify descriptor. With no socket handed down it listens on PORT.
"""
import hashlib
import os
import signal
import socket
import struct
import sys
import threading
import time
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

HERE = os.path.dirname(os.path.realpath(sys.argv[0]))
FIRST_SOCKET = 3


def release_name():
    try:
        with open(os.path.join(HERE, "release.txt"), encoding="utf8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return os.environ.get("GRACER_RELEASE") or os.path.basename(HERE)


RELEASE = release_name()


@lru_cache(maxsize=256)
def seeded_bytes(seed, length):
    """xorshift32, little-endian words: the same bytes as in test/load/bytes.ts."""
    x = ((seed ^ 0x5BF03635) * 0x9E3779B1) & 0xFFFFFFFF or 1
    words = []
    for _ in range((length + 3) // 4):
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        words.append(x)
    return struct.pack(f"<{len(words)}I", *words)[:length]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: with Nagle the second would wait for the peer's delayed acknowledgement.
    disable_nagle_algorithm = True
    counted = False

    def handle_one_request(self):
        try:
            super().handle_one_request()
        finally:
            self.finish_request()

    def parse_request(self):
        with self.server.change:
            self.server.busy += 1
            self.counted = True
        return super().parse_request()

    def finish_request(self):
        with self.server.change:
            if self.counted:
                self.server.busy -= 1
                self.counted = False
                self.server.change.notify_all()

    def do_GET(self):
        url = urlsplit(self.path)
        query = {key: int(values[0]) for key, values in parse_qs(url.query).items()}
        if url.path in ("/", "/healthz"):
            self.answer(200, b"ok\n" if url.path == "/healthz" else f"release {RELEASE}\n".encode())
        elif url.path == "/bytes":
            self.answer(200, seeded_bytes(query.get("seed", 1), query.get("n", 1024)))
        elif url.path == "/slow":
            time.sleep(query.get("ms", 1000) / 1000)
            self.answer(200, f"waited {query.get('ms', 1000)} ms\n".encode())
        else:
            self.answer(404, b"no such path\n")

    def do_POST(self):
        body = self.read_body()
        if self.path == "/echo":
            self.answer(200, body)
        elif self.path == "/digest":
            self.answer(200, f"{hashlib.sha256(body).hexdigest()} {len(body)}\n".encode())
        else:
            self.answer(404, b"no such path\n")

    def read_body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("x-release", RELEASE)
        self.send_header("content-length", str(len(body)))
        if self.server.leaving:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 511
    leaving = False

    def __init__(self, inherited):
        self.busy = 0
        self.change = threading.Condition()
        port = int(os.environ.get("PORT", "3000"))
        if inherited is None:
            super().__init__((os.environ.get("HOST", "127.0.0.1"), port), Handler)
            return
        super().__init__(inherited.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = inherited
        self.socket.listen(self.request_queue_size)

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


def take_up_socket():
    """The first socket that was handed to this very process, or None. The variables are not for our children."""
    pid = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "0")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or int(count) < 1:
        return None
    os.set_inheritable(FIRST_SOCKET, False)
    return socket.socket(fileno=FIRST_SOCKET)


def say(line):
    descriptor = os.environ.get("GRACER_NOTIFY_FD")
    if descriptor is not None:
        os.write(int(descriptor), f"{line}\n".encode())


def main():
    inherited = take_up_socket()
    server = Server(inherited)

    def leave(*_):
        server.leaving = True
        # shutdown() waits for the loop that this very thread runs, so it needs a thread of its own.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, leave)
    print(f"release {RELEASE}, pid {os.getpid()}, "
          f"{'took up' if inherited else 'listening on'} port {server.socket.getsockname()[1]}", flush=True)
    say("READY=1")
    server.serve_forever(poll_interval=0.05)
    # What is in flight is answered; connections that only idle do not hold us.
    with server.change:
        server.change.wait_for(lambda: server.busy == 0, timeout=10)


main()
