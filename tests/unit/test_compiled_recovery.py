"""Cached code without a side file: what its comments say, and what is left to the region.

The sources have the form of those that torch._inductor writes (2.13)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from autoinstr.instrument.compiled.call_sites import GraphSites
from autoinstr.instrument.compiled.recovery import count_unknown, recover_table

SOURCE = '''
cpp_fused_gelu_0 = async_compile.cpp_pybinding([], """ """)
triton_poi_fused_add_1 = async_compile.triton("triton_poi_fused_add_1", """ """)

class Runner:
    def call(self, args):
        arg0_1, arg1_1 = args
        args.clear()
        buf0 = empty_strided_cpu((2, 4), (4, 1), torch.float32)
        # Topologically Sorted Source Nodes: [linear], Original ATen: [aten.t, aten.addmm]
        extern_kernels.addmm(arg1_1, arg0_1, out=buf0)
        del arg0_1
        cpp_fused_gelu_0(buf0)
        buf1 = buf0; del buf0  # reuse
        # Topologically Sorted Source Nodes: [linear, gelu, linear_1], Original ATen: [aten.mm]
        extern_kernels.mm(buf1, arg1_1, out=buf2)
        # Topologically Sorted Source Nodes: [linear_1, add, norm], Original ATen: [aten.add]
        triton_poi_fused_add_1.run(buf2, stream=stream0)
        return (buf2, )
'''
NODES = {
    "linear": ("up",),
    "gelu": ("act",),
    "linear_1": ("down",),
    "add": (),
    "norm": ("norm",),
}


def make_graph() -> GraphSites:
    nodes: list[Any] = []
    for name, path in NODES.items():
        stack = {part: (f"L['self'].{part}", part.title()) for part in path}
        meta = {"source_fn_stack": [(name, None)], "nn_module_stack": stack}
        nodes.append(SimpleNamespace(op="call_function", name=name, target=len, meta=meta))
    return GraphSites(SimpleNamespace(nodes=nodes))


def test_names_in_comments_lead_to_modules() -> None:
    """An extern kernel computes the last name, and a fused one all that no extern one did."""
    table = recover_table(SOURCE, make_graph())
    assert table is not None
    rows = [
        (row.kernel, [[call.cls for call in origin.site or ()] for origin in row.origins])
        for row in table.rows["call"]
    ]
    assert rows == [
        ("extern_kernels.addmm", [["Up"]]),
        ("cpp_fused_gelu_0", [[]]),  # C++ kernels have no comment: the region's own
        ("extern_kernels.mm", [["Down"]]),
        ("triton_poi_fused_add_1.run", [[], ["Norm"]]),
    ]
    assert count_unknown(table) == 1


def test_a_source_that_says_nothing_is_not_recovered() -> None:
    """Neither one without comments, nor a backward, whose names are those of the forward."""
    silent = "\n".join(line for line in SOURCE.splitlines() if "Source Nodes" not in line)
    assert recover_table(silent, make_graph()) is None
    backward = SOURCE.replace("arg0_1, arg1_1 = args", "tangents_1, arg1_1 = args")
    assert recover_table(backward, make_graph()) is None
    assert recover_table(SOURCE.replace("linear", "other"), make_graph()) is not None
