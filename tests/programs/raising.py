"""Ends by an exception that nobody catches, raised in the middle of nested module calls; argv says
which."""

from __future__ import annotations

import sys
import warnings

from nets import Failing, X
from torch import nn

ERRORS = {
    "ValueError": ValueError("a message\nof two lines"),
    "SystemExit": SystemExit(7),
    "SystemExitText": SystemExit("said at the end"),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "AttributeError": AttributeError("no such"),
}
warnings.warn("before", stacklevel=1)
print("printed", flush=True)
nn.Sequential(nn.Identity(), nn.Sequential(Failing(ERRORS[sys.argv[1]])))(X)
print("never printed")
