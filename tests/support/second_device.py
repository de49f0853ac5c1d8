"""A GPU to pretend with: tensors compute on the CPU, but say that they are on "cuda", and may not
be mixed with others.

What it catches is what code that only ever ran on a CPU gets wrong first: a tensor made on the
wrong device, a generator of the other one, `.numpy()` without `.cpu()`. Kernels, speed and memory
it says nothing of.
"""

from __future__ import annotations

from contextlib import contextmanager
from unittest import mock

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU, CPU = torch.device("cuda:0"), torch.device("cpu")
# take tensors of several devices
MIXES = {"copy_", "_to_copy", "set_", "_has_compatible_shallow_copy_type"}
INDEXES = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
# made anew at each look: compared by ==
DEVICE, IS_CUDA = torch.Tensor.device.__get__, torch.Tensor.is_cuda.__get__
TO_HOST = {"numpy", "__array__", "numpy_force"}


def _device(d) -> torch.device:
    d = torch.device(d)
    return GPU if d.type == "cuda" else d


class Generator(torch.Generator):
    """A generator of the pretended device: the CPU's numbers."""

    def __new__(cls, device="cpu"):
        made = super().__new__(cls)
        made.place = _device(device)
        return made

    def __init__(self, device="cpu"):
        pass

    @property
    def device(self):
        return self.place

    def manual_seed(self, seed):  # the C function returns a generator without our attributes
        super().manual_seed(seed)
        return self


class _Places:
    """Where each storage is said to be; views share the place of what they view. The weak
    references keep a storage's address from being used again while it is listed."""

    def __init__(self):
        self.of: dict[int, StorageWeakRef] = {}  # those on the GPU
        self.used = False
        self.limit = 10_000

    def get(self, t) -> torch.device:
        return GPU if t.untyped_storage()._cdata in self.of else CPU

    def set(self, t, place) -> None:
        store = t.untyped_storage()
        if place == GPU:
            self.of[store._cdata], self.used = StorageWeakRef(store), True
        else:
            self.of.pop(store._cdata, None)
        if len(self.of) > self.limit:
            self.of = {at: ref for at, ref in self.of.items() if not ref.expired()}
            self.limit = 2 * len(self.of) + 10_000


class _Below(TorchDispatchMode):
    """Each operation's tensors must be in one place; what it makes is there too."""

    def __init__(self, places, factory):
        super().__init__()
        self.places, self.factory = places, factory

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func._schema.name.split("::")[1]
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        with torch._C.DisableTorchFunction():
            known = {t.untyped_storage()._cdata for t in given}
            place = self.places.get(given[0]) if given else self.factory[-1]
            if name not in MIXES:
                # the others may be indices on the CPU
                bound = given[:1] if name in INDEXES else given
                found = {self.places.get(t) for t in bound if t.dim() or self.places.get(t) == GPU}
                if len(found) > 1:  # numbers of the CPU may join
                    raise RuntimeError(f"{name}: expected all tensors to be on the same device, found {found}")
                place = found.pop() if found else place
            out = func(*args, **kwargs)
            for t in tree_leaves(out):
                if isinstance(t, torch.Tensor) and t.untyped_storage()._cdata not in known:
                    self.places.set(t, place)
        return out


class _Above(TorchFunctionMode):
    """What names a device is taken over: `.device`, `.to`, `.cuda`, `.cpu`, `device=`."""

    def __init__(self, places, factory):
        super().__init__()
        self.places, self.factory = places, factory

    def moved(self, t, place):
        if self.places.get(t) == place:
            return t
        t = t.clone()
        self.places.set(t, place)
        return t

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if func == DEVICE and not args[0].is_meta:
            return self.places.get(args[0])
        if func == IS_CUDA:
            return self.places.get(args[0]) == GPU
        if isinstance(kwargs.get("generator"), torch.Generator):
            first = args[0] if args and isinstance(args[0], torch.Tensor) else None
            place = kwargs.get("device") or (CPU if first is None else self.places.get(first))
            if _device(place) != kwargs["generator"].device:
                raise RuntimeError(f"{name}: expected a generator on {place}, found {kwargs['generator'].device}")
        if name in TO_HOST and self.places.get(args[0]) != CPU:
            raise TypeError("can't convert a cuda tensor to numpy: use Tensor.cpu() first")
        if name in ("cuda", "cpu") and args and isinstance(args[0], torch.Tensor):
            return self.moved(args[0], GPU if name == "cuda" else CPU)
        if func is torch.Tensor.to:
            t, rest, place = args[0], [], None
            for a in args[1:]:
                if isinstance(a, torch.Tensor):
                    place, rest = self.places.get(a), [*rest, a.dtype]
                elif isinstance(a, (str, torch.device)):
                    place = _device(a)
                elif isinstance(a, torch.dtype):
                    rest.append(a)
            asked = kwargs.pop("device", None)
            place = place if asked is None else _device(asked)
            if place is not None and place.type not in ("cuda", "cpu"):  # "meta"
                return func(t, place, *rest, **kwargs)
            out = func(t, *rest, **kwargs) if rest or kwargs.get("dtype") else t
            return out if place is None else self.moved(out, place)
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        # of what the function makes inside
        place = GPU if any(self.places.get(t) == GPU for t in given) else CPU
        asked = None
        if kwargs.get("device") is not None and _device(kwargs["device"]).type in ("cuda", "cpu"):
            asked = place = _device(kwargs["device"])
            kwargs["device"] = CPU
        self.factory.append(place)
        try:
            out = func(*args, **kwargs)
        finally:
            self.factory.pop()
        if asked is None:
            return out
        return tree_map(lambda t: self.moved(t, place) if isinstance(t, torch.Tensor) else t, out)


@contextmanager
def pretended_gpu():
    """Within the block torch.cuda.is_available() is true, and "cuda" is a second device on the CPU.
    Yields what tells, as `used`, whether anything ever was on it."""
    places, factory = _Places(), [CPU]
    swaps = [
        mock.patch("torch.Generator", Generator),
        mock.patch("torch.cuda.is_available", lambda: True),
        mock.patch("torch.cuda.is_bf16_supported", lambda *a: True),
        mock.patch("torch.cuda.synchronize", lambda *a: None),
        mock.patch("torch.cuda.get_device_name", lambda *a: "pretended"),
    ]
    for s in swaps:
        s.start()
    try:
        with _Below(places, factory), _Above(places, factory):
            yield places
    finally:
        for s in swaps:
            s.stop()
