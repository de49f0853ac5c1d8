"""The transformer of two streams: rotary attention, and a last block that leaves out what nobody
asks for."""

import pytest
import torch

from lddm_lite.networks.transformer import TwoStreamTransformer, _attention, rotation

# --- rotary attention -----------------------------------------------------------------------------

B, M, L, H, D = 2, 3, 6, 2, 8


def mixed(m, length, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(B, m + length, 3 * H * D, generator=g, dtype=torch.float64)


def test_products_depend_on_distances():
    """Queries and keys of the same content: their product after turning is a function of i - j, as
    in a float64 sum."""
    like = torch.zeros(1, dtype=torch.float64)
    cos, sin = rotation(0, L, D, like)
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, D, generator=g, dtype=torch.float64)

    def turned(v, i):
        a, b = v.chunk(2)
        return torch.cat([a * cos[i] - b * sin[i], a * sin[i] + b * cos[i]])

    products = torch.stack([torch.stack([turned(q, i) @ turned(k, j) for j in range(L)]) for i in range(L)])
    for gap in range(-L + 1, L):
        along = products.diagonal(gap)
        # angles are float32
        torch.testing.assert_close(along, along[:1].expand_as(along), rtol=0, atol=1e-5)
    assert products[0].std() > 0.1  # and it does depend on them


def test_latents_are_not_turned_and_no_turn_is_plain_attention():
    x = mixed(M, L)
    still = tuple(t.clone() for t in rotation(M, L, D, x))
    assert (still[0][: M + 1] == 1).all() and (still[1][: M + 1] == 0).all()
    still[0].fill_(1)
    still[1].zero_()
    torch.testing.assert_close(_attention(x, H, still), _attention(x, H))
    only = mixed(M, 0)
    torch.testing.assert_close(_attention(only, H, rotation(M, 0, D, only)), _attention(only, H))


# --- the last block -------------------------------------------------------------------------------

W = 16


def streams(timed, seed=0):
    """A float64 network that is not the identity, and its inputs."""
    g = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = TwoStreamTransformer(W, blocks=2, heads=2, latent=True, timed=timed).double()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "modulation" in name:
                p.copy_(torch.randn(p.shape, generator=g))
    shapes = ((B, L, W), (B, M, W), (B, W))
    h, y, cond = (torch.randn(s, generator=g, dtype=torch.float64).requires_grad_() for s in shapes)
    return net, h, y, cond if timed else None


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_last_block_finished_where_asked_is_the_whole_one(timed, share):
    """Values and gradients in float64: those of finishing all positions and picking afterwards."""
    net, h, y, cond = streams(timed)
    where = torch.rand(B, L, generator=torch.Generator().manual_seed(1)) < share
    inputs = [h, y, *([cond] if timed else []), *net.parameters()]
    whole, slots = net(h, y, cond)
    some, same = net(h, y, cond, tokens=where)
    torch.testing.assert_close(some, whole[where])
    torch.testing.assert_close(same, slots)
    w = torch.randn(some.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    a, b = (
        torch.autograd.grad((out * w).sum() + slots.pow(2).sum(), inputs, retain_graph=True, allow_unused=True)
        for out, slots in ((whole[where], slots), (some, same))
    )
    assert share == 0 or sum(v is not None and bool(v.any()) for v in b) > len(b) / 2
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("timed", [False, True])
def test_what_nobody_asks_for_is_left_out_and_changes_nothing(timed):
    net, h, y, cond = streams(timed)
    tokens, latents = net(h, y, cond)
    left, same = net(h, y, cond, tokens=False)
    assert left is None
    torch.testing.assert_close(same, latents)
    same, left = net(h, y, cond, latents=False)
    assert left is None
    torch.testing.assert_close(same, tokens)
