#!/usr/bin/env python3
"""runc, without the resource limits that podman asks for: where nobody may raise one, no container
would start."""

import json
import os
import sys

words = sys.argv[1:]
path = ""
if "create" in words and "--bundle" in words:
    path = os.path.join(words[words.index("--bundle") + 1], "config.json")
elif "exec" in words and "--process" in words:
    path = words[words.index("--process") + 1]
if path:
    with open(path) as stream:
        config = json.load(stream)
    config.get("process", config).pop("rlimits", None)
    with open(path, "w") as stream:
        json.dump(config, stream)
os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin"
os.execvp("runc", ["runc", *words])
