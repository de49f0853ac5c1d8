"""A run as a film."""

import itertools

import pytest
from matplotlib import animation
from PIL import Image

from lddm_lite import plots
from lddm_lite.plots import run_frame


def test_a_gif_has_a_frame_per_step_and_holds_the_last(saws, tmp_path):
    path = plots.animate(saws["none"], tmp_path / "new" / "run.gif", fps=5, sample=2)
    assert path == tmp_path / "new" / "run.gif" and [p.name for p in path.parent.iterdir()] == ["run.gif"]
    film = Image.open(path)
    shown = []
    for k in range(film.n_frames):
        film.seek(k)
        shown.append((film.info["duration"], film.convert("RGB").tobytes()))
    assert [d for d, _ in shown] == [200, 200, 200, 200, 1000]
    assert len({p for _, p in shown}) == 5 and film.size[0] == 900


def test_an_interrupted_film_leaves_nothing_and_the_old_one_stays(saws, tmp_path, monkeypatch):
    path = tmp_path / "run.gif"
    path.write_bytes(b"old")
    calls = itertools.count()
    draw = run_frame.Scene.draw

    def stop(self, figure, step, sample):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return draw(self, figure, step, sample)

    monkeypatch.setattr(run_frame.Scene, "draw", stop)
    with pytest.raises(KeyboardInterrupt):
        plots.animate(saws["none"], path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_film_needs_its_program(saws, tmp_path, monkeypatch):
    monkeypatch.setattr(animation.writers, "is_available", lambda name: name != "ffmpeg")
    with pytest.raises(RuntimeError, match="apt install ffmpeg"):
        plots.animate(saws["none"], tmp_path / "run.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not animation.writers.is_available("ffmpeg"), reason="ffmpeg is not installed")
def test_an_mp4_is_written(saws, tmp_path):
    path = plots.animate(saws["none"], tmp_path / "run.mp4")
    assert path.read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("run.avi", {}, r"\.gif or \.mp4, got 'run.avi'"),
        ("run", {}, r"\.gif or \.mp4"),
        ("run.gif", {"fps": 0}, "fps"),
        ("run.gif", {"fps": "fast"}, "fps"),
        ("run.gif", {"sample": 9}, "sample"),
        ("run.gif", {"order": [1]}, "order"),
    ],
)
def test_animate_names_a_wrong_argument(name, options, message, saws, tmp_path):
    with pytest.raises(ValueError, match=message):
        plots.animate(saws["none"], tmp_path / name, **options)
    assert not list(tmp_path.iterdir())
