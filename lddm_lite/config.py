"""Model configuration: every field is an option of `LatentDiffusion.preset` and of the
command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from ._common import arguments
from ._common.arguments import integer, number, shown
from ._common.options import check_fields, option

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
    "minilm": {
        kind: dict(width=384, blocks=6, heads=12, network="bert") for kind in ("none", "continuous", "discrete")},
}


@dataclass(frozen=True)
class Config:
    """Configuration of a model: everything that defines its function, apart from its weights.

    >>> Config.preset("fuji", length=32, vocab=2).system
    'co-joint'
    """

    length: int = option(help="tokens per sequence L", minimum=1)
    vocab: int = option(help="token ids 0..V-1; the mask is id V", minimum=2)
    system: str = option("co-seq", "mdlm, co-joint, co-seq, di-joint or di-seq", metavar="S")
    latent: str = option("continuous", "kind of latents", choices=("none", "continuous", "discrete"))
    lead: float = option(0.5, "path that it samples on: 0 joint, 0.5 sequential", minimum=0.0, maximum=0.5)  # M10
    pad_id: int | None = option(None, "padding, which is neither noised nor scored", minimum=0)
    slots: int = option(1, "latent slots m", minimum=1)
    dim: int = option(8, "coordinates d of a latent slot", minimum=1)
    codes: int = option(256, "codebook size K of discrete latents", minimum=2)
    width: int = option(64, "transformer width of both streams", minimum=8)
    blocks: int = option(3, "transformer blocks", minimum=1)
    heads: int = option(4, "attention heads; they divide the width", minimum=1)
    network: str = option(
        "plain", "text: rotary attention, small embeddings, open gates at the start; --size has text. bert: BERT's own "
        "blocks, one set for tokens and latents, for --init-from minilm; --size minilm has it",
        choices=("plain", "text", "bert"))
    encoder: str = option(
        "learned", "what makes the latents: learned; mixture, codes that are the classes of a mixture of products; or "
        "of a text a frozen encoder: minilm, a folder, a name on the hub; codes are then k-means of its vectors")
    encoder_blocks: int = option(2, "transformer blocks of the encoder", minimum=1)
    log_snr_max: float = option(6.0, "log signal-to-noise ratio of continuous latents at t_z=0, their noise floor")
    log_snr_min: float = option(-6.0, "the same at t_z=1, pure noise")  # M5
    latent_schedule: str = option(
        "linear", "linear: that log ratio falls evenly; sqrt: Diffusion-LM's schedule, more steps at much noise",
        choices=("linear", "sqrt"))  # METHOD 2
    own_share: float = option(0.7, "share of training times drawn on the system's own path", minimum=0.0, maximum=1.0)
    off_path_share: float = option(
        0.1, "share drawn off every path, which infilling needs; the rest is on random leads", minimum=0.0, maximum=1.0)

    def __post_init__(self):
        check_fields(self)
        if self.system not in (*SYSTEMS, "exact"):
            raise ValueError(f"system must be one of {', '.join([*SYSTEMS, 'exact'])}; got {shown(self.system)}")
        arguments.word("encoder", self.encoder)
        for name in ("length", "vocab", "codes", "width", "slots", "dim"):
            arguments.within(name, getattr(self, name))
        arguments.within("blocks", self.blocks)
        arguments.within("blocks", self.encoder_blocks, "encoder_blocks")
        if self.system != "exact":
            arguments.within("parameters", self.parameters(), "the number of weights that these sizes make")
        if not self.log_snr_min < self.log_snr_max or max(abs(self.log_snr_min), abs(self.log_snr_max)) > 60:
            raise ValueError(
                f"log_snr_min must be below log_snr_max, both in [-60, 60]; got {self.log_snr_min}, {self.log_snr_max}"
            )
        # a learned encoder puts its slots on a sphere, which on a line would be two points; an
        # exact model may have any
        if self.system != "exact":
            integer("dim", self.dim, minimum=2)
        number("off_path_share", self.off_path_share, 0.0, 1.0 - self.own_share)
        if self.pad_id is not None:
            integer("pad_id", self.pad_id, 0, self.vocab - 1)
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads={self.heads}, got {self.width}")
        if self.network == "text" and self.width // self.heads % 2:
            raise ValueError(f"network='text' needs an even width per head, got {self.width} / {self.heads}")
        if self.encoder == "mixture" and self.latent != "discrete":
            raise ValueError(f"encoder='mixture' needs discrete latents, got latent={self.latent!r}")
        if self.encoder != "learned" and self.latent == "none":
            raise ValueError(f"encoder={shown(self.encoder)} needs latents, got latent='none'")

    @classmethod
    def preset(cls, system: str, length: int, vocab: int, size: str | None = None, **changes) -> Config:
        """The configuration of one of the five systems. `size`: tiny, small, base or minilm stands for
        width, blocks and heads (see `SIZES`); None leaves the defaults. `changes` are fields, and
        go before the size. Raises ValueError naming an unknown system, size or option.

        >>> Config.preset("co-seq", length=64, vocab=4000, size="tiny", blocks=4).width
        128
        """
        system = ALIASES.get(system, system) if isinstance(system, str) else system
        if not isinstance(system, str) or system not in SYSTEMS:
            raise ValueError(f"system must be one of {', '.join([*SYSTEMS, *ALIASES])}; got {shown(system)}")
        known = {f.name for f in fields(cls)}
        for name in changes:
            if name not in known:
                raise ValueError(f"unknown option {name!r}; allowed are {', '.join(sorted(known))}")
        sized = size_fields(size, changes.get("latent", SYSTEMS[system]["latent"]))
        if changes.get("encoder") == "mixture":  # whose vectors are what a code says of each place and token
            changes["dim"] = length // changes.get("slots", cls.slots) * vocab
        return cls(**{"length": length, "vocab": vocab, "system": system, **SYSTEMS[system], **sized, **changes})

    @property
    def per_token(self) -> bool:
        """Are latents one a token, with its position, and none where there is padding?

        >>> Config.preset("co-joint", length=8, vocab=2, slots=8, network="bert").per_token
        True
        """
        return self.network == "bert" and self.latent != "none" and self.slots == self.length

    def parameters(self) -> int:
        """About how many weights a network of these sizes has.

        >>> Config.preset("mdlm", length=8, vocab=2).parameters()
        147904
        """
        block, streams = 12 * self.width**2, 1 if self.latent == "none" or self.network == "bert" else 2
        encoder = 0 if self.latent == "none" or self.encoder != "learned" else 2 * block * self.encoder_blocks
        codes = self.codes * (self.width + self.dim) if self.latent == "discrete" else 0
        return block * self.blocks * streams + encoder + codes + self.width * (2 * self.vocab + self.slots * 2 + 1)

    def changed(self, **changes) -> Config:
        """A copy with some fields replaced."""
        return replace(self, **changes)

    def to_dict(self) -> dict:
        """Plain values, for JSON."""
        return asdict(self)


def size_fields(size: str | None, latent: str) -> dict:
    """The fields of `Config` that a size stands for; none for None. ValueError for an unknown size.

    >>> size_fields("base", "none")
    {'network': 'text', 'width': 768, 'blocks': 12, 'heads': 12}
    """
    if size is None:
        return {}
    if not isinstance(size, str) or size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}; got {shown(size)}")
    return {"network": "text", **SIZES[size][latent]}
