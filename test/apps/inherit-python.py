# Takes up a socket by the protocol with nothing but Python's standard library: any language can.
import http.server
import os
import socket


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
    raise SystemExit(f"no socket for pid {os.getpid()}: {os.environ.get('LISTEN_PID')}")
inherited = socket.socket(fileno=3)
server = http.server.ThreadingHTTPServer(inherited.getsockname(), Handler, bind_and_activate=False)
server.socket = inherited
server.server_activate()
os.write(int(os.environ["GRACER_NOTIFY_FD"]), b"STATUS=python is up\nREADY=1\n")
server.serve_forever()
