"""Ascend profiles after the run: torch_npu's offline analysis, msprof-analyze's module_statistic, and the module table made of them."""
