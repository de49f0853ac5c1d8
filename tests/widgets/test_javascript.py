"""The arithmetic of the browser code under node, without a page: the same numbers as in Python.

Each `javascript/NAME.test.mjs` tests `static/NAME.js`, which node takes for an ES module because of
`package.json` beside it. What Python says stands in the JSON file that the environment variable
TRUTH names.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path as File

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb

from lddm_lite import LatentDiffusion, plots
from lddm_lite._common.randomness import generator
from lddm_lite.diffusion.interpolation import interpolate, slerp
from lddm_lite.diffusion.paths import Knot, Path
from lddm_lite.diffusion.rate_grid import RateGrid
from lddm_lite.diffusion.trace import Trace
from lddm_lite.plots import style
from lddm_lite.plots.latent_map import LatentMap
from lddm_lite.tasks import Binsaw
from lddm_lite.text.smiles import faults
from lddm_lite.widgets import payload
from lddm_lite.widgets.path_explorer import PathExplorer, stored_grids
from lddm_lite.widgets.scrubber import Scrubber

from . import engine_truth as engine

FOLDER = File(__file__).with_name("javascript")
OLDEST = 18  # the first node that has a runner of tests and DecompressionStream


def node() -> str:
    """The node to run. Without one the test is skipped; continuous integration installs one, so
    there it fails."""
    found = shutil.which("node")
    version = subprocess.run([found, "--version"], capture_output=True, text=True).stdout.strip() if found else "none"
    if not found or int(re.match(r"v(\d+)", version)[1]) < OLDEST:
        stop = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        stop(f"the browser code is tested under node {OLDEST} or later, here is {version}")
    return found


@pytest.mark.parametrize("ci, outcome", [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
@pytest.mark.parametrize("version", ["none", "v12.22.9"])
def test_without_node_it_is_skipped_but_not_in_continuous_integration(ci, outcome, version, monkeypatch, tmp_path):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    if version != "none":
        (tmp_path / "node").write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / "node").chmod(0o755)
    with pytest.raises(outcome, match=f"node 18 or later, here is {version}"):
        node()


# -- what Python says -------------------------------------------------------------------------------------------
def path_grid():
    """Grids as they travel, and their numbers at points, on paths, and without latents."""
    t_x, t_z = 1 - (1 - np.linspace(0, 1, 9)) ** 2, np.linspace(0, 1, 7)
    discrete = RateGrid("discrete", 3 + np.outer(t_x, 1 + t_z), 2 + np.outer(t_x**2, np.exp(t_z)), prior=0.25)
    sent = payload.unpack(PathExplorer([*stored_grids(), discrete]).data)
    grids = enumerate(sent["head"]["grids"])
    return [_numbers(about, sent[f"tokens{k}"], sent[f"latents{k}"]) for k, about in grids]


def _numbers(about, tokens, latents):
    # made of the float32 that travel, so that nothing but the arithmetic is compared
    tables, log_snr = (tokens.astype(float), latents.astype(float)), about["log_snr"] and tuple(about["log_snr"])
    grid = RateGrid(about["title"], *tables, log_snr=log_snr, prior=about["prior"])
    points = np.vstack([np.random.default_rng(0).random((60, 2)), [[0, 0], [0, 1], [1, 0], [1, 1], [0.75, 0.5]]])
    paths = []
    for lead in (0.0, 0.07, 0.25, 0.33, 0.5):
        path, walks = Path(lead), []
        for steps in ((1, 1), (1, 16), (3, 7), (8, 8), (20, 4), (128, 100)):
            cost, knots = grid.bound(path, *steps), [[k.t_x, k.t_z] for k in path.knots(*steps)]
            costs = {name: v.tolist() for name, v in grid.steps(path, *steps).items()}
            walks.append({"steps": steps, "knots": knots, "costs": costs, "excess": cost.excess, "nfe": cost.nfe})
        whole, corners = grid.bound(path), [[k.t_x, k.t_z] for k in path.corners()]
        bound = {"tokens": whole.tokens, "latents": whole.latents, "prior": whole.prior, "total": whole.total}
        paths.append({"lead": lead, "corners": corners, "bound": bound, "walks": walks})
    line = grid.lines([Knot(1, 1), Knot(0, 1)])[0, 0]
    alone = [[n, grid.rho(np.arange(1, n + 1) / n, 1)[0].mean() - line] for n in (1, 2, 16, 100)]
    return {
        "about": about,
        "tables": [{"data": a.ravel().tolist(), "shape": a.shape} for a in (tokens, latents)],
        "points": np.column_stack([points, *grid.rho(*points.T)]).tolist(),
        "paths": paths,
        "alone": alone,
    }


def packed():
    """A block with all types of number that travel, lengths that are filled up, and an empty array."""
    rng = np.random.default_rng(0)
    arrays = {
        "u1": rng.integers(0, 2**8, (3, 5)),
        "u2": rng.integers(2**8, 2**16, 7),
        "u4": rng.integers(2**16, 2**32, (2, 2, 2)),
        "i4": rng.integers(-(2**31), 2**31, 9),
        "f4": rng.normal(size=(4, 3)),
        "flags": np.array([True, False, True]),
        "nothing": np.zeros((0, 4)),
    }
    block = payload.pack({"title": "Ω <b>", "list": [1, None]}, arrays)
    out = payload.unpack(block)
    arrays = {name: {"data": out[name].ravel().tolist(), "shape": out[name].shape} for name in arrays}
    return {"block": list(block), "head": out["head"], "arrays": arrays}


def colours():
    shares = np.linspace(0, 1, 23)
    inks = [to_hex(c) for c in np.random.default_rng(0).random((300, 3))] + [*plots.REVEAL, *plots.GROUPS]
    return {
        "palettes": {name: getattr(plots, name) for name in ("REVEAL", "CYCLE", "GROUPS")},
        "bits": plots.BIT_COLOURS[:2],
        "round": [[u, _rgb(colour)] for u, colour in zip(shares.tolist(), style.hues(shares, 23), strict=True)],
        "inks": [[colour, plots.ink_on(colour)] for colour in inks],
    }


PALETTE = {"paper": "#f00000", "mask": "#00f000", "bit0": "#0000f0", "bit1": "#f0f0f0"}


def scrubber_steps():
    """Runs as they travel, in words and in bits, and what is to be seen of them at each step."""
    rng = np.random.default_rng(0)
    when, shape = rng.integers(0, 5, (2, 3, 8)), (3, 8)
    words, knots = ["the", "##re", "", "##", "cat", "[PAD]"], [(1 - k / 5, 0) for k in range(6)]
    text = Trace(rng.integers(0, 6, shape), when[0], np.ones(shape), knots[1:], words, 6, pad_id=5)
    bits = Trace(rng.integers(0, 2, shape), when[1] + (when[1] > 1), np.ones(shape), knots, ["0", "1"], 2)
    return {
        "block": list(Scrubber([text, bits], order=[2, 0, 1]).data),
        "colours": [[last, [_rgb(colour) for colour in _scale(last)]] for last in (1, 2, 11, 32)],
        "palette": PALETTE,
        "runs": [[_seen(trace, step, last=5) for step in range(trace.steps + 1)] for trace in (text, bits)],
    }


def _seen(trace, step, last):
    """At a step: `labels` [n, L], null where masked; `masked` [n], padding left out; the rows 1, 2,
    0 as colours."""
    padding, masked = trace.tokens == (-1 if trace.pad_id is None else trace.pad_id), trace.reveal_step > step
    labels = [[None if v == trace.mask_id else trace.labels[v] for v in row] for row in trace.tokens_at(step)]
    if trace.pad_id is None:
        colours = np.array([PALETTE["bit0"], PALETTE["bit1"]])[trace.tokens]
    else:
        colours = np.array([PALETTE["paper"], *_scale(last)])[trace.reveal_step]
    colours = np.where(padding, PALETTE["paper"], np.where(masked, PALETTE["mask"], colours))
    return {
        "labels": labels,
        "masked": (masked & ~padding).sum(1).tolist(),
        "picture": [_rgb(colour) for colour in colours[[1, 2, 0]].ravel()],
    }


def latent_explorer_places():
    """Walks round a circle, from one angle to another."""
    rng, shares = np.random.default_rng(0), torch.linspace(0, 1, 5)
    walks = []
    for start, end in rng.uniform(-np.pi, np.pi, (40, 2)).tolist():
        a, b = (torch.tensor([np.cos(v), np.sin(v)]) for v in (start, end))
        walks.append({"from": start, "to": end, "points": slerp(a, b, shares).tolist()})
    return {"shares": shares.tolist(), "walks": walks}


def latent_walks():
    """Walks between latents and places on maps, of numbers and of codes in two slots."""
    task, rng = Binsaw(length=8), np.random.default_rng(0)
    walks = []
    for steps in (2, 5):
        model = LatentDiffusion.preset("co-seq", task, width=16, slots=2, dim=3)
        a, b = (torch.tensor(rng.normal(size=(2, 3)), dtype=torch.float32) for _ in range(2))
        for end in (b, a, -a):
            z = interpolate(model, a, end, steps).flatten(1)
            walks.append({"a": a.flatten().tolist(), "b": end.flatten().tolist(), "steps": steps, "z": z.tolist()})
    model = LatentDiffusion.preset("di-seq", task, width=16, slots=2, dim=3, codes=32)
    book, used = model.encoder.codebook.detach(), list(range(0, 32, 2))
    codes = []
    for a, b in (([0, 4], [10, 2]), ([6, 6], [6, 6]), ([8, 30], [8, 12])):
        z = interpolate(model, torch.tensor(a), torch.tensor(b), 6, among=torch.tensor(used))
        codes.append({"a": a, "b": b, "z": z.tolist()})
    points = rng.normal(size=(12, 1, 3)).astype("f4")
    points[5] = points[4]
    coords = rng.normal(size=(12, 2)).astype("f4")
    coords[5] = coords[4]
    asked = np.concatenate([rng.normal(size=(6, 1, 3)), points[[3, 5]]]).astype("f4")
    pca = LatentMap.fit(points, method="pca")
    umap = LatentMap(coords, "umap", points=points.reshape(12, 3))
    flat = {"kind": "pca", "mean": pca.mean.tolist(), "axes": pca.axes.tolist()}
    places = [{"map": flat, "at": pca.place(asked).tolist()}]
    places.append({"map": {"kind": "umap"}, "at": umap.place(asked).tolist()})
    maps = {"points": points, "coords": coords, "asked": asked}
    return {
        "walks": walks,
        "codes": {"walks": codes, "used": used, "book": book[used].tolist(), "order": _slots(2)},
        "maps": {"places": places, **{name: v.reshape(len(v), -1).tolist() for name, v in maps.items()}},
        "round": [[v, int(torch.tensor(v).round())] for v in (0.5, 1.5, 2.5, 2.4, 3.7)],
    }


def _slots(m):
    return torch.randperm(m, generator=generator(0)).tolist()


def smiles():
    """Random strings of symbols, some with a mask, and molecules, with their faults."""
    rng = np.random.default_rng(0)
    kinds = ["C", "[nH]", "Br", "(", ")", "1", "2", "%10", "=", "[MASK]", "."]
    share = np.array([6, 1, 1, 2, 2, 2, 1, 0.2, 1, 0.1, 0.1])
    cases = [rng.choice(kinds, size=n, p=share / share.sum()).tolist() for n in rng.integers(1, 9, 400)]
    cases += [list("C1CC1(C)C=O"), list("N#CC(=O)N1CC1"), list("C11CC"), list("CN1C2CC1C1(O)C12"), []]
    return {"cases": [{"symbols": c, "faults": [list(f) for f in faults(c).items()]} for c in cases]}


def _scale(last):
    return [plots.reveal_colour(step, 1, last) for step in range(1, last + 1)]


def _rgb(colour):
    return list(map(float, to_rgb(colour)))


TRUTHS = {
    "path_grid": path_grid,
    "payload": packed,
    "colours": colours,
    "numbers": dict,
    "scrubber_branch": dict,
    "scrubber_branches": engine.playground_plan,
    "latent_walks": latent_walks,
    "sequence_views": dict,
    "scrubber_steps": scrubber_steps,
    "latent_explorer_places": latent_explorer_places,
    "smiles": smiles,
    "engine_binsaw": engine.engine_binsaw,
    "engine_network": engine.engine_network,
    "engine_random": engine.engine_random,
    "engine_sampler": engine.engine_sampler,
    "playground_plan": engine.playground_plan,
}


# -- the tests --------------------------------------------------------------------------------------------------
def test_every_file_of_tests_is_run():
    assert {file.name for file in FOLDER.glob("*.test.mjs")} == {f"{name}.test.mjs" for name in TRUTHS}


@pytest.mark.parametrize("name", TRUTHS)
def test_under_node(name, tmp_path):
    command = [node(), "--test", FOLDER / f"{name}.test.mjs"]
    truth = tmp_path / "truth.json"
    says = TRUTHS[name](tmp_path) if TRUTHS[name].__module__ == engine.__name__ else TRUTHS[name]()
    truth.write_text(json.dumps(says, allow_nan=False))
    done = subprocess.run(command, env=os.environ | {"TRUTH": str(truth)}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r" tests (\d+)$", done.stdout, re.M)[1]) >= 3
