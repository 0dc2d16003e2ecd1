"""A hub on loopback that misbehaves on request."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hub:
    """What the server holds and how it behaves. `requests` are the (path, Range header) it has seen.

    `drops` connections are closed after `drop_after` bytes of their body. `redirects` sends /resolve/ to /cdn/ first,
    which is where X-Linked-ETag comes from.
    """

    content: bytes
    etag: str = '"v1"'
    ranges: bool = True
    linked: bool = True
    redirects: bool = True
    drops: int = 0
    drop_after: int = 100_000
    status: int = 0
    delay_s: float = 0.0
    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def ranges_asked(self) -> list[str]:
        return [asked for path, asked in self.requests if not self.redirects or "/cdn/" in path]


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:  # noqa: C901
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:  # noqa: C901
            hub.requests.append((self.path, self.headers.get("Range", "")))
            self.close_connection = True
            if hub.status:
                self.send_response(hub.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if hub.redirects and "/resolve/" in self.path:
                self.send_response(302)
                self._linked()
                self.send_header("Location", self.path.replace("/resolve/", "/cdn/"))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = self._start()
            if start > len(hub.content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if not hub.redirects:
                self._linked()
            if hub.etag:
                self.send_header("ETag", hub.etag)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(hub.content) - 1}/{len(hub.content)}")
            self.send_header("Content-Length", str(len(hub.content) - start))
            self.end_headers()
            body, dropped = hub.content[start:], hub.drops > 0
            if dropped:
                hub.drops -= 1
                body = body[: hub.drop_after]
            for at in range(0, len(body), 16_384):
                try:
                    self.wfile.write(body[at : at + 16_384])
                except OSError:
                    return
                if hub.delay_s:
                    time.sleep(hub.delay_s)

        def _linked(self) -> None:
            if hub.linked:
                self.send_header("X-Linked-ETag", f'"{hub.sha256}"')
                self.send_header("X-Linked-Size", str(len(hub.content)))

        def _start(self) -> int:
            asked = self.headers.get("Range", "")
            current = self.headers.get("If-Range", hub.etag) == hub.etag
            return (
                int(asked.removeprefix("bytes=").removesuffix("-")) if asked and hub.ranges and current else 0
            )

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
