"""A camera on the network that can be pulled out: motion JPEG over HTTP on loopback, at a steady rate, in a loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BOUNDARY = "frame"


class Webcam:
    """Serves ``pictures`` (JPEG) one after the other, ``fps`` a second, to whoever asks at ``address``.

    A viewer always gets the picture of the moment, as from a real camera: one that reads slowly misses some.
    """

    def __init__(self, pictures: Sequence[bytes], fps: float) -> None:
        self._pictures = pictures
        self._fps = fps
        self._plugged = threading.Event()
        self._plugged.set()
        self._running = threading.Event()
        self._running.set()
        webcam = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                webcam._show(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """Where the camera is watched."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve inside the ``with``."""
        self._thread.start()
        try:
            yield
        finally:
            self._plugged.clear()
            self._server.shutdown()
            self._server.server_close()

    def unplug(self) -> None:
        """End the stream and refuse every new viewer."""
        self._plugged.clear()

    def stall(self) -> None:
        """Keep the connections and send nothing."""
        self._running.clear()

    def mend(self) -> None:
        """Serve and send again."""
        self._running.set()
        self._plugged.set()

    def _show(self, viewer: BaseHTTPRequestHandler) -> None:
        if not self._plugged.is_set():
            viewer.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        viewer.send_response(HTTPStatus.OK)
        viewer.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        viewer.end_headers()
        try:
            self._stream(viewer)
        except OSError:
            viewer.close_connection = True  # the viewer has gone, which is its right

    def _stream(self, viewer: BaseHTTPRequestHandler) -> None:
        due = time.monotonic()
        while self._plugged.is_set():
            due = max(due + 1 / self._fps, time.monotonic())  # after a stall no burst of what was missed
            time.sleep(max(0.0, due - time.monotonic()))
            if not self._running.is_set():
                continue
            jpeg = self._pictures[int(due * self._fps) % len(self._pictures)]
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            viewer.wfile.write(head.encode() + jpeg + b"\r\n")
