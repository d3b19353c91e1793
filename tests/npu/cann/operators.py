"""torch_npu's own operators that vllm-ascend calls, in torch: run once by aclInit, behind
kernels.py, in whose way they work.

Simulated: what a dense decoder-only model needs, eager: norms, SwiGLU, rotary embeddings, the paged
key-value cache, attention over it, top-k and top-p. Their tasks are named like those of the others.
Not simulated: every other operator of torch_npu (it fails: aclnn is missing), formats of the device
(a cast changes nothing), layouts other than TND, log-sum-exp outputs, quantization.
"""

from __future__ import annotations

import importlib
from typing import Any, Callable

import cannsim_kernels as kernels
import torch
import torch.nn.functional as F
from torch import Tensor

CAUSAL = 3  # sparse_mode: the last query sees the last key
REFERENCES: dict[str, Callable[..., Any]] = {}


def reference(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that computes these operators.

    Its parameters have the names of the operators' schemas.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        REFERENCES.update(dict.fromkeys(names, function))
        return function

    return register


# --- norms, activations, sampling ---
@reference("npu::npu_rms_norm")
def rms_norm(input: Tensor, gamma: Tensor, epsilon: float = 1e-6) -> tuple[Tensor, Tensor]:
    scale = torch.rsqrt(input.float().square().mean(-1, keepdim=True) + epsilon)
    return (input.float() * scale).to(input.dtype) * gamma, scale


@reference("npu::npu_add_rms_norm")
def add_rms_norm(
    x1: Tensor, x2: Tensor, gamma: Tensor, epsilon: float = 1e-6
) -> tuple[Tensor, Tensor, Tensor]:
    total = x1 + x2
    return (*rms_norm(total, gamma, epsilon), total)


@reference("npu::npu_swiglu")
def swiglu(input: Tensor, dim: int = -1) -> Tensor:
    gate, up = input.chunk(2, dim)
    return F.silu(gate) * up


@reference("npu::npu_top_k_top_p")
def top_k_top_p(logits: Tensor, p: Tensor | None = None, k: Tensor | None = None) -> Tensor:
    ascending, order = logits.sort(-1)
    if k is not None:
        least = ascending.gather(-1, (logits.shape[-1] - k.long()).unsqueeze(-1))
        ascending = ascending.masked_fill(ascending < least, -torch.inf)
    if p is not None:
        drop = ascending.softmax(-1).cumsum(-1) <= 1 - p.unsqueeze(-1)
        drop[..., -1] = False
        ascending = ascending.masked_fill(drop, -torch.inf)
    return torch.empty_like(logits).scatter_(-1, order, ascending)


# --- rotary embeddings ---
def rotated(x: Tensor, neox: bool) -> Tensor:
    """Return the other half of each pair.

    Pairs are (first half, second half), or neighbours if not `neox`.
    """
    if neox:
        first, second = x.chunk(2, -1)
        return torch.cat((-second, first), -1)
    return torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)


def rotary(x: Tensor, positions: Tensor, cache: Tensor, head_size: int, neox: bool) -> Tensor:
    """Apply rotary embeddings; `cache` is [position, rotated size], cosines before sines."""
    heads = x.reshape(positions.numel(), -1, head_size)
    size = cache.shape[-1]
    halves = cache[positions.long().flatten()].unsqueeze(1).chunk(2, -1)
    cos, sin = (
        torch.cat((half, half), -1) if neox else half.repeat_interleave(2, -1) for half in halves
    )
    turned = heads[..., :size] * cos + rotated(heads[..., :size], neox) * sin
    return torch.cat((turned.to(x.dtype), heads[..., size:]), -1).view(x.shape)


@reference("npu::npu_mrope")
def mrope(
    positions: Tensor,
    query: Tensor,
    key: Tensor,
    cos_sin_cache: Tensor,
    head_size: int,
    rotary_mode: str = "half",
    **more: Any,
) -> tuple[Tensor, Tensor]:
    if positions.dim() != 1:
        raise NotImplementedError(
            "cannsim: npu_mrope with positions of several axes is not simulated"
        )
    turned = [
        rotary(x, positions, cos_sin_cache, head_size, rotary_mode == "half") for x in (query, key)
    ]
    return turned[0], turned[1]


