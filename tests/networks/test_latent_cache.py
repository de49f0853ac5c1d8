"""The cache of latents: nothing is computed twice, and damage is noticed."""

import json

import pytest
import torch

from lddm_lite._common import checkpoint
from lddm_lite.networks import latent_cache
from tests.support.sentences import TEXTS, Letters, fitted

pytestmark = pytest.mark.usefixtures("cache")


def test_the_second_time_nothing_is_computed(cache):
    Letters.calls = 0
    first = fitted().encode(TEXTS, progress=False)
    assert Letters.calls == 120
    assert torch.equal(fitted().encode(TEXTS, progress=False), first) and Letters.calls == 120
    fitted().encode(TEXTS[1:], progress=False)
    assert Letters.calls == 179
    fitted(dim=2)
    assert Letters.calls == 239
    assert not list(cache.glob(".new-*"))


@pytest.mark.parametrize("harm", ["cut", "json", "weights", "other"])
def test_a_damaged_cache_is_noticed_and_built_again(cache, harm):
    encoder = fitted()
    first = encoder.encode(TEXTS, progress=False)
    for folder in cache.iterdir():
        (weights,), config = folder.glob("weights-*"), folder / "config.json"
        if harm == "cut":
            weights.write_bytes(weights.read_bytes()[:-9])
        elif harm == "json":
            config.write_text(config.read_text()[:20])
        elif harm == "weights":
            weights.unlink()
        else:
            config.write_text(json.dumps({**json.loads(config.read_text()), "key": "another"}))
    Letters.calls = 0
    assert torch.equal(encoder.encode(TEXTS, progress=False), first) and Letters.calls == 60
    assert torch.equal(encoder.encode(TEXTS, progress=False), first) and Letters.calls == 60


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="not cached"):
        assert fitted().encode(TEXTS, progress=False).shape == (60, 2, 3)


def test_a_full_disk_leaves_no_half_entry(cache, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_file", full)
    with pytest.warns(UserWarning, match="No space left"):
        fitted()
    assert list(cache.iterdir()) == []


def test_one_who_was_faster_is_no_trouble(cache, monkeypatch):
    def make():
        if not cache.is_dir() or not list(cache.glob("[0-9a-f]*")):
            latent_cache.cached("f" * 64, lambda: {"a": torch.zeros(1)})
        return {"a": torch.zeros(1)}

    assert latent_cache.cached("f" * 64, make)["a"] == 0
    assert [p.name for p in cache.iterdir()] == ["f" * 32]
