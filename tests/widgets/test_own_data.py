"""Data of one's own through all that models do and all widgets, in each of the five systems."""

import numpy as np
import pytest
import torch

import lddm_lite as ld
from lddm_lite.config import SYSTEMS
from lddm_lite.widgets import Infill, LatentExplorer, PathExplorer, Playground, Scrubber
from lddm_lite.widgets.payload import unpack

SMALL = dict(width=16, blocks=1, heads=2, encoder_blocks=1, codes=4, dim=2)
LABELS = ["<pad>", "_", "?", "[MASK]", "שלום", "กำ", "e\u0301", "👩‍👩‍👧‍👦", "\u202e", "</script>", "a b", "x" * 3000]


class Own:
    """Five members and a `pad_id`; labels that are marks elsewhere, of several scripts, and hostile."""

    length, vocab, labels, pad_id = np.int64(6), len(LABELS), tuple(LABELS), np.int64(0)

    def spec(self):
        return {"task": "not a built-in one"}

    def sample(self, n, seed=0):
        g = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(int(seed))
        x = torch.randint(1, self.vocab, (n, 6), generator=g)
        ends = torch.randint(1, 7, (n, 1), generator=g)
        return torch.where(torch.arange(6) < ends, x, 0).to(torch.uint8).numpy()


def pictures():
    rng = np.random.default_rng(0)
    return ld.from_arrays(rng.integers(0, 3, (40, 2, 4)).astype("u1"), classes=rng.integers(0, 2, 40))


DATA = {
    "an object": Own,
    "pictures with classes": pictures,
    "truth values": lambda: ld.from_arrays(np.random.default_rng(0).integers(0, 2, (30, 4, 2)).astype(bool)),
    "one token": lambda: ld.from_arrays([[0], [1]] * 8, labels=["a", "a"]),
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("kind", DATA)
def test_data_of_ones_own_goes_through_everything(system, kind, tmp_path):
    data = DATA[kind]()
    train = dict(batch=4, warmup=1, progress=False, out=tmp_path / "run")
    ld.fit(ld.LatentDiffusion.preset(system, data, **SMALL), data, steps=2, **train)
    model = ld.LatentDiffusion.preset(system, data, **SMALL)
    assert ld.fit(model, data, steps=4, resume=True, **train).rows[-1]["step"] == 4
    model = ld.load(tmp_path / "run")
    x = torch.as_tensor(data.sample(8, seed=1)).long()
    assert np.isfinite(model.nelbo(x).total.value)
    free = model.sample(3, token_steps=2, seed=np.int64(1))
    start = x[:2].clone()
    start[:, 0] = model.config.vocab
    filled = model.infill(start, n=2, token_steps=2, seed=0)
    assert (filled.tokens[:, 1:] == x[:2, 1:].repeat_interleave(2, 0).numpy()).all()
    assert [len(t.texts()) for t in (free, filled)] == [3, 4]

    behind = model if model.latent_channel is not None else None
    widgets = [Scrubber(filled, model=behind, data=x.to(torch.uint8)), Playground({"mine": model}), PathExplorer()]
    infill = Infill(model, n=2, token_steps=2)
    assert infill.run().tokens.shape == (2, data.length) and infill.scrubber is not None
    widgets.append(infill.scrubber)
    if behind is not None:
        explorer = LatentExplorer(model, x)
        assert all(len(row) == data.length for row in explorer.answer({"walk": [0, 1]})["tokens"])
        widgets.append(explorer)
    for k, widget in enumerate(widgets):
        assert widget.still()[1:4] == b"PNG"
        widget.to_html(tmp_path / f"{k}.html")
        assert '</script>"' not in (tmp_path / f"{k}.html").read_text(encoding="utf-8")


def test_pictures_are_shown_as_pictures(tmp_path):
    """An object's `shape` is enough, and so is that of an array, whose classes stand in front."""

    class Squares(Own):
        length, vocab, labels, pad_id, shape = 4, 3, ["black", "grey", "white"], None, (2, 2)

        def spec(self):
            return {}

        def sample(self, n, seed=0):
            return torch.zeros(n, 4, dtype=torch.long)

    for data, first, shades in ((Squares(), 0, [0.0, 0.5, 1.0]), (pictures(), 1, [0.0, 0.5, 1.0, 1.0, 1.0])):
        model = ld.LatentDiffusion.preset("mdlm", data, **SMALL)
        run = unpack(Scrubber(model.sample(2, token_steps=2, seed=0), model=model).data)["head"]["runs"][0]
        assert run["view"]["kind"] == "picture" and run["view"]["first"] == first
        assert run["view"]["shades"] == [*shades, 0.0] and run["labels"][-1] == "[MASK]"
        (about,) = unpack(Playground({"mine": model}).data)["head"]["models"]
        assert about["view"]["first"] == first and about["view"]["shades"] == shades


def test_users_who_took_all_usual_marks_have_another():
    data = ld.from_arrays([[0, 1, 2, 3]] * 8, labels=["[MASK]", "_", "?", "a"])
    widget = Infill(ld.LatentDiffusion.preset("mdlm", data, **SMALL), "_ ? □ a", n=2)
    assert "□ stands for one missing word" in widget.hint.value
    assert (widget.run().tokens[:, [0, 1, 3]] == [1, 2, 3]).all()
