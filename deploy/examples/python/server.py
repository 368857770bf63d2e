"""A server in Python that takes up its listening socket, with the standard library alone.

The protocol is systemd's socket activation (sd_listen_fds(3)): sockets from descriptor 3 on, their number in
LISTEN_FDS, and LISTEN_PID naming the process that they are for. gracer speaks it to every language, and so the same
program runs under a systemd .socket unit as well. With no socket handed down it listens on PORT.

In gracer.json: "command": ["python3", "server.py"], "socket": "inherit"
"""
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIRST_SOCKET = 3
RELEASE = os.environ.get("GRACER_RELEASE") or os.path.basename(os.path.dirname(os.path.realpath(__file__)))


def take_up_socket():
    """The socket that was handed to this very process, or None."""
    # Taken out of the environment: a program that we start must not believe that they are meant for it.
    pid = os.environ.pop("LISTEN_PID", "")
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    if pid != str(os.getpid()) or count < 1:
        return None
    os.set_inheritable(FIRST_SOCKET, False)
    return socket.socket(fileno=FIRST_SOCKET)


def say_ready():
    """Tells gracer that we serve. Without it gracer finds out by asking the health path."""
    descriptor = os.environ.pop("GRACER_NOTIFY_FD", None)
    if descriptor is not None:
        os.set_inheritable(int(descriptor), False)
        os.write(int(descriptor), b"READY=1\n")


class Handler(BaseHTTPRequestHandler):
    # With HTTP/1.0, the default, every request would need a connection of its own.
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; with Nagle's algorithm the second waits for the peer's delayed acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self):
        body = b"ok\n" if self.path == "/healthz" else f"hello from Python, release {RELEASE}\n".encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 511

    def __init__(self, inherited):
        if inherited is None:
            super().__init__(("", int(os.environ.get("PORT", "3000"))), Handler)
            return
        super().__init__(inherited.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = inherited
        # It may not be listening yet: gracer binds, the one that serves listens.
        self.socket.listen(self.request_queue_size)


server = Server(take_up_socket())
# shutdown() waits for the loop that the signal interrupts, so it must run beside it.
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print(f"python: release {RELEASE}, on port {server.socket.getsockname()[1]}", flush=True)
say_ready()
server.serve_forever(poll_interval=0.1)
