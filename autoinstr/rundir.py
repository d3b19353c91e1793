"""The run directory: made at the first recording, 0700, or a private folder in $TMPDIR where it cannot be."""

from __future__ import annotations

import os
import stat
import tempfile

from autoinstr import log
from autoinstr.errors import AutoinstrError


def make(out: str) -> str:
    """Create `out` if need be and return the folder to write to. AutoinstrError when `out` is something else than a directory.

    Where `out` cannot be written, the folder is a new one in $TMPDIR, exported as AUTOINSTR_OUT, so that children write to it too.
    """
    if os.path.lexists(out) and not os.path.isdir(out):
        raise AutoinstrError(f"out: {out} is not a directory")
    try:
        parent = os.path.dirname(out)
        os.makedirs(parent, exist_ok=True)
        try:
            os.mkdir(out, 0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(out).st_mode):
                raise
        if not os.access(out, os.W_OK | os.X_OK):
            raise PermissionError(13, "not writable", out)
        return out
    except OSError as error:
        folder = tempfile.mkdtemp(prefix="autoinstr-")
        os.environ["AUTOINSTR_OUT"] = folder
        log.once(
            "out",
            "warning",
            "the run directory cannot be written; using another",
            out=out,
            instead=folder,
            error=error.strerror or str(error),
        )
        return folder
