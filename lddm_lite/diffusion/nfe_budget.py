"""NFE budgets: how a total number of network calls, the price to compare at, is divided between the
two channels."""

from __future__ import annotations

from .._common import schemas
from .._common.arguments import shown
from .._common.protocols import Model
from .paths import Curve, Path

__all__ = ["USUAL", "split"]

USUAL = (1, 2, 4, 8, 16, 32, 64, 128)  # the field's totals (METHOD 9)
MOST_LATENT_STEPS = 16  # of continuous latents, by default


@schemas.checked(
    "model", "path", nfe=schemas.whole(1, limit="steps"), latent_share=schemas.maybe(schemas.number(0.0, 1.0)),
    latent_steps=schemas.maybe(schemas.whole(1)),
)  # fmt: skip
def split(
    model: Model,
    nfe: int,
    latent_share: float | None = None,
    latent_steps: int | None = None,
    path: Path | Curve | None = None,
) -> tuple[int, int, Path | Curve]:
    """(token_steps, latent_steps, path) with which `model.sample` makes exactly `nfe` network calls
    on `path`, by default the model's own.

    - no latents: all calls move the tokens.
    - joint (lead 0) or a Curve: every call moves both channels.
    - sequential: the calls add up. Latents get `latent_steps`, or the share `latent_share` of the
      calls, rounded, but at least one, and so do the tokens. By default half of the calls, at most
      16 for continuous latents and one per slot for discrete ones. In a single call both channels
      move at once: the path is then the joint one.
    - leads in between: calls that move both are counted once, and the latent steps may differ from
      those asked for where nothing else gives `nfe`.

    Its arguments:

    - `model`: its path, kind of latents and slots decide;
    - `nfe`: the total of network calls;
    - `latent_share`: in [0, 1]; None, as is the next, for the default;
    - `latent_steps`: from 1 to `nfe` - 1; without meaning, as the share, in the first two cases;
    - `path`: None for the model's own.

    ValueError for an `nfe` below 1, both share and steps given, a share outside [0, 1], and latent
    steps that leave the tokens none.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> split(LatentDiffusion.preset("co-seq", tasks.Binsaw(length=16)), 64)
    (48, 16, Path(lead=0.5))
    """
    if latent_share is not None and latent_steps is not None:
        raise ValueError(f"give latent_share or latent_steps, not both; got {shown(latent_share)} and {latent_steps!r}")
    path = path or model.path
    if model.latent_channel is None:
        return nfe, 0, path
    if path.shared:
        return nfe, nfe, path
    if latent_steps is not None:
        if latent_steps >= nfe:
            raise ValueError(f"latent_steps must be below nfe={nfe}: tokens need a call too; got {latent_steps}")
        wanted = latent_steps
    elif nfe == 1:
        return 1, 1, Path.joint()
    elif latent_share is not None:
        wanted = min(nfe - 1, max(1, round(latent_share * nfe)))
    else:
        most = MOST_LATENT_STEPS if model.config.latent == "continuous" else model.config.slots
        wanted = min(most, max(1, nfe // 2))
    return _near(path, nfe, wanted)


def _near(path: Path | Curve, nfe: int, wanted: int) -> tuple[int, int, Path | Curve]:
    """The token and latent steps of `nfe` calls in all whose latter are nearest to `wanted`, more
    rather than fewer."""
    for latent_steps in sorted(range(1, nfe), key=lambda k: (abs(k - wanted), -k)):
        for token_steps in range(nfe - latent_steps, nfe + 1):  # all calls apart, ..., each latent call moves both
            if path.nfe(token_steps, latent_steps) == nfe:
                return token_steps, latent_steps, path
    raise ValueError(f"nfe={nfe} calls cannot be divided on {path}")
