"""`autoinstr report ARGUMENTS --on ray`, with other tasks: a task that is killed (die), or one that
writes its process number to a file and then runs for ever (wait)."""

from __future__ import annotations

import os
import signal
import sys
import time

from autoinstr.cli import main
from autoinstr.report.data import stats_json

what, file, *arguments = sys.argv[1:]


def read_part(recording, tick, **facts):
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    with open(f"{file}.part", "w") as stream:
        stream.write(str(os.getpid()))
    os.replace(f"{file}.part", file)
    time.sleep(600)


stats_json.read_part = read_part
sys.exit(main(["report", *arguments, "--on", "ray"]))
