"""The one description of a model: every field is an option of `LatentDiffusion.preset` and of the
command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from ._common.arguments import integer, number

__all__ = ["ALIASES", "Config", "SIZES", "SYSTEMS", "size_fields"]

# system -> what distinguishes it (METHOD 0). A sixth system is one more row.
SYSTEMS: dict[str, dict] = {
    "mdlm": dict(latent="none", lead=0.5),
    "co-joint": dict(latent="continuous", lead=0.0),
    "co-seq": dict(latent="continuous", lead=0.5),
    "di-joint": dict(latent="discrete", lead=0.0),
    "di-seq": dict(latent="discrete", lead=0.5),
}
ALIASES = {"fuji": "co-joint", "seq": "co-seq"}

SIZES: dict[str, dict[str, dict]] = {  # size -> latent kind -> fields of Config
    "tiny": {
        "none": dict(width=160, blocks=6, heads=5),
        "continuous": dict(width=128, blocks=3, heads=4),
        "discrete": dict(width=128, blocks=5, heads=4),
    },
    "small": {
        "none": dict(width=512, blocks=8, heads=8),
        "continuous": dict(width=384, blocks=5, heads=6),
        "discrete": dict(width=384, blocks=7, heads=6),
    },
    "base": {kind: dict(width=768, blocks=12, heads=12) for kind in ("none", "continuous", "discrete")},
}


@dataclass(frozen=True)
class Config:
    """Everything that defines a model's function, apart from its weights.

    >>> Config.preset("fuji", length=32, vocab=2).system
    'co-joint'
    """

    length: int  # L, tokens per sequence
    vocab: int  # V, token ids 0..V-1; the mask is id V
    system: str = "co-seq"  # mdlm | co-joint | co-seq | di-joint | di-seq
    latent: str = "continuous"  # none | continuous | discrete
    lead: float = 0.5  # the path this system samples on by default (M10): 0 joint, 1/2 sequential
    pad_id: int | None = None  # padding is neither noised nor scored
    slots: int = 1  # m, latent slots
    dim: int = 8  # d, coordinates per slot
    codes: int = 256  # K, codebook size of discrete latents
    width: int = 64  # transformer width of both streams
    blocks: int = 3
    heads: int = 4
    network: str = "plain"  # or text: rotary attention, and a start that learns many words and their neighbours sooner
    encoder: str = "learned"  # learned, or a frozen text encoder: minilm, a folder, a name on the hub
    encoder_blocks: int = 2
    log_snr_max: float = 6.0  # noise floor of the latents, at t_z=0 (M5)
    log_snr_min: float = -6.0
    latent_schedule: str = "linear"  # of the log-SNR between these, or sqrt: Diffusion-LM's (METHOD 2)
    own_share: float = 0.7  # share of training times drawn on the system's own path, ...
    off_path_share: float = 0.1  # ... with t_x, t_z independent (which infilling needs); the rest on random leads

    def __post_init__(self):
        # a learned encoder puts its slots on a sphere, which on a line would be two points; an
        # exact model may have any
        dim = 1 if self.system == "exact" else 2
        for name, low in dict(length=1, vocab=2, slots=1, dim=dim, codes=2, width=8, blocks=1, heads=1).items():
            integer(name, getattr(self, name), minimum=low)
        integer("encoder_blocks", self.encoder_blocks, minimum=1)
        number("lead", self.lead, 0.0, 0.5)
        number("own_share", self.own_share, 0.0, 1.0)
        number("off_path_share", self.off_path_share, 0.0, 1.0 - self.own_share)
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads={self.heads}, got {self.width}")
        if self.network not in ("plain", "text"):
            raise ValueError(f"network must be plain or text, got {self.network!r}")
        if self.network == "text" and self.width // self.heads % 2:
            raise ValueError(f"network='text' needs an even width per head, got {self.width} / {self.heads}")
        if self.latent_schedule not in ("linear", "sqrt"):
            raise ValueError(f"latent_schedule must be linear or sqrt, got {self.latent_schedule!r}")
        if self.latent not in ("none", "continuous", "discrete"):
            raise ValueError(f"latent must be none, continuous or discrete, got {self.latent!r}")
        if self.encoder != "learned" and self.latent != "continuous":
            raise ValueError(f"encoder={self.encoder!r} needs continuous latents, got latent={self.latent!r}")
        if self.pad_id is not None:
            integer("pad_id", self.pad_id, 0, self.vocab - 1)

    @classmethod
    def preset(cls, system: str, length: int, vocab: int, size: str | None = None, **changes) -> Config:
        """The configuration of one of the five systems. `size`: tiny, small or base stands for
        width, blocks and heads (see `SIZES`); None leaves the defaults. `changes` are fields, and
        go before the size. Raises ValueError naming an unknown system, size or option.

        >>> Config.preset("co-seq", length=64, vocab=4000, size="tiny", blocks=4).width
        128
        """
        system = ALIASES.get(system, system)
        if system not in SYSTEMS:
            raise ValueError(f"system must be one of {', '.join([*SYSTEMS, *ALIASES])}; got {system!r}")
        known = {f.name for f in fields(cls)}
        for name in changes:
            if name not in known:
                raise ValueError(f"unknown option {name!r}; allowed are {', '.join(sorted(known))}")
        sized = size_fields(size, changes.get("latent", SYSTEMS[system]["latent"]))
        return cls(**{"length": length, "vocab": vocab, "system": system, **SYSTEMS[system], **sized, **changes})

    def changed(self, **changes) -> Config:
        """A copy with some fields replaced."""
        return replace(self, **changes)

    def to_dict(self) -> dict:
        """Plain values, for JSON."""
        return asdict(self)


def size_fields(size: str | None, latent: str) -> dict:
    """The fields of `Config` that a size stands for; none for None. ValueError for an unknown size.

    >>> size_fields("base", "none")
    {'width': 768, 'blocks': 12, 'heads': 12, 'network': 'text'}
    """
    if size is None:
        return {}
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}; got {size!r}")
    return {**SIZES[size][latent], "network": "text"}
