"""Module ranges inside code that torch.compile made, where no module is called.

torch.compile turns a model into generated functions that call kernels. While such a function is
generated, it is known which modules each kernel computes. `capture.py` notes that, and the function
gets another code object in memory, with range boundaries between its statements. Nothing that is
generated, cached or keyed changes. While ranges are off, the native code objects are in place.

Contents: `torch_compiler.py` and `compiling.py` follow torch.compile; `known_texts.py` says for
    which texts of torch's functions all this is known. `capture.py` notes what is generated,
    `source_table.py` keeps it by line, `side_files.py` for runs that load cached code.
    `call_sites.py` says which module calls a graph node belongs to, `range_plan.py` which ranges
    follow, `weaving.py` makes the code object. `woven_function.py` runs in each call: `bindings.py`
    finds the modules, `range_names.py` their names, `range_steps.py` writes. `python_graphs.py`
    serves graphs that run as Python, `vllm_pieces.py` (with `pieces.py`) and `ascend_pieces.py` the
    pieces of vLLM and vllm-ascend.
May import: `emitters`, `recording`, `config`, `base`, `instrument/importhook.py`.
Start with: `compiled_ranges.py`, which connects all of it to the session, then
    `function_weaver.py`.
"""
