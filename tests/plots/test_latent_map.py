"""The map of latents: each method is what it says, comes back from its file, and places new
latents."""

import base64
import json
import sys
import types

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from lddm_lite import plots
from lddm_lite.plots.latent_map import LatentMap

RNG = np.random.default_rng(0)
MANY = RNG.normal(size=(80, 2, 3)).astype("f4")
BOOK = RNG.normal(size=(6, 3)).astype("f4")


@pytest.fixture
def fake_umap(monkeypatch):
    """An instant stand-in: the first two numbers, and a record of what it was asked."""
    asked = []

    class UMAP:
        def __init__(self, **options):
            asked.append(options)

        def fit_transform(self, points):
            asked.append(points)
            return points[:, :2] * 3

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP, __spec__=object()))
    return asked


def test_two_numbers_are_their_own_map():
    z = MANY[:, :1, :2]
    m = LatentMap.fit(torch.from_numpy(z))
    assert m.method == "plane" and np.array_equal(m.coords, z[:, 0]) and np.array_equal(m.place(z[:3]), z[:3, 0])


def test_pca_keeps_distances_of_flat_data_and_places_exactly():
    flat = RNG.normal(size=(40, 2)) * [5, 1]
    turn = np.linalg.qr(RNG.normal(size=(6, 6)))[0][:2]
    z = (flat @ turn + 7).reshape(40, 2, 3)
    m = LatentMap.fit(z, method="pca")
    d = lambda a: np.linalg.norm(a[:, None] - a[None], axis=-1)  # noqa: E731
    assert np.allclose(d(m.coords), d(flat), atol=1e-4)
    assert m.coords[:, 0].std() > 3 * m.coords[:, 1].std(), "the widest direction first"
    assert np.allclose(m.place(z), m.coords, atol=1e-4)
    assert np.allclose(m.place(z[:1] * 0.5 + z[1:2] * 0.5), m.coords[:2].mean(0), atol=1e-4)
    assert np.array_equal(m.coords, LatentMap.fit(z, method="pca", seed=9).coords)


def test_auto_says_why_it_is_not_umap(monkeypatch):
    assert LatentMap.fit(MANY[:20]).method == "pca: 20 different latents are too few for UMAP"
    assert LatentMap.fit(np.repeat(MANY[:20], 4, axis=0)).kind == "pca", "copies do not count"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    m = LatentMap.fit(MANY)
    assert (m.method, m.kind) == ("pca: umap-learn is not installed", "pca")


def test_umap_sees_each_latent_once_and_the_seed(fake_umap):
    z = np.concatenate([MANY, MANY[:10]])
    m = LatentMap.fit(z, seed=3)
    options, points = fake_umap
    assert m.kind == "umap" and options["random_state"] == 3 and options["n_jobs"] == 1 and len(points) == 80
    assert np.array_equal(m.coords[:10], m.coords[80:]), "equal latents share a place"
    assert np.allclose(m.coords, 3 * z.reshape(90, 6)[:, :2] - 3 * MANY.reshape(80, 6)[:, :2].mean(0), atol=1e-5)
    with pytest.raises(ValueError, match="at least 5 different latents, got 3"):
        LatentMap.fit(MANY[:3], method="umap")


def test_umap_places_known_latents_where_they_were_without_umap(fake_umap, tmp_path, monkeypatch):
    m = LatentMap.fit(MANY)
    m.save(tmp_path / "m.safetensors")
    monkeypatch.setitem(sys.modules, "umap", None)
    again = LatentMap.load(tmp_path / "m.safetensors")
    assert np.array_equal(again.place(MANY), m.coords)
    assert np.array_equal(again.place(MANY[::-1]), m.coords[::-1])


def test_new_latents_lie_near_their_neighbours():
    points = np.concatenate([RNG.normal(size=(10, 4)) * 0.1, RNG.normal(size=(10, 4)) * 0.1 + 9])
    coords = np.concatenate([np.zeros((10, 2)), np.full((10, 2), 5.0)])
    m = LatentMap(coords, "umap", points=points)
    low, high = m.place(np.array([[[0.05] * 4], [[9.05] * 4]]))
    assert np.allclose(low, 0, atol=1e-6) and np.allclose(high, 5, atol=1e-5)
    line = LatentMap([[0, 0], [1, 0], [0, 9], [9, 9], [0, -9]], "umap", points=[[0], [1], [90], [99], [-90]])
    at = line.place(np.array([[[0.25]], [[0.75]]]))[:, 0]
    assert 0 < at[0] < 0.25 and 0.75 < at[1] < 1.01, "the nearer one pulls more"


