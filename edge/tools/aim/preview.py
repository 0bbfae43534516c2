"""The picture itself, for whoever places the camera: on the loopback address only, and for a limited time.

It is the only way by which a picture leaves the process, and it is never written to disk. Only who knows the secret
part of the address is answered, so that neither other users of the board nor a web page in a browser there can look.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.compat import Self
from edge.errors import UnavailableError
from edge.tools.aim.look import Look

ADDRESS = "127.0.0.1"
QUALITY = 80
"""JPEG's, percent."""

_BOUNDARY = "evenkeel"


class Preview:
    """Serves the newest picture as MJPEG at ``url`` for ``limit_s`` seconds. Used as a context manager.

    Raises:
        UnavailableError: the port is taken.
    """

    def __init__(self, port: int, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end_t = clock() + limit_s
        self._changed = threading.Condition()
        self._jpeg = b""
        self._count = 0
        path = f"/{secrets.token_urlsafe(12)}"
        try:
            self._server = ThreadingHTTPServer((ADDRESS, port), _handler(self, path))
        except OSError as error:
            raise UnavailableError(f"preview: port {port} cannot be used: {error.strerror}; try --port") from None
        self.port = self._server.server_port
        self.url = f"http://{ADDRESS}:{self.port}{path}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="preview", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def left_s(self) -> float:
        """Seconds until it ends; 0 after that."""
        return max(0.0, self._end_t - self._clock())

    def show(self, luma: NDArray[np.uint8], look: Look) -> None:
        """Make ``luma`` (H, W), with seat region and face drawn in, the newest picture; after the limit, close."""
        if not self.left_s:
            self.close()
            return
        _, jpeg = cv2.imencode(".jpg", _marked(luma, look), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        with self._changed:
            self._jpeg, self._count = jpeg.tobytes(), self._count + 1
            self._changed.notify_all()

    def close(self) -> None:
        """End it now; may be called again."""
        self._end_t = min(self._end_t, self._clock())
        with self._changed:
            self._jpeg = b""
            self._changed.notify_all()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def next_after(self, count: int) -> tuple[int, bytes] | None:
        """The picture after number ``count``, waited for; None when the preview has ended."""
        with self._changed:
            while self.left_s:
                if self._count > count and self._jpeg:
                    return self._count, self._jpeg
                self._changed.wait(min(1.0, self.left_s))
        return None


def _handler(preview: Preview, path: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "evenkeel"
        sys_version = ""

        def do_GET(self) -> None:
            if not secrets.compare_digest(self.path.encode(), path.encode()):
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.close_connection = True
            count = 0
            while (newest := preview.next_after(count)) is not None:
                count, jpeg = newest
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                except OSError:  # the browser has gone
                    return

        def log_message(self, *_: object) -> None:
            """Nothing: requests would be drawn over the terminal's picture."""

    return Handler


def _marked(luma: NDArray[np.uint8], look: Look) -> NDArray[np.uint8]:
    """A copy with the seat region in grey and the face's box and points in white."""
    picture = luma.copy()
    left, top, right, bottom = (round(edge) for edge in look.seat)
    cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), 128, 1)
    if look.face is not None:
        x, y, w, h = (round(side) for side in look.face.box)
        cv2.rectangle(picture, (x, y), (x + w, y + h), 255, 1)
        for px, py in look.face.points:
            cv2.circle(picture, (round(float(px)), round(float(py))), 2, 255, -1)
    return picture
