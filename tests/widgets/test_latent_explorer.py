"""The latent explorer in the kernel: what travels to the browser is true, and questions are
answered."""

import html

import numpy as np
import pytest
import torch
import traitlets

from lddm_lite import tasks
from lddm_lite.diffusion.given_latents import decode
from lddm_lite.diffusion.interpolation import interpolate
from lddm_lite.plots.latent_map import LatentMap
from lddm_lite.text import dataset
from lddm_lite.widgets import LatentExplorer
from lddm_lite.widgets.payload import unpack
from tests.support.latent_explorers import HOSTILE, SAW, hostile, shifts, small

NEWS = tasks.ToyNewswire(topics=["floods", "sport"])


@pytest.fixture(scope="module")
def saw():
    return shifts()


def test_the_browser_gets_the_map_and_true_walks(saw):
    p = unpack(saw.data)
    assert np.array_equal(p["tokens"], saw.x.numpy()) and p["head"]["hue"] == "circle"
    assert np.array_equal(p["coords"], saw.z[:, 0].numpy()) and abs(p["head"]["circle"] - 2**0.5) < 1e-9
    anchors, start = p["anchors"].tolist(), p["walk_start"].tolist()
    assert len(anchors) == len({*anchors}) == 6 and len(p["walk_pairs"]) == 15 and start[-1] == len(p["walk_tokens"])
    for w in (0, 7, 14):
        i, j = p["walk_pairs"][w].tolist()
        assert {i, j} <= {*anchors}
        z = interpolate(saw.model, saw.z[i], saw.z[j], 5)
        rows = slice(start[w], start[w + 1])
        assert np.array_equal(p["walk_tokens"][rows], decode(saw.model, z).numpy())
        assert np.allclose(p["walk_coords"][rows], z[:, 0], atol=1e-6)
    assert saw.picked == p["walk_pairs"][0].tolist(), "it opens with a walk"


def test_the_kernel_answers_with_the_walk_asked_for(saw):
    reply = saw.answer({"walk": [3, 11]})
    assert np.array_equal(reply["tokens"], saw.walk(3, 11)) and len(reply["tokens"]) == 5
    assert np.allclose(np.array(reply["coords"])[[0, -1]], saw.coords[[3, 11]], atol=1e-6)
    sent = []
    saw.send = sent.append
    saw._asked(None, {"walk": [3, 40], "id": 8}, None)
    assert sent == [{"error": "ValueError: message.walk[1] must be an integer in [0, 39], got 40", "id": 8}]


def test_codes_walk_among_those_in_use(settled):
    model = small("di-seq", NEWS, slots=2, codes=64, dim=4)
    model.encoder = settled(NEWS, "discrete", slots=2, codes=64, dim=4)
    e = LatentExplorer(model, NEWS.sample(60, seed=1), hue=list("ab" * 30))
    used = set(e.z.flatten().tolist())
    assert 2 < len(used) < 64
    p = unpack(e.data)
    assert e.map.kind == "pca" and "too few for UMAP" in p["head"]["note"] and p["head"]["circle"] == 0
    for i, j in p["walk_pairs"].tolist():
        z, _ = e._latents_between(i, j)
        assert {*z.flatten().tolist()} <= used and len(z) <= 9
    assert np.allclose(e.coords, e.map.place(e.z))


def test_the_same_map_comes_back(saw, settled, tmp_path):
    x = NEWS.sample(20, seed=3)
    model = small("co-seq", NEWS, dim=4)
    model.encoder = settled(NEWS, dim=4)
    first = LatentExplorer(model, x)
    first.map.save(tmp_path / "map.safetensors")
    again = LatentExplorer(model, x.flip(0), map=LatentMap.load(tmp_path / "map.safetensors"))
    assert np.allclose(again.coords, first.coords[::-1], atol=1e-4) and first.coords.std() > 0.1
    with pytest.raises(ValueError, match="latents must have 2 numbers each"):
        LatentExplorer(model, x, map=saw.map)


def test_padded_sentences_change_their_length_on_the_way():
    data = dataset.from_lines(["the bank is open .", "the bank of japan is closed .", "rain ."], length=8)
    e = LatentExplorer(small("co-seq", data, dim=4), data.rows.long(), walk_steps=5)
    lengths = [len(row[row != data.pad_id]) for row in e.walk(1, 2)]
    assert lengths == [7, 6, 4, 3, 2] or lengths == [7, 6, 5, 3, 2], lengths
    assert unpack(e.data)["head"]["pad"] == 0


@pytest.mark.parametrize(
    ("hue", "kind", "names"),
    [
        (None, "none", []),
        ([0.0, 0.5, 0.999, 0.1], "circle", []),
        (np.array([3, 1, 1, 3]), "groups", ["1", "3"]),
        (torch.tensor([0, 1, 0, 2]), "groups", ["0", "1", "2"]),
        (["sport", "floods", "sport", "sport"], "groups", ["floods", "sport"]),
        ([True, False, True, True], "groups", ["False", "True"]),
    ],
)
def test_hues_are_a_circle_or_groups(hue, kind, names):
    p = unpack(LatentExplorer(small(dim=2), SAW.sample(4), hue=hue).data)
    assert p["head"]["hue"] == kind and p["head"]["names"] == names
    if kind == "groups":
        shown = [names[k] for k in p["colour"]]
        assert shown == [str(v) for v in np.asarray(hue)]


