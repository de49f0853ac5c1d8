"""Installation check: what is installed, what is missing, and the command that mends it, ``python
-m lddm_lite doctor``.

Versions are read from the packages' metadata; only torch is imported, since only torch knows the
device.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .._common.files import cache_folder
from .._common.words import counted

ROOT = Path(__file__).resolve().parents[2]
LOWEST, BELOW = (3, 11), (3, 15)  # Python, as in pyproject.toml

# (distribution, is the library nothing without it?, what it is for); the names are those of
# pyproject.toml.
PACKAGES = (
    ("torch", True, "models, training, sampling"),
    ("numpy", True, "tasks and traces"),
    ("safetensors", True, "checkpoints"),
    ("filelock", True, "one process at a time"),
    ("tqdm", True, "progress"),
    ("tokenizers", False, "text of your own"),
    ("matplotlib", False, "figures"),
    ("seaborn", False, "figures"),
    ("ipywidgets", False, "interactive notebooks"),
    ("anywidget", False, "scrubbers"),
    ("jupyterlab", False, "notebooks"),
    ("transformers", False, "pretrained encoders"),
    ("accelerate", False, "training in several processes"),
    ("umap-learn", False, "maps of the latents"),
    ("pytest", False, "make test"),
    ("ruff", False, "make lint"),
    ("mypy", False, "make lint"),
)


@dataclass(frozen=True)
class Check:
    """One line of the report. ``state`` is ok, note (works, but), missing or wrong; ``mend`` is a
    command.

    >>> Check("numpy", "missing", "tasks", mend="python -m pip install numpy", required=True).failed
    True
    """

    name: str
    state: str
    detail: str
    mend: str = ""
    required: bool = False

    @property
    def failed(self) -> bool:
        """True if the library cannot work before this is mended."""
        return self.required and self.state in ("missing", "wrong")


def report() -> list[Check]:
    """Every check, in the order in which it is printed. Raises nothing: a package that fails is a
    line too.

    >>> [check.name for check in report()][:2]
    ['python', 'torch']
    """
    bounds = _bounds()
    torch, *others = [_package(*row, bounds.get(row[0])) for row in PACKAGES]
    device = [] if torch.state == "missing" else [_device()]
    return [_python(), torch, *device, *others, *_folders()]


def main(argv: list[str] | None = None) -> int:
    """Print the report and what mends it; 1 if something required is missing, else 0. ``argv``:
    ``["python"]`` looks at the interpreter alone, before anything is installed.

    >>> main(["python"])  # doctest: +SKIP
    """
    checks = [_python()] if argv == ["python"] else report()
    for check in checks:
        state = check.state.upper() if check.failed else check.state
        print(f"{state:>8}  {check.name:<12} {check.detail}")
    mends = [check.mend for check in checks if check.mend]
    if len(mends) > 1 and (ROOT / "Makefile").exists():
        mends.insert(0, "make install  # everything at once, in .venv; or one by one:")
    print("\n" + "\n  ".join(["To mend:", *mends] if mends else ["All is well."]))
    return int(any(check.failed for check in checks))


def _python() -> Check:
    detail = f"{sys.version.split()[0]}  ({sys.executable})"
    if LOWEST <= sys.version_info[:2] < BELOW:
        return Check("python", "ok", detail)
    low, high = (f"{major}.{minor}" for major, minor in (LOWEST, BELOW))
    return Check("python", "wrong", f"{detail}, needs >={low},<{high}", f"make lab PYTHON=python{low}", True)


def _package(name: str, required: bool, purpose: str, bounds=None) -> Check:
    constraints = ROOT / "constraints.txt"
    pin = ["-c", _short(constraints)] if constraints.exists() else []
    mend = shlex.join([_short(Path(sys.executable)), "-m", "pip", "install", *pin, f"{name}{bounds or ''}"])
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "missing", f"({purpose})", mend, required)
    if bounds and not bounds.contains(version, prereleases=True):
        return Check(name, "wrong", f"{version}, but {bounds} is needed  ({purpose})", mend, required)
    return Check(name, "ok", f"{version}  ({purpose})", required=required)


def _bounds() -> dict:
    """Version bounds by package, from our own metadata; empty where that, or ``packaging``, is
    missing."""
    try:
        from packaging.requirements import Requirement
        return {r.name: r.specifier for r in map(Requirement, metadata.requires("lddm-lite") or [])}
    except (ImportError, metadata.PackageNotFoundError):
        return {}


def _device() -> Check:
    try:
        import torch
    except Exception as error:  # a broken build fails in many ways, and each belongs in the report
        return Check("device", "wrong", f"torch does not import: {error}", required=True)
    if torch.cuda.is_available():
        return Check("device", "ok", f"cuda: {torch.cuda.get_device_name(0)}")
    n = torch.get_num_threads()
    detail = "mps" if torch.backends.mps.is_available() else f"cpu, {counted(n, 'thread')}"
    if shutil.which("nvidia-smi") and not torch.version.cuda:
        return Check("device", "note", f"{detail}; the GPU idles, for this torch is a CPU build")
    return Check("device", "ok", detail)


def _folders() -> list[Check]:
    cache = cache_folder()
    free = shutil.disk_usage(next(p for p in (cache, *cache.parents) if p.exists())).free / 1e9
    checks = [Check("cache", "ok" if free > 1 else "note", f"{cache}  ({free:.1f} GB free)")]
    for path in (ROOT / "notebooks", ROOT / "data" / "checkpoints"):
        state = ("ok", _short(path)) if path.is_dir() else ("note", "not here: only a clone has it")
        checks.append(Check(path.name, *state))
    return checks


def _short(path: Path) -> str:  # as one would type it from here
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