def test_codes_lie_where_their_vectors_do():
    codes = RNG.integers(6, size=(30, 2))
    m = LatentMap.fit(torch.from_numpy(codes), codebook=torch.from_numpy(BOOK), method="pca")
    assert np.allclose(m.coords, LatentMap.fit(BOOK[codes], method="pca").coords, atol=1e-6)
    assert np.allclose(m.place(codes[:4]), m.coords[:4], atol=1e-5)
    with pytest.raises(ValueError, match="codebook is needed"):
        LatentMap.fit(codes)
    with pytest.raises(ValueError, match=r"codes 0\.\.6; allowed are 0\.\.5"):
        m.place([[0, 6]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(latents=MANY, method="tsne"), "method must be one of auto, umap, pca, plane; got 'tsne'"),
        (dict(latents=MANY, method="plane"), "needs latents of two numbers .* got 6"),
        (dict(latents=MANY, seed=-1), r"seed must be an integer in \[0, .*got -1"),
        (dict(latents=MANY[0]), r"latents must be numbers of shape \[N, m, d\], or integer codes"),
        (dict(latents=MANY[:0]), "latents must be numbers"),
        (dict(latents=np.full((4, 1, 3), np.nan)), "latents holds numbers that are not finite"),
        (dict(latents=MANY, codebook=BOOK[0]), r"codebook must be numbers of shape \[K, d\]"),
    ],
)
def test_what_cannot_be_mapped(arguments, message):
    with pytest.raises(ValueError, match=message):
        LatentMap.fit(**arguments)


def test_latents_of_another_size_are_not_placed():
    for m in (LatentMap.fit(MANY, method="pca"), LatentMap(np.zeros((80, 2)), "umap", points=MANY.reshape(80, 6))):
        with pytest.raises(ValueError, match="latents must have 6 numbers each .* got 3"):
            m.place(MANY[:, :1])


@pytest.mark.parametrize("kind", ["plane", "pca", "umap", "codes"])
def test_a_map_comes_back_from_its_file(kind, fake_umap, tmp_path):
    z = {"plane": MANY[:, :1, :2], "codes": RNG.integers(6, size=(70, 2))}.get(kind, MANY)
    method = kind if kind in ("plane", "umap") else "pca"
    m = LatentMap.fit(z, method=method, seed=4, codebook=BOOK if kind == "codes" else None)
    m.save(tmp_path / "deep" / "m.safetensors")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["m.safetensors"], "no half-written file"
    back = LatentMap.load(tmp_path / "deep" / "m.safetensors")
    assert (back.method, back.seed, len(back)) == (m.method, 4, len(m))
    assert np.array_equal(back.coords, m.coords) and np.array_equal(back.place(z), m.place(z))
    m.save(tmp_path / "deep" / "m.safetensors")  # over an old one


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about, arrays: about.pop("format"), "'format' field is missing"),
        (lambda about, arrays: about.update(format="trace"), "'format' field is missing"),
        (lambda about, arrays: about.update(version="3"), "has version '3'; this library reads versions 1 and 2"),
        (lambda about, arrays: about.pop("method"), "damaged one .*method"),
        (lambda about, arrays: about.update(method="tsne"), "method must begin with one of plane, pca, umap"),
        (lambda about, arrays: about.update(seed="x"), "damaged one"),
        (lambda about, arrays: arrays.pop("axes"), "a pca map needs axes"),
        (lambda about, arrays: arrays.pop("coords"), "damaged one .*coords"),
        (lambda about, arrays: arrays.update(coords=arrays["mean"]), "coords must be 2-dimensional"),
        (lambda about, arrays: arrays.update(other=arrays["mean"]), "damaged one .*other"),
    ],
)
def test_a_damaged_file_says_so(change, message, tmp_path):
    path = tmp_path / "m.safetensors"
    LatentMap.fit(MANY, method="pca").save(path)
    with safe_open(path, "np") as file:
        about, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    change(about, arrays)
    save_file(arrays, path, about)
    with pytest.raises(ValueError, match=f"m.safetensors.*({message})"):
        LatentMap.load(path)


@pytest.mark.parametrize(
    "harm", [lambda b: b[:-40], lambda b: b"\0" + b, lambda b: b"", lambda b: b[:8] + b"x" + b[9:]]
)
def test_a_file_that_is_cut_or_no_map_says_so(harm, tmp_path):
    path = tmp_path / "m.safetensors"
    LatentMap.fit(MANY, method="pca").save(path)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(ValueError, match="m.safetensors is no latent map, or a damaged one"):
        LatentMap.load(path)
    with pytest.raises(FileNotFoundError):
        LatentMap.load(tmp_path / "none")


