"""A web server on loopback that misbehaves on order, and an archive laid out like the One Billion
Word benchmark's."""

import contextlib
import io
import random
import re
import tarfile
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lddm_lite.text import one_billion_words

TOP = "1-billion-word-language-modeling-benchmark-r13output"
TRAIN, HELD = "training-monolingual.tokenized.shuffled", "heldout-monolingual.tokenized.shuffled"


def sentence(i: int, split="train") -> str:
    """A sentence of our own; its numbers make it unique and hard to compress."""
    r = random.Random(f"{split} {i}")
    words = " ".join(str(r.randrange(10**6)) for _ in range(6))
    return f"Rain no. {i} of {split} fell on {words} ."


def archive(shards=4, per_shard=500, held_first=False, extra=()) -> bytes:
    """A tar.gz: `shards` training members of `per_shard` sentences, two held-out ones of 50, and
    the held-out folder's second copy of them. `extra`: (name, bytes) of further members, put first.
    """
    out = io.BytesIO()

    def text(split, ids):
        return "".join(sentence(i, split) + "\n" for i in ids).encode()

    train = [
        (f"{TOP}/{TRAIN}/news.en-{k + 1:05d}-of-00100", text("train", range(k * per_shard, (k + 1) * per_shard)))
        for k in range(shards)
    ]
    held = [(f"{TOP}/{HELD}/news.en-00000-of-00100", text("heldout", range(100)))]
    held += [
        (f"{TOP}/{HELD}/news.en.heldout-{k:05d}-of-00050", text("heldout", range(k * 50, k * 50 + 50)))
        for k in range(2)
    ]
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.GNU_FORMAT, compresslevel=1) as tar:
        for folder in (TOP, f"{TOP}/{TRAIN}"):
            about = tarfile.TarInfo(folder)
            about.type = tarfile.DIRTYPE
            tar.addfile(about)
        for name, data in [*extra, *(held + train if held_first else train + held)]:
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return out.getvalue()


class Server(ThreadingHTTPServer):
    """Serves `body` at `url`. `plan`: what to do with the next requests, one word each; then all
    goes well.

    'NNN': that status. 'cut K': the connection ends after K bytes. 'stall K': it falls silent
    there. 'flip K': byte K is another one. 'elsewhere': a range that was not asked for. Attributes:
    `sent`, bytes of bodies in all; `requests`, the Range header (or None) of each.
    """

    daemon_threads = True

    def __init__(self, body: bytes):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body, self.plan, self.sent, self.requests = body, [], 0, []
        self.ranges, self.lengths, self.etag, self.go_on = True, True, '"one"', threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/lm.tar.gz"

    def handle_error(self, request, client_address):
        """Clients that hang up are part of the game."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *args):
        """Quiet."""

    def do_GET(self):
        s = self.server
        asked = self.headers.get("Range")
        s.requests.append(asked)
        what, _, at = (s.plan.pop(0) if s.plan else "").partition(" ")
        if what.isdigit():
            return self.send_error(int(what))
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and s.ranges else 0
        if start and self.headers.get("If-Range", s.etag) != s.etag:
            start = 0
        if start >= len(s.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(s.body)}")
            return self.end_headers()
        body, first = s.body[start:], start + 1 if what == "elsewhere" else start
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {first}-{len(s.body) - 1}/{len(s.body)}")
        if s.lengths:
            self.send_header("Content-Length", str(len(body)))
        if s.etag:
            self.send_header("ETag", s.etag)
        self.end_headers()
        if what == "flip":
            k = int(at) - start
            body = body[:k] + bytes([body[k] ^ 0x55]) + body[k + 1 :]
        stop = int(at) if what in ("cut", "stall") else len(body)
        for i in range(0, stop, 1 << 14):
            part = body[i : min(stop, i + (1 << 14))]
            # first, since a reader that has it all may look before this thread runs again
            s.sent += len(part)
            self.wfile.write(part)
        if what == "stall":
            self.wfile.flush()
            s.go_on.wait(20)


def hurry(monkeypatch, chunk: int = 4_000) -> None:
    """Pauses, patience and pieces of the download, small; and a cache that LDDM_LM1B does not
    bypass."""
    monkeypatch.setattr(one_billion_words, "WAIT", 0.001)
    monkeypatch.setattr(one_billion_words, "TIMEOUT", 0.3)
    monkeypatch.setattr(one_billion_words, "CHUNK", chunk)
    monkeypatch.delenv("LDDM_LM1B", raising=False)


@contextlib.contextmanager
def serving(body: bytes):
    """A `Server`, running."""
    server = Server(body)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.shutdown()
        server.server_close()


def crc(data: bytes) -> int:
    """CRC-32, to compare long bytes without printing them."""
    return zlib.crc32(data)
