"""Pack the larger checkpoints as the archives that `networks.shipped` fetches:

    python -m tests.support.pack_checkpoints FOLDER

writes FOLDER/NAME.zip for each name of `shipped.ELSEWHERE` that lies in data/checkpoints, and prints the
lines of ELSEWHERE with their SHA-256. The same files always give the same archive. To publish: put the
archives at one address, and that address and these lines into lddm_lite/networks/shipped.py.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path

from lddm_lite._common import checkpoint, files
from lddm_lite.networks import shipped
from tests.support import ROOT

WHEN = (1980, 1, 1, 0, 0, 0)  # of every file, so that archives are alike


def packed(folder: Path) -> bytes:
    """The archive of a checkpoint: its files at the top, in order, not compressed, since weights hardly
    shrink and each zlib does it in its own way."""
    kept = [checkpoint.read(folder)[1]["weights"], "config.json", "run.json", "history.csv", "scores.json"]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        for name in sorted(n for n in kept if (folder / n).is_file()):
            entry = zipfile.ZipInfo(name, WHEN)
            entry.external_attr = 0o644 << 16
            z.writestr(entry, (folder / name).read_bytes())
    return out.getvalue()


def main(out: str, source: Path = ROOT / "data" / "checkpoints", names=None) -> dict[str, str]:
    """Write the archives; their SHA-256 by name."""
    digests = {}
    for name in shipped.ELSEWHERE if names is None else names:
        if not checkpoint.is_checkpoint(source / name):
            print(f"# {name} is not in {source}", file=sys.stderr)
            continue
        data = packed(source / name)
        files.write(Path(out) / f"{name}.zip", data)
        digests[name] = hashlib.sha256(data).hexdigest()
        print(f'    "{name}": "{digests[name]}",')
    return digests


if __name__ == "__main__":
    main(*sys.argv[1:])