def version_1(m):
    """A map as the first version of the format had it: JSON, arrays in base64."""

    def plain(v):
        return {"shape": list(v.shape), "base64": base64.b64encode(v.astype("<f4").tobytes()).decode()}

    raw = {name: getattr(m, name) for name in ("coords", "method", "seed", "points", "mean", "axes", "codebook")}
    raw = {name: plain(v) if isinstance(v, np.ndarray) else v for name, v in raw.items()}
    return {"format": "lddm-lite latent map", "version": 1, **raw}


@pytest.mark.parametrize("kind", ["plane", "pca", "umap", "codes"])
def test_maps_of_version_1_still_open(kind, fake_umap, tmp_path):
    z = {"plane": MANY[:, :1, :2], "codes": RNG.integers(6, size=(70, 2))}.get(kind, MANY)
    method = kind if kind in ("plane", "umap") else "pca"
    m = LatentMap.fit(z, method=method, seed=4, codebook=BOOK if kind == "codes" else None)
    (tmp_path / "m.json").write_text(json.dumps(version_1(m)))
    back = LatentMap.load(tmp_path / "m.json")
    assert (back.method, back.seed) == (m.method, 4)
    assert np.array_equal(back.coords, m.coords) and np.array_equal(back.place(z), m.place(z))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: "{", "damaged or cut off"),
        (lambda r: {**r, "format": "trace"}, "'format' field is missing"),
        (lambda r: {**r, "version": 2}, "has version 2; this library reads versions 1 and 2"),
        (lambda r: {k: v for k, v in r.items() if k != "axes"}, "a pca map needs axes"),
        (lambda r: {**r, "coords": {**r["coords"], "shape": [3, 2]}}, "damaged one"),
        (lambda r: {**r, "coords": {**r["coords"], "base64": "?"}}, "damaged one"),
        (lambda r: {**r, "seed": "x"}, "invalid literal for int"),
    ],
)
def test_a_damaged_file_of_version_1_says_so(change, message, tmp_path):
    raw = change(version_1(LatentMap.fit(MANY, method="pca")))
    (tmp_path / "m.json").write_text(raw if isinstance(raw, str) else json.dumps(raw))
    with pytest.raises(ValueError, match=f"m.json.*({message})"):
        LatentMap.load(tmp_path / "m.json")


def test_umap_leaves_torchs_threads_as_they_were(fake_umap, monkeypatch):
    before, real = torch.get_num_threads(), sys.modules["umap"].UMAP.fit_transform

    # numba starts its own threads by OpenMP, whose number is torch's, too
    def fit_transform(self, points):
        torch.set_num_threads(before + 1)
        return real(self, points)

    monkeypatch.setattr(sys.modules["umap"].UMAP, "fit_transform", fit_transform)
    try:
        LatentMap.fit(MANY, method="umap")
        assert torch.get_num_threads() == before
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_the_real_umap_keeps_neighbours_and_repeats_itself():
    pytest.importorskip("umap")
    centres = np.eye(5) * 8
    group = RNG.integers(5, size=200)
    z = (centres[group] + RNG.normal(size=(200, 5)) * 0.5).reshape(200, 1, 5)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        m = LatentMap.fit(z, seed=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert m.method == "umap" and m.coords.shape == (200, 2)
    d = np.linalg.norm(m.coords[:, None] - m.coords[None], axis=-1) + 1e9 * np.eye(200)
    assert (group[d.argmin(1)] == group).mean() > 0.98
    assert np.array_equal(m.coords, LatentMap.fit(z, seed=1).coords)
    inside = m.place(z[:5] + 0.01)
    assert (np.linalg.norm(inside - m.coords[:5], axis=1) < np.ptp(m.coords, axis=0).max() / 10).all()


def test_plane_is_the_principal_one():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(300, 2, 3)) * [[3, 1, 0.1], [0.2, 2, 0.3]]
    flat = z.reshape(300, 6)
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    found = plots.plane(z)(z)
    for k in (0, 1):
        truth = (flat - flat.mean(0)) @ vectors[:, -1 - k]
        assert np.allclose(np.abs(found[:, k]), np.abs(truth), atol=1e-6)
    assert np.var(found, axis=0, ddof=1) == pytest.approx(values[[-1, -2]])
    pair = rng.normal(size=(4, 5, 1, 2))
    assert np.array_equal(plots.plane(pair[0])(pair), pair[:, :, 0]), "two coordinates are their own plane"
    assert plots.plane(rng.normal(size=(5, 1, 1)))(np.ones((2, 1, 1))).shape == (2, 2)
    assert np.isfinite(plots.plane(np.ones((1, 2, 2)))(np.ones((3, 2, 2)))).all()
    with pytest.raises(ValueError, match="floats"):
        plots.plane(np.ones((3, 2), dtype=int))