@reference("atb::_npu_rotary_embedding")
def rotary_embedding(
    positions: Tensor,
    query: Tensor,
    key: Tensor,
    head_size: int,
    cos_sin_cache: Tensor,
    is_neox_style: bool,
) -> None:
    for x in (query, key):
        x.copy_(rotary(x, positions, cos_sin_cache, head_size, is_neox_style))


@reference("npu::npu_rotary_mul")
def rotary_mul(
    input: Tensor, r1: Tensor, r2: Tensor, rotary_mode: str = "half", rotate: Tensor | None = None
) -> Tensor:
    return input * r1 + rotated(input, rotary_mode == "half") * r2


@reference("npu::npu_apply_rotary_pos_emb")
def apply_rotary(
    query: Tensor,
    key: Tensor,
    cos: Tensor,
    sin: Tensor,
    layout: str = "",
    rotary_mode: str = "half",
) -> tuple[Tensor, ...]:
    return tuple(rotary_mul(x, cos, sin, rotary_mode) for x in (query, key))


# --- the key-value cache: [block, place in it, head, size] ---
@reference("npu::npu_scatter_pa_kv_cache")
def scatter_cache(
    key: Tensor,
    value: Tensor,
    key_cache: Tensor,
    value_cache: Tensor,
    slot_mapping: Tensor,
    **more: Any,
) -> None:
    for cache, new in ((key_cache, key), (value_cache, value)):
        n = min(len(new), len(slot_mapping))  # padded alike, or not
        used = slot_mapping[:n] >= 0
        slots = slot_mapping[:n][used].long()
        cache[slots // cache.shape[1], slots % cache.shape[1]] = new[:n][used].view(
            -1, *cache.shape[2:]
        )


@reference("atb::_npu_reshape_and_cache")
def reshape_and_cache(
    key: Tensor, value: Tensor, key_cache: Tensor, value_cache: Tensor, slot_indices: Tensor
) -> None:
    scatter_cache(key, value, key_cache, value_cache, slot_indices)


