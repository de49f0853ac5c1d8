"""Serialisation of widget data, and the HTML around them: one format for live widgets,
outputs and pages."""

from __future__ import annotations

import base64
import functools
import html
import json
import re
import zlib
from importlib import resources
from importlib.abc import Traversable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from .._common import documents
from .._common.arguments import brief
from .es_modules import inline

__all__ = ["bundle", "folded", "fragment", "pack", "page", "small_ints", "unpack"]

MOST = 1 << 26  # bytes that a block unfolds to
_REMARK, _LEAD = re.compile(r"^[ \t]*//[^\n]*\n", re.M), re.compile(r"^[ \t]+", re.M)  # a page need not hold them
_OTHER = re.compile(r'@import "([\w.]+)";\n')  # a style sheet within another
# Adds the script to the page, unfolded; after --start-- it starts one widget, before that it is the same for all of
# a kind (page.js).
_UNFOLD = """const given = @GIVEN@;
const bytes = Uint8Array.from(atob("@CODE@"), (c) => c.charCodeAt(0)), script = document.createElement("script");
const code = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
script.type = "module"; script.dataset.lddmCode = given[0];
script.textContent = `${code}\\n// --start--\\nstartHtml(...${JSON.stringify(given).replaceAll("<", "\\\\u003c")});`;
(document.querySelector(`[data-lddm="${given[0]}"]:not([data-started])`) || document.head).append(script);
"""


def pack(head: dict, arrays: dict[str, np.ndarray], level: int = 9) -> bytes:
    """One compressed safetensors block: the arrays, and the head as JSON in its metadata.

    Floats travel as float32, integers as the smallest type that holds them; float16 and int8, the
    types of weights, as they are. ValueError for other kinds of array, and for negative integers
    beyond int32. `level`: of zlib, 9 the smallest, 1 the quickest.

    >>> unpack(pack({"title": "x"}, {"a": np.array([1, 300])}))["a"].tolist()
    [1, 300]
    """
    sent = {}
    for name, array in arrays.items():
        array = np.ascontiguousarray(array)
        if array.dtype.kind not in "iubf":
            raise ValueError(f"array {name!r} must hold numbers, got dtype {array.dtype}")
        if array.dtype not in (np.float16, np.int8):
            array = array.astype("<f4") if array.dtype.kind == "f" else small_ints(array)
        sent[name] = array
    return zlib.compress(save(sent, {"head": json.dumps(head, allow_nan=False)}), level)


def small_ints(array: np.ndarray) -> np.ndarray:
    """Integers in the smallest of uint8, uint16, uint32, int32 that holds them."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for name in ("|u1", "<u2", "<u4", "<i4"):
        info = np.iinfo(name)
        if info.min <= low and high <= info.max:
            return array.astype(name)
    raise ValueError(f"integers from {low} to {high} do not fit 32 bits")


def unpack(block: bytes) -> dict:
    """The inverse of `pack`: the arrays by name, and the head under 'head'. ValueError for a
    damaged block, and one of more than MOST bytes."""
    try:
        raw = zlib.decompressobj().decompress(block, MOST + 1)
        if len(raw) > MOST:
            raise ValueError(f"it unfolds to more than {MOST:,} bytes")
        header = documents.parse(raw[8 : 8 + int.from_bytes(raw[:8], "little")], "its header")
        return {**load(raw), "head": documents.parse(header["__metadata__"]["head"], "its head")}
    except (zlib.error, SafetensorError, KeyError, TypeError, ValueError) as e:
        raise ValueError(f"the block is damaged: {brief(e)}") from None


@functools.cache
def bundle(kind: str, folder: str | None = None) -> str:
    """The browser code of a widget as one script: for the kind "path-explorer", the ES module
    `static/path_explorer.js` and all that it imports. One of these, styles.js, is made here: it
    exports `CSS`, the text of `style.css` and `path_explorer.css`, in which `@import "other.css";`
    stands for that file.

    `folder`: one of your own, for kinds that are not the library's: modules and styles are looked
    for there first.

    Lines that are comments, and spaces before a line, are left out (so no template in the modules
    may span lines). The script declares `startHtml`, `initialize` and `render` (mount.js). ValueError, with file and
    line, for modules that do not fit together.

    >>> "function startHtml(" in bundle("scrubber")
    True
    """
    name = kind.replace("-", "_")
    places: list[Traversable] = [resources.files(__package__).joinpath("static")]
    if folder is not None:
        places.insert(0, Path(folder))

    def read(file):
        if file == "styles.js":
            css = read("style.css") + _OTHER.sub(lambda m: read(m[1]), read(f"{name}.css"))
            return f"export const CSS = {json.dumps(css)};\n"
        place = next((p for p in places if p.joinpath(file).is_file()), places[-1])
        return place.joinpath(file).read_text("utf-8")

    return _LEAD.sub("", _REMARK.sub("", inline(f"{name}.js", read)))


def fragment(
    code: str,
    uid: str,
    kind: str,
    block: bytes,
    state: dict,
    bus: str = "",
    still: bytes | None = None,
    alt: str = "",
    weights: dict[str, bytes] | None = None,
) -> str:
    """HTML that shows a widget without a kernel and without a network; where scripts are stripped,
    the `still`.

    - `code`: the script, from `bundle`;
    - `uid`: of this output;
    - `kind`: of the widget;
    - `block`: its data, from `pack`;
    - `state`: its traits by name;
    - `bus`: of the live widget that it follows, if any;
    - `still`, `alt`: a PNG, and its text;
    - `weights`: models by their key, from `pack`, which any widget of the page finds.

    Nothing from data appears in it except inside base64 blocks, and `alt`, which is escaped.
    """
    picture = ""
    if still:
        source = base64.b64encode(still).decode()
        alt = html.escape(alt, quote=True)
        picture = f'<img class="lddm-still" style="max-width:100%" alt="{alt}" src="data:image/png;base64,{source}">'
    given = [uid, kind, base64.b64encode(block).decode(), state, bus or uid]
    models = "".join(
        f'<script type="text/plain" data-lddm-weights="{html.escape(key, quote=True)}">'
        f"{base64.b64encode(b).decode()}</script>"
        for key, b in (weights or {}).items()
    )
    start = _UNFOLD.replace("@CODE@", folded(code)).replace("@GIVEN@", json.dumps(given).replace("<", "\\u003c"))
    return (
        f'<div data-lddm="{uid}"><div class="lddm-host"></div>{picture}</div>{models}'
        f'<script type="module">{start}</script>'
    )


@functools.cache
def folded(code: str) -> str:
    """The script as a page holds it: compressed, in base64, less than half as long.

    >>> len(folded(bundle("scrubber"))) < len(bundle("scrubber")) / 2
    True
    """
    return base64.b64encode(zlib.compress(code.encode(), 9)).decode()


def page(title: str, body: str) -> str:
    """A page around a `fragment`."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>:root{{color-scheme:light dark}}body{{margin:12px}}</style>"
        f"<main>{body}</main></html>"
    )
