"""A server that knows PORT and nothing else, as most programs do: it cannot take up a socket."""
import os
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

HERE = os.path.dirname(os.path.realpath(sys.argv[0]))
try:
    with open(os.path.join(HERE, "release.txt"), encoding="utf8") as file:
        RELEASE = file.read().strip()
except FileNotFoundError:
    RELEASE = os.environ.get("GRACER_RELEASE") or os.path.basename(HERE)


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
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urlsplit(self.path)
        query = {key: int(values[0]) for key, values in parse_qs(url.query).items()}
        if url.path == "/bytes":
            self.answer(200, seeded_bytes(query.get("seed", 1), query.get("n", 1024)))
        elif url.path in ("/", "/healthz"):
            self.answer(200, f"release {RELEASE}\n".encode())
        else:
            self.answer(404, b"no such path\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/echo":
            self.answer(200, body)
        else:
            self.answer(404, b"no such path\n")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("x-release", RELEASE)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 511


server = Server(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Handler)
print(f"release {RELEASE}, pid {os.getpid()}, listening on port {server.server_port}", flush=True)
server.serve_forever()
