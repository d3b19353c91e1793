"""Hold the programs that tools/gpu_acceptance.py runs.

They do not use autoinstr. Each writes its findings to result.json and its profile to trace.json.
DEVICE is "cuda" (CUDA or ROCm), or "cpu" for a trial of the tool itself."""

from __future__ import annotations

PRELUDE = """
import hashlib, json, time
import torch
import torch.nn as nn
from torch.profiler import ProfilerActivity, profile

ON_DEVICE = DEVICE != "cpu"
KERNELS = ("kernel", "gpu_memcpy", "gpu_memset")

def synchronize():
    if ON_DEVICE:
        torch.cuda.synchronize()

def make_model(training=False):
    import transformers
    width = 1024 if ON_DEVICE else 64
    config = transformers.LlamaConfig(
        vocab_size=1024, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=4,
        num_attention_heads=8, num_key_value_heads=8, max_position_embeddings=512,
        attn_implementation="sdpa", use_cache=False)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).to(DEVICE)
    return model.to(torch.bfloat16 if ON_DEVICE else torch.float32).train(training)

def make_profile(**options):
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * ON_DEVICE
    return profile(activities=activities, record_shapes=True, **options)

def count_calls(model, call, times):
    # The calls of each module, by its path, as torch's own hooks count them.
    truth, handles = {}, []
    for path, module in model.named_modules():
        def count(*_, path=path):
            truth[path] = truth.get(path, 0) + times
        handles.append(module.register_forward_pre_hook(count))
    call()
    for handle in handles:
        handle.remove()
    return truth

def read_kernels(profiler):
    # CUPTI's own records, as Kineto holds them: number and nanoseconds; None where this torch does
    # not say of what kind they are.
    count = ns = 0
    for event in profiler.profiler.kineto_results.events():
        if not hasattr(event, "activity_type"):
            return None
        if event.activity_type() in KERNELS:
            count, ns = count + 1, ns + event.duration_ns()
    return [count, ns]

def make_digest(tensors):
    raw = b"".join(t.detach().float().cpu().numpy().tobytes() for t in tensors)
    return hashlib.sha256(raw).hexdigest()

def finish(profiler, **result):
    profiler.export_chrome_trace("trace.json")
    with open("result.json", "w") as file:
        json.dump({"kernels": read_kernels(profiler), **result}, file)

torch.set_num_threads(1)
tokens = torch.arange(4 * 64, device=DEVICE).reshape(4, 64) % 1000
STEPS = 3
"""

# Eager: calls, GFLOP, parameters, and the device's clock around as many calls without a profile.
EAGER = """
from torch.utils.flop_counter import FlopCounterMode
model = make_model()
call = lambda: model(tokens).logits
torch.set_grad_enabled(False)
output = call(); synchronize()
truth = count_calls(model, call, STEPS)
with FlopCounterMode(display=False) as counter:
    call()
elapsed_ns = None
if ON_DEVICE:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(STEPS):
        call()
    end.record(); synchronize()
    elapsed_ns = int(begin.elapsed_time(end) * 1e6)
with make_profile() as profiler:
    for _ in range(STEPS):
        call()
    synchronize()
finish(profiler, truth=truth, digest=make_digest([output]), elapsed_ns=elapsed_ns,
       flops=counter.get_total_flops() * STEPS,
       classes=sorted({type(module).__name__ for module in model.modules()}),
       params=sum(parameter.numel() for parameter in model.parameters()))
"""

COMPILED = """
model = make_model()
torch.set_grad_enabled(False)
compiled = torch.compile(model)
output = compiled(tokens).logits; synchronize()
with make_profile() as profiler:
    for _ in range(STEPS):
        output = compiled(tokens).logits
    synchronize()
finish(profiler, digest=make_digest([output]))
"""

# A graph is captured inside the profile and replayed; its kernels have no operators then.
GRAPH = """
if not ON_DEVICE:
    raise SystemExit("a CPU has no graphs")
model = make_model()
torch.set_grad_enabled(False)
stream = torch.cuda.Stream()
stream.wait_stream(torch.cuda.current_stream())
with torch.cuda.stream(stream):
    for _ in range(3):
        model(tokens)
torch.cuda.current_stream().wait_stream(stream)
graph = torch.cuda.CUDAGraph()
with make_profile() as profiler:
    with torch.cuda.graph(graph):
        output = model(tokens).logits
    for _ in range(STEPS):
        graph.replay()
    synchronize()
finish(profiler, digest=make_digest([output]))
"""

TRAINING = """
model = make_model(training=True)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
def step():
    optimizer.zero_grad()
    loss = model(tokens, labels=tokens).loss
    loss.backward()
    optimizer.step()
    return loss
step(); synchronize()
with make_profile(profile_memory=True) as profiler:
    losses = [step() for _ in range(STEPS)]
    synchronize()
finish(profiler, digest=make_digest(losses))
"""

# The cost of a range on the host, without a profiler.
COST = """
class Leaf(nn.Module):
    def forward(self, x):
        return x
leaf, x = Leaf(), torch.ones(1)
def measure(count=100_000):
    begin = time.perf_counter_ns()
    for _ in range(count):
        leaf(x)
    return (time.perf_counter_ns() - begin) / count
measure(1000)
call_ns = min(measure() for _ in range(5))
with open("result.json", "w") as file:
    json.dump({"call_ns": call_ns}, file)
"""


def build_program(source: str, device: str) -> str:
    """Return a complete program."""
    return f"DEVICE = {device!r}\n{PRELUDE}{source}"
