"""Hostile input: what files are turned into, how an answer is told from a fault, and the count."""

import base64
import collections
import contextlib
import copy
import hashlib
import io
import json
import signal
import warnings

NEVER = object()
# name -> what stands in the place of a value; raw JSON text where it begins with !
VALUES = {
    "null": "!null", "text": '!"x"', "empty": '!""', "minus": "!-1", "half": "!0.5", "huge": "!" + "9" * 19,
    "digits": "!" + "1" * 5000, "nan": "!NaN", "infinity": "!Infinity", "overflow": "!1e999", "list": "![]",
    "object": "!{}", "true": "!true", "deep": "!" + "[" * 200 + "]" * 200,
    "very deep": "!" + "[" * 50_000 + "]" * 50_000,
    "surrogate": '!"\\ud800"', "path": '!"../../etc/passwd"', "long": '!"' + "a" * 100_000 + '"',
    "numbers": "![1, 2.5, -3]", "mixed": '![1, "a", null]',
}  # fmt: skip


def places(value, depth=3, at=()):
    """The places in a JSON value, to a depth: (key or number, ...)."""
    if at:
        yield at
    if depth:
        keys = value if isinstance(value, dict) else range(min(2, len(value))) if isinstance(value, list) else ()
        for k in keys:
            yield from places(value[k], depth - 1, (*at, k))


def changed(document, at, text):
    """JSON text of a document with raw JSON in one place; NEVER removes it."""
    new = copy.deepcopy(document)
    inner = new
    for k in at[:-1]:
        inner = inner[k]
    if text is NEVER:
        del inner[at[-1]]
        return json.dumps(new)
    inner[at[-1]] = "\0here\0"
    return json.dumps(new).replace('"\\u0000here\\u0000"', text[1:])


def documents(document, depth=3):
    """(name, content in bytes) of many a damaged document: every place by every value, removed, written
    twice; and the whole cut off, of another encoding, something else."""
    for at in places(document, depth):
        where = ".".join(map(str, at))
        for name, text in VALUES.items():
            yield f"{where} = {name}", changed(document, at, text).encode()
        yield f"{where} removed", changed(document, at, NEVER).encode()
    text = json.dumps(document)
    first = next(iter(document))
    yield "a key twice", text.replace("{", "{" + json.dumps(first) + ": 0, ", 1).encode()
    yield "cut off", text[: len(text) // 2].encode()
    yield "empty", b""
    yield "a list", b"[1]"
    yield "utf-16", text.encode("utf-16")
    yield "latin-1", text.encode() + b"\xe9"
    yield "nul", text.encode() + b"\0"
    yield "deep", b"[" * 100_000
    yield "two documents", text.encode() * 2
    yield "noise", bytes(range(256)) * 8
    yield "a pickle", b"\x80\x04" + text.encode()
    yield "a zip", b"PK\x03\x04" + text.encode()


class Hang(BaseException):
    """Nothing came back in time."""


class Count(collections.Counter):
    """Outcomes: right, refused; unclear, silent, crash, hang. `faults` lists all but the first two."""

    def __init__(self):
        super().__init__()
        self.faults = []

    def add(self, outcome, what):
        self[outcome] += 1
        if outcome not in ("right", "refused"):
            self.faults.append(f"{outcome}: {what}"[:400])

    def case(self, name, call, allowed, tells=(), seconds=20):
        """Run `call` and note what came of it. `allowed`: errors that are answers; one of `tells` must
        stand in their message. `call` returns True where what it took in is as it should be. It hangs
        where it works for so many seconds, or waits for ten times as many: on a busy machine waiting
        is no fault."""

        def late(*_):
            raise Hang

        for sign, timer, most in ((signal.SIGPROF, signal.ITIMER_PROF, 1), (signal.SIGALRM, signal.ITIMER_REAL, 10)):
            signal.signal(sign, late)
            signal.setitimer(timer, most * seconds)
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                with contextlib.redirect_stderr(io.StringIO()):
                    warnings.simplefilter("ignore")
                    good = call()
            self.add("right" if good else "silent", name)
        except allowed as e:
            text = str(e)
            clear = not tells or any(str(t) in text for t in tells)
            outcome = "refused" if clear and len(text) < 2000 else "unclear"
            self.add(outcome, f"{name}: {type(e).__name__}: {text[:200]}")
        except Hang:
            self.add("hang", name)
        except BaseException as e:  # noqa: BLE001 - any other is a fault
            self.add("crash", f"{name}: {type(e).__name__}: {e}")
        finally:
            for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
                signal.setitimer(timer, 0)

    def verdict(self, about):
        """Print the count, and fail where there are faults: none but at most 1 % unclear."""
        total = sum(self.values())
        print(f"\n{about}: {total} cases, " + ", ".join(f"{v} {k}" for k, v in sorted(self.items())))
        print(*self.faults, sep="\n")
        bad = [f for f in self.faults if not f.startswith("unclear")]
        assert not bad, "\n".join(bad[:40])
        assert self["unclear"] <= total / 100, "\n".join(self.faults[:40])


def signed(folder, tensors=None, **meta):
    """Write config.json of a checkpoint anew with other `meta`, and its weights, so that all hashes are
    right."""
    from safetensors.torch import load, save

    config = folder / "config.json"
    told = json.loads(config.read_text())
    data = (folder / told["weights"]).read_bytes()
    if tensors is not None:
        data = tensors if isinstance(tensors, bytes) else save({**load(data), **tensors})
    digest = hashlib.sha256(data).hexdigest()
    name = f"weights-{digest[:12]}.safetensors"
    (folder / name).write_bytes(data)
    config.write_text(json.dumps({**told, **meta, "weights": name, "sha256": digest}))


def bytes_of(array):
    """An array as `Trace` writes it."""
    return {"dtype": array.dtype.str, "shape": list(array.shape), "base64": base64.b64encode(array.tobytes()).decode()}