def cached(cache: Tensor, blocks: Tensor, n: int, heads: int) -> Tensor:
    """Return the first n tokens of one request: [n, heads, size]."""
    used = cache[blocks[: -(-n // cache.shape[1])].long()]
    return used.reshape(used.shape[0] * used.shape[1], heads, cache[0, 0].numel() // heads)[:n]


# --- attention ---
def attend(query: Tensor, key: Tensor, value: Tensor, scale: float, causal: bool) -> Tensor:
    """Compute attention of query [n, heads, size] over key and value [m, fewer heads, size].

    If `causal`, query i sees the keys up to m - n + i.
    """
    group = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
    scores = torch.einsum("nhd,mhd->hnm", query.float(), key.float()) * scale
    if causal:
        hidden = torch.ones(len(query), len(key), dtype=torch.bool).triu(len(key) - len(query) + 1)
        scores = scores.masked_fill(hidden, -torch.inf)
    return torch.einsum("hnm,mhd->nhd", scores.softmax(-1), value.float()).to(query.dtype)


@reference("npu::npu_fused_infer_attention_score")
def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    actual_seq_lengths: list[int] | None = None,
    actual_seq_lengths_kv: list[int] | None = None,
    block_table: Tensor | None = None,
    num_heads: int = 1,
    num_key_value_heads: int = 0,
    scale: float = 1.0,
    input_layout: str = "BSH",
    sparse_mode: int = 0,
    **more: Any,
) -> tuple[Tensor, Tensor]:
    """Compute fused attention.

    Ends of queries count from the first one. So do those of keys, unless they are paged: then each
    request has its length.
    """
    if input_layout != "TND" or actual_seq_lengths is None or actual_seq_lengths_kv is None:
        raise NotImplementedError(f"cannsim: attention with layout {input_layout} is not simulated")
    heads = num_key_value_heads or num_heads
    out, begin, key_begin = torch.zeros_like(query), 0, 0
    for row, (end, key_end) in enumerate(zip(actual_seq_lengths, actual_seq_lengths_kv)):
        if block_table is None:
            keys, values = (
                x[key_begin:key_end].view(-1, heads, query.shape[-1]) for x in (key, value)
            )
            key_begin = key_end
        else:
            keys, values = (cached(x, block_table[row], key_end, heads) for x in (key, value))
        if end > begin and len(keys):
            out[begin:end] = attend(query[begin:end], keys, values, scale, sparse_mode == CAUSAL)
        begin = max(begin, end)
    return out, torch.zeros(1)


@reference("npu::npu_fused_infer_attention_score.out")
def fused_attention_out(
    *args: Tensor, out: list[Tensor], workspace: Tensor | None = None, **more: Any
) -> None:
    out[0].copy_(fused_attention(*args, **more)[0].view(out[0].shape))


def giving_out(run: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an operator whose schema does not say that it returns its output argument."""

    def call(*args: Any, out: list[Tensor], **more: Any) -> tuple[Tensor, ...]:
        run(*args, out=out, **more)
        return tuple(out)

    return call


@reference(
    "npu::_npu_fused_infer_attention_score_get_max_workspace",
    "atb::_npu_paged_attention_get_workspace",
)
def workspace(**given: Any) -> Tensor:
    return torch.empty(16, dtype=torch.uint8)


@reference(
    "atb::_npu_paged_attention",
    "atb::_npu_paged_attention_splitfuse",
    "atb::_npu_flash_attention_qlens",
)
def paged_attention(
    query: Tensor,
    key_cache: Tensor,
    value_cache: Tensor,
    num_kv_heads: int,
    scale_value: float,
    block_table: Tensor,
    context_lens: Tensor,
    out: Tensor,
    seq_len: Tensor | None = None,
    **more: Any,
) -> None:
    """Compute paged attention.

    `context_lens` has the number of keys of each request, `seq_len` that of its queries (1 if it is
    None). The requests follow one another in the tensors.
    """
    counts = [1] * len(context_lens) if seq_len is None else seq_len.tolist()
    begin = 0
    for row, (end, n) in enumerate(zip(context_lens.tolist(), counts)):
        keys, values = (
            cached(cache, block_table[row], end, num_kv_heads) for cache in (key_cache, value_cache)
        )
        out[begin : begin + n] = attend(
            query[begin : begin + n], keys, values, scale_value, True
        ).view(out[begin : begin + n].shape)
        begin += n


@reference("atb::_npu_flash_attention")
def flash_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    seq_len: Tensor,
    scale_value: float,
    out: Tensor,
    **more: Any,
) -> None:
    begin = 0
    for n in seq_len.tolist():
        part = slice(begin, begin + n)
        out[part] = attend(query[part], key[part], value[part], scale_value, True).view(
            out[part].shape
        )
        begin += n


@reference("atb::_npu_matmul_add_fp32")
def matmul_add(x: Tensor, weight: Tensor, C: Tensor) -> None:
    C += x.float().mT @ weight.float()


def format_cast(input: Tensor, *format: Any, **more: Any) -> Tensor:
    """Return the tensor itself, like a device whose tensor has the format already."""
    return input


def install() -> list[torch.library.Library]:
    """Replace the kernels of the operators that this torch_npu has.

    They stay for as long as the returned libraries exist.
    """
    importlib.import_module(
        "torch_npu.op_plugin.atb._atb_ops"
    )  # defines atb::*; vllm-ascend imports it too, and ours must come behind it
    libraries = {name: torch.library.Library(name, "IMPL") for name in ("npu", "atb")}
    for name, function in REFERENCES.items():
        namespace, _, full = name.partition("::")
        base, _, overload = full.partition(".")
        op = getattr(
            getattr(getattr(torch.ops, namespace), base, None), overload or "default", None
        )
        if op is not None:
            run = kernels.kernel(op, function)
            libraries[namespace].impl(
                full,
                giving_out(run) if overload == "out" else run,
                kernels.KEY,
                allow_override=True,
            )
    libraries["npu"].impl("npu_format_cast", format_cast, kernels.KEY, allow_override=True)
    return list(libraries.values())


libraries = install()
