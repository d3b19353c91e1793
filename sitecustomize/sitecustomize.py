# Runs at the start of every Python process that inherits our PYTHONPATH: boots autoinstr where it
# was asked for, then runs the next sitecustomize as if this one were not there. Imports nothing but
# os and sys, parses on Python 2.7, never writes to stdout.
import os
import sys


def boot(folder):
    """Loads the gate, which decides, if autoinstr was asked for or a `doctor` wants to know why
    not. Returns whether it is on."""
    asked = os.environ.get("AUTOINSTR", "0") not in ("", "0") or "autoinstr" in getattr(
        sys, "_xoptions", ()
    )
    if not (asked or "_AUTOINSTR_VERDICTS" in os.environ) or sys.version_info < (3, 9):
        return False
    there = folder in sys.path
    if not there:
        sys.path.insert(0, folder)
    try:
        import _autoinstr_gate

        return _autoinstr_gate.boot(folder)
    # the gate contains its own failures; this one is a damaged installation, and the program goes
    # on without us
    except Exception:
        return False
    finally:
        if not there:
            sys.path.remove(folder)


def run(spec, entry, package=False):
    """Boots, then imports the next sitecustomize on sys.path.

    spec: of the module being imported (None on Python 2). entry: the folder whose presence on
    sys.path led here, or, for the package, the folder `sitecustomize/` within it: then sys.path
    must keep its entry, because the user wants other things from it."""
    on = boot(entry)
    if package:
        entry = os.path.dirname(entry)
    pythonpath = (
        entries_of_pythonpath() if on else []
    )  # (`path` would be the loop's below on Python 2)
    ours = sys.modules.pop("sitecustomize", None)
    before = sys.path[:]
    sys.path[:] = [path for path in before if path.rstrip("/") != entry]
    try:
        __import__("sitecustomize", {}, {}, [], 0)
    except BaseException as error:
        if "sitecustomize" not in sys.modules and imported_by_an_agent():
            sys.modules["sitecustomize"] = ours  # it expects to find what it imported
            if getattr(error, "name", None) == "sitecustomize" and isinstance(error, ImportError):
                return
        if spec is not None and sys.version_info >= (3, 7):
            leave_no_frame(spec, os.path.dirname(run.__code__.co_filename))
        raise
    finally:
        if package:
            put_back(entry, before)
        stay_ahead(entry, pythonpath)


def imported_by_an_agent():
    """Whether another sitecustomize runs us. For site and for a program, "nothing next" has to be
    the ImportError it is natively."""
    here = os.path.dirname(run.__code__.co_filename)
    callers = []
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if os.path.dirname(name) != here and not name.startswith("<frozen importlib"):
            callers.append(frame.f_globals.get("__name__"))
        frame = frame.f_back
    return "site" in callers[1:] and callers[0] != "site"


def leave_no_frame(spec, folder):
    """Takes our frames out of the traceback of what the next sitecustomize raised.

    A frame joins the traceback only when the exception leaves it, so nothing in this file runs late
    enough. The import system's last act on a failed module does: it assigns spec._initializing.
    """
    plain = type(spec)

    class Closing(plain):
        @property
        def _initializing(self):
            return True

        @_initializing.setter
        def _initializing(self, value):
            self.__class__ = plain
            self._initializing = value
            unlink_our_frames(sys.exc_info()[2], folder)

    spec.__class__ = Closing


def unlink_our_frames(load, folder):
    """load: the traceback entry of the import system's _load_unlocked. Takes out our entries behind
    it and, where it is shown (python -v), one of the two rounds through the import system that they
    lie between."""
    before = load
    while before is not None and not is_in(folder, before.tb_next):
        before = before.tb_next
    if before is None:
        return
    after = before.tb_next
    while is_in(folder, after):
        after = after.tb_next
    before.tb_next = after
    while after is not None and after.tb_frame.f_code.co_filename.startswith("<frozen importlib"):
        if after.tb_frame.f_code.co_name == "_load_unlocked":
            load.tb_next = after.tb_next
            break
        after = after.tb_next


def is_in(folder, entry):
    return entry is not None and os.path.dirname(entry.tb_frame.f_code.co_filename) == folder


def put_back(entry, before):
    """Puts the entry of a package back into sys.path, before the first survivor of what stood
    behind it."""
    behind = before[before.index(entry) + 1 :] if entry in before else []
    at = min([sys.path.index(path) for path in behind if path in sys.path] or [len(sys.path)])
    sys.path.insert(at, entry)


def entries_of_pythonpath():
    value = os.environ.get("PYTHONPATH")
    return value.split(os.pathsep) if value else []


def stay_ahead(entry, before):
    """For children, puts our entry ahead again of those in PYTHONPATH that it was ahead of; of all
    if it was first. OpenTelemetry moves its own to the front, and does not run the next
    sitecustomize."""
    at = place(entry, before)
    if at is None:
        return
    now = entries_of_pythonpath()
    here = place(entry, now)
    if here is None and at > 0:
        return
    overtaken = [
        number for number, path in enumerate(now[:here]) if at == 0 or path in before[at + 1 :]
    ]
    if overtaken or here is None:
        if here is not None:
            del now[here]
        now.insert(overtaken[0] if overtaken else 0, entry)
        os.environ["PYTHONPATH"] = os.pathsep.join(now)


def place(entry, entries):
    return next(
        (number for number, path in enumerate(entries) if os.path.abspath(path) == entry), None
    )


if __name__ == "sitecustomize":
    run(
        globals().get("__spec__"), os.path.dirname(os.path.abspath(run.__code__.co_filename))
    )  # __file__ may be that of whoever loads us
