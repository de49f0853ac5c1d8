"""Random pretrained models on disk, made once, and a cache of each test's own."""

import pytest

from tests.support import tiny_models


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    return tiny_models.save(tmp_path_factory.mktemp("bert"), "bert")


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory):
    return tiny_models.save(tmp_path_factory.mktemp("gpt2"), "gpt2")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of cached latents, which begins empty."""
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "frozen"
