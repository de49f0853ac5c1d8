"""Animations of a run, as GIF or MP4."""

from __future__ import annotations

from pathlib import Path as File
from typing import Any

from matplotlib import animation

from .._common import schemas
from .._common.arguments import shown
from .._common.files import staged, user_path
from .._common.progress import bar
from .run_frame import Scene, Still
from .style import look

__all__ = ["animate"]

ENDINGS = {".gif": "pillow", ".mp4": "ffmpeg"}


@schemas.checked(fps=schemas.number(0.01, 50), sample=schemas.whole(0))
def animate(traces, path, fps: float = 4, sample: int = 0, **options) -> File:
    """Animate a run, or up to four side by side: one `frame` per step, the last one held
    for a second.

    `path` ends in .gif, or in .mp4, which needs the program ffmpeg; `fps`: steps shown per second;
    `options`: those of `frame` (order, planes, cloud, hue, names). The file appears whole or not at
    all; missing folders are made. A progress bar shows up when it takes more than three seconds.
    Returns the path.

    Raises ValueError for another ending, fps outside [0.01, 50], and whatever `frame` refuses;
    RuntimeError where ffmpeg is needed and missing.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> run = LatentDiffusion.exact(tasks.Binsaw(length=8)).sample(2, token_steps=2)
    >>> animate(run, "run.gif").stat().st_size > 1000
    True
    """
    path = user_path("path", path)
    kind = ENDINGS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"path must end in {' or '.join(ENDINGS)}, got {shown(path.name)}")
    if not animation.writers.is_available(kind):
        raise RuntimeError(
            f"writing {path.suffix} needs the program ffmpeg, which was not found. Install it (conda install -c "
            "conda-forge ffmpeg; apt install ffmpeg; brew install ffmpeg), or write a .gif, which needs nothing more."
        )
    scene = Scene(traces, **options)
    sample = scene.check_sample(sample)
    make: Any = animation.writers[kind]  # whose annotation wants whole fps
    writer = make(fps=fps)
    figure = scene.draw(Still(), 0, sample)
    held = max(1, round(fps))  # frames that the end stays
    with staged(path, path.suffix) as part, look(savefig_bbox=None), writer.saving(figure, part, 100):
        for step in bar(range(scene.last + 1), desc=path.name, unit="frame", delay=3, leave=False):
            scene.draw(figure, step, sample)
            for _ in range(held if step == scene.last else 1):
                writer.grab_frame(facecolor="white")
    return path
