"""Module ranges inside code that torch.compile made, where no module is called.

torch.compile turns a model into generated functions that call kernels. While such a function is
generated, it is known which modules each kernel computes. `capture.py` notes that, and the function
gets another code object in memory, with range boundaries between its statements. Nothing that is
generated, cached or keyed changes. While ranges are off, the native code objects are in place.

Contents: `capture.py` (code generation) and `source_table.py` (what it noted, by line);
    `side_files.py` keeps that for runs that load cached code. `call_sites.py` says which modules a
    graph node belongs to, `range_plan.py` which ranges follow, `weaving.py` makes the code object.
    `woven_function.py` runs in each call, `bindings.py` finds the modules that a call is for.
    `python_graphs.py` and `vllm_pieces.py` serve graphs that run as Python, and vLLM's pieces.
    `known_texts.py` says for which texts of torch's functions all this is known.
May import: `emitters`, `recording`, `config`, `base`, `instrument/importhook.py`.
Start with: `compiled_ranges.py`, which connects all of it to the session.
"""
