"""Decides whether ranges in compiled code are possible: torch's functions must be known.

They are known by their texts, which were read and compared in the versions named below. torch
before 2.10 does not announce the kernels of all backends."""

from __future__ import annotations

import importlib.util
import zlib

from autoinstr.base.system import read_file

# (file below torch, class or "", function or class) -> crc32 of the known texts, those of 2.10 to
# 2.14. The differences between them are annotations, assertions and lines that calls of kernels do
# not pass. A new text: CONTRIBUTING.md, "Add a torch version".
KNOWN_TEXTS: dict[tuple[str, str, str], tuple[int, ...]] = {
    ("_inductor/debug.py", "", "set_kernel_post_grad_provenance_tracing"): (
        850950899,  # 2.10, 2.11
        589672661,  # 2.12, 2.13
        2113701675,  # 2.14
    ),
    ("_inductor/codegen/cpp.py", "CppScheduling", "codegen_comment"): (2110461937,),
    ("_inductor/codegen/triton.py", "TritonScheduling", "codegen_comment"): (2837819805,),
    ("_inductor/scheduler.py", "Scheduler", "codegen_extern_call"): (
        4009692011,  # 2.10, 2.11
        410732315,  # 2.12, 2.13
        1683205786,  # 2.14
    ),
    ("_inductor/codegen/wrapper.py", "", "KernelCallLine"): (
        1058584273,  # 2.10
        1581361879,  # 2.11
        4068208508,  # 2.12, 2.13
        1904163476,  # 2.14
    ),
    ("_inductor/codegen/wrapper.py", "PythonWrapperCodegen", "writeline"): (1704694337,),
    ("_inductor/codegen/wrapper.py", "PythonWrapperCodegen", "_generate"): (
        1428567402,  # 2.10
        2381605728,  # 2.11, 2.12
        2762326475,  # 2.13
        3815679821,  # 2.14
    ),
    ("_inductor/graph.py", "GraphLowering", "_compile_to_module_lines"): (
        3320519171,  # 2.10, 2.11
        47650469,  # 2.12 to 2.14
    ),
    ("_inductor/codecache.py", "PyCodeCache", "load_by_key_path"): (
        3115896784,  # 2.10 to 2.12
        560053126,  # 2.13, 2.14
    ),
}


def find_unknown(folder: str = "") -> str:
    """Return which function of torch is not known; "" if all are.

    `folder` is the package; without it, that of the installed torch."""
    if not folder:
        spec = importlib.util.find_spec("torch")
        folder = spec.origin.rpartition("/")[0] if spec is not None and spec.origin else ""
    texts: dict[str, str] = {}
    for (file, cls, name), checksums in KNOWN_TEXTS.items():
        if file not in texts:
            texts[file] = read_text(folder, file)
        text = find_text(texts[file], cls, name)
        title = f"torch/{file}:{cls}{'.' * bool(cls)}{name}"
        if text is None:
            return f"this torch has no {title}"
        if zlib.crc32(text.encode()) not in checksums:
            return f"{title} of this torch is not known"
    return ""


def read_text(folder: str, file: str) -> str:
    """Return the text of a file of torch; "" if it cannot be read."""
    try:
        return read_file(f"{folder}/{file}").decode()
    except (OSError, UnicodeDecodeError):
        return ""


def find_text(source: str, cls: str, name: str) -> str | None:
    """Return the text of a class, a function, or a method of a class; None if it is not there."""
    start = 0
    if cls:
        start = _find_line(source, f"class {cls}", 0)
        if start < 0:
            return None
    head = ("    def " if cls else "def ") + name
    position = _find_line(source, head, start)
    if position < 0 and not cls:
        head = f"class {name}"
        position = _find_line(source, head, 0)
    if position < 0:
        return None
    indent = len(head) - len(head.lstrip())
    lines = source[position:].splitlines()
    end = next(
        (
            number
            for number, line in enumerate(lines)
            if number
            and line.strip()
            and len(line) - len(line.lstrip()) <= indent
            and not line.lstrip().startswith(")")
        ),
        len(lines),
    )
    return "\n".join(lines[:end]).rstrip()


def _find_line(source: str, head: str, start: int) -> int:
    """Return where the line begins that starts with `head` and then a bracket or a colon."""
    positions = [source.find(f"\n{head}{sign}", start) for sign in "(:"]
    return min((position for position in positions if position >= 0), default=-2) + 1