def test_beyond_27_groups_the_smallest_become_others():
    hue = np.repeat(np.arange(30), [2] * 27 + [1] * 3)
    p = unpack(LatentExplorer(small(dim=2), SAW.sample(57), hue=hue).data)
    assert len(p["head"]["names"]) == 28 and p["head"]["names"][-1] == "3 others"
    assert (p["colour"][-3:] == 27).all() and p["colour"][:4].tolist() == [0, 0, 1, 1]


def test_walks_are_stored_between_the_groups():
    hue = ["rare"] + ["b"] * 10 + ["a"] * 9 + ["c"] * 8
    e = LatentExplorer(small(dim=2), SAW.sample(28), hue=hue)
    assert {hue[i] for i in e.anchors[:4]} == {"rare", "a", "b", "c"} and len({*e.anchors}) == 6


@pytest.mark.parametrize(
    ("system", "arguments", "message"),
    [
        ("mdlm", {}, "'mdlm' has no latents"),
        ("co-seq", dict(x=torch.zeros(1, 16, dtype=torch.long)), "x must hold at least 2 sequences"),
        ("co-seq", dict(x=torch.zeros(3, 15, dtype=torch.long)), "x must have length 16, got 15"),
        ("co-seq", dict(walk_steps=1), r"walk_steps must be an integer in \[2, 64\], got 1"),
        ("co-seq", dict(hue=[0.1, 0.2]), r"hue must have shape \(5,\)"),
        ("co-seq", dict(hue=[0.1, 0.2, 0.3, 0.4, 7.0]), r"hue must be numbers in \[0, 1\), got 0.1..7.0"),
        ("co-seq", dict(map="map.safetensors"), "map must be a LatentMap or None, got str"),
    ],
)
def test_what_cannot_be_explored(system, arguments, message):
    with pytest.raises(ValueError, match=message):
        LatentExplorer(small(system, **({} if system == "mdlm" else {"dim": 2})), **{"x": SAW.sample(5), **arguments})


def test_picked_can_be_set_and_is_checked(saw):
    saw.picked = [1, 2]
    for wrong in ([1, 40], [-1], [1, 2, 3]):
        with pytest.raises(traitlets.TraitError, match=r"up to two sequences in 0\.\.39"):
            saw.picked = wrong
    assert saw.picked == [1, 2]


def test_two_thousand_long_texts_stay_below_a_megabyte(monkeypatch):
    g = torch.Generator().manual_seed(0)
    share = 1 / torch.arange(1, 4001).double()  # words as frequent as in a text (Zipf)
    x = torch.multinomial(share, 2000 * 128, replacement=True, generator=g).reshape(2000, 128)

    class Words:
        length, vocab, labels, pad_id = 128, 4000, [f"##word{k}" for k in range(4000)], None
        spec = staticmethod(dict)

        def sample(self, n, seed=0):
            return torch.zeros(n, self.length, dtype=torch.long)

    z = torch.nn.functional.normalize(torch.randn(2000, 1, 4, generator=g), dim=-1) * 2
    monkeypatch.setattr("lddm_lite.widgets.latent_explorer.encoded", lambda model, x: z)
    e = LatentExplorer(small("co-seq", Words(), dim=4), x, map=LatentMap.fit(z, method="pca"))
    assert len(e._fragment(live=True)) < 1e6, len(e._fragment(live=True))


def test_hostile_text_stays_inside_the_payload(tmp_path):
    e = hostile()
    e.to_html(tmp_path / "e.html")
    page = (tmp_path / "e.html").read_text()
    assert "onerror=alert" not in page.replace(html.escape(HOSTILE[0]), "") and page.count("</script>") == 1
    assert e.still().startswith(b"\x89PNG")


def test_the_model_comes_along_where_asked_for(settled):
    e = LatentExplorer(small(), SAW.sample(9, seed=0), weights="int8")
    p = unpack(e.data)
    walk = p["head"]["walk"]
    assert np.array_equal(p["z"], e.z.flatten(1)) and walk["map"] == {"kind": e.map.kind} | (
        {} if e.map.kind != "pca" else {"mean": e.map.mean.tolist(), "axes": e.map.axes.tolist()}
    )
    assert walk["a0"] == float(e.model.latent_channel.coefficients(torch.tensor(0.0))[0]) and walk["mask"] == 2
    assert list(e.weights()) == [walk["key"]] and "function serve(" in e._esm
    model = small("di-seq", NEWS, slots=2, codes=64, dim=4)
    model.encoder = settled(NEWS, "discrete", slots=2, codes=64, dim=4)
    e = LatentExplorer(model, NEWS.sample(60, seed=1), weights="int8")
    p = unpack(e.data)
    assert p["used"].tolist() == e.z.unique().tolist()
    assert np.allclose(p["book"], model.encoder.codebook.detach()[e.z.unique()])
    assert e.answer({"weights": p["head"]["walk"]["key"]})["weights"]
