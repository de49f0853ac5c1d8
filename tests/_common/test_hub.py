"""Is the hub of models within reach?"""

from lddm_lite._common import hub


def test_whether_the_hub_answers_is_told_at_once(monkeypatch):
    monkeypatch.setattr(hub.urllib.request, "getproxies", dict)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not hub.online()
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    assert not hub.online()
    monkeypatch.setattr(hub.urllib.request, "getproxies", lambda: {"http": "http://127.0.0.1:3128"})
    assert hub.online(), "a proxy is trusted"
