"""`python -m lddm_lite`: nothing is imported here, so that `doctor` also works where torch does
not."""

import contextlib
import os
import sys


def main(argv=None) -> int:
    """Run one command of `lddm_lite.cli.commands` and return its exit status.

    >>> main(["doctor"])  # doctest: +SKIP
    """
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["doctor"] and argv[1:] in ([], ["python"]):
        from .cli.doctor import main as doctor
        from .cli.terminal import prepared

        with prepared(steady=True):  # whoever reads may have seen enough
            status = doctor(argv[1:])
            sys.stdout.flush()
        return status
    try:
        from .cli.commands import main as cli

        return cli(argv)
    except ModuleNotFoundError as e:
        print(f"error: {e}; `python -m lddm_lite doctor` says what is missing", file=sys.stderr)
        return 2


if __name__ == "__main__":
    status = main()
    if "LOCAL_RANK" in os.environ:  # one of several processes: a thread of gloo's that lets go of its last tensor
        with contextlib.suppress(OSError):  # while Python ends aborts (github.com/pytorch/pytorch/issues/190489)
            sys.stdout.flush()
        os._exit(status)
    sys.exit(status)
