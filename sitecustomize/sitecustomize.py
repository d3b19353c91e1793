# Runs at the start of every Python process that inherits our PYTHONPATH. It boots autoinstr where
# that was asked for. Then it runs the next sitecustomize as if this one did not exist. It imports
# os and sys only, parses on Python 2.7 and never writes to stdout.
import os
import sys


def boot(folder):
    """Load the gate, if autoinstr was asked for or `doctor` needs the reason why not.

    Return whether autoinstr is on."""
    is_asked_for = os.environ.get("AUTOINSTR", "0") not in ("", "0") or "autoinstr" in getattr(
        sys, "_xoptions", ()
    )
    is_examined = "_AUTOINSTR_VERDICTS" in os.environ  # by `autoinstr doctor`
    is_needed = is_asked_for or is_examined
    # An older version never gets the agent. `autoinstr run` and `doctor` say so.
    is_old = sys.version_info < (3, 9)
    if not is_needed or (is_old and not ("_AUTOINSTR_ASKED" in os.environ or is_examined)):
        return False
    is_on_path = any(is_entry(path, folder) for path in sys.path)
    if not is_on_path:
        sys.path.insert(0, folder)
    try:
        import _autoinstr_gate

        return _autoinstr_gate.boot(folder)
    # The gate contains its own errors. This one means a damaged installation, and the program runs
    # without the agent.
    except Exception:
        return False
    finally:
        if not is_on_path:
            sys.path.remove(folder)


def run(spec, entry, package=False):
    """Boot, then import the next sitecustomize on sys.path.

    spec: of the module that is being imported (None on Python 2). entry: the folder on sys.path
    that led to this file. package: the parent folder is on sys.path instead, and entry is the
    folder `sitecustomize/` in it. Then sys.path must keep the parent, because the user wants other
    modules from it."""
    is_on = boot(entry)
    if package:
        entry = os.path.dirname(entry)
    pythonpath = list_pythonpath() if is_on else []
    our_module = sys.modules.pop("sitecustomize", None)
    old_path = sys.path[:]
    # A list comprehension's variable stays bound on Python 2: `path` is no name of this function.
    sys.path[:] = [path for path in old_path if not is_entry(path, entry)]
    try:
        __import__("sitecustomize", {}, {}, [], 0)
    except BaseException as error:
        if "sitecustomize" not in sys.modules and is_imported_by_an_agent():
            sys.modules["sitecustomize"] = our_module  # the agent expects the module it imported
            if getattr(error, "name", None) == "sitecustomize" and isinstance(error, ImportError):
                return
        if spec is not None and sys.version_info >= (3, 7):
            remove_frames_later(spec, os.path.dirname(run.__code__.co_filename))
        raise
    finally:
        if package:
            restore_entry(entry, old_path)
        keep_entry_ahead(entry, pythonpath)
        if is_on:
            make_entry_absolute(entry)


def is_entry(path, entry):
    """Return whether an item of sys.path is the folder `entry`.

    Programs put a Path, bytes or None there too, which Python passes over."""
    return isinstance(path, str) and str.rstrip(path, "/") == entry


def is_imported_by_an_agent():
    """Return whether another sitecustomize imports this file.

    For site and for a program, a missing next sitecustomize must be the native ImportError."""
    our_folder = os.path.dirname(run.__code__.co_filename)
    callers = []
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if os.path.dirname(name) != our_folder and not name.startswith("<frozen importlib"):
            callers.append(frame.f_globals.get("__name__"))
        frame = frame.f_back
    return "site" in callers[1:] and callers[0] != "site"


def remove_frames_later(spec, folder):
    """Remove our frames from the traceback of an exception of the next sitecustomize.

    A frame joins the traceback only when the exception leaves it, so code in this file runs too
    early. The import system's last act on a failed module runs late enough: it assigns
    spec._initializing.
    """
    spec_class = type(spec)

    class FrameRemovingSpec(spec_class):
        @property
        def _initializing(self):
            return True

        @_initializing.setter
        def _initializing(self, value):
            self.__class__ = spec_class
            self._initializing = value
            unlink_our_frames(sys.exc_info()[2], folder)

    spec.__class__ = FrameRemovingSpec


def unlink_our_frames(load_entry, folder):
    """Remove our entries from the traceback.

    load_entry: the traceback entry of the import system's _load_unlocked. Where the frames of the
    import system are shown (python -v), also remove one of the two passes through it around our
    entries."""
    last_kept = load_entry
    while last_kept is not None and not is_in_folder(folder, last_kept.tb_next):
        last_kept = last_kept.tb_next
    if last_kept is None:
        return
    entry = last_kept.tb_next
    while is_in_folder(folder, entry):
        entry = entry.tb_next
    last_kept.tb_next = entry
    while entry is not None and entry.tb_frame.f_code.co_filename.startswith("<frozen importlib"):
        if entry.tb_frame.f_code.co_name == "_load_unlocked":
            load_entry.tb_next = entry.tb_next
            break
        entry = entry.tb_next


def is_in_folder(folder, entry):
    """Return whether a traceback entry shows a file of the folder."""
    return entry is not None and os.path.dirname(entry.tb_frame.f_code.co_filename) == folder


def restore_entry(entry, old_path):
    """Insert the entry of a package into sys.path again, before the first remaining entry that
    followed it."""
    numbers = [number for number, path in enumerate(old_path) if is_entry(path, entry)]
    followers = [
        path for path in (old_path[numbers[0] + 1 :] if numbers else []) if isinstance(path, str)
    ]
    indices = [
        number
        for number, path in enumerate(sys.path)
        if isinstance(path, str) and path in followers
    ]
    sys.path.insert(min(indices or [len(sys.path)]), entry)


def list_pythonpath():
    """List the entries of PYTHONPATH."""
    value = os.environ.get("PYTHONPATH")
    return value.split(os.pathsep) if value else []


def keep_entry_ahead(entry, old_entries):
    """Put our entry ahead again of the PYTHONPATH entries that it preceded, or of all if it was
    first.

    This is for child processes. OpenTelemetry moves its own entry to the front, and does not run
    the next sitecustomize."""
    old_index = find_entry(entry, old_entries)
    if old_index is None:
        return
    entries = list_pythonpath()
    index = find_entry(entry, entries)
    if index is None and old_index > 0:
        return
    later_entries = old_entries[old_index + 1 :]
    overtaking = [
        number
        for number, path in enumerate(entries[:index])
        if old_index == 0 or path in later_entries
    ]
    if overtaking or index is None:
        if index is not None:
            del entries[index]
        entries.insert(overtaking[0] if overtaking else 0, entry)
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)


def make_entry_absolute(entry):
    """Put our folder before the relative entry of PYTHONPATH that led to it.

    A child with another working directory does not find it otherwise."""
    entries = list_pythonpath()
    index = find_entry(entry, entries)
    if index is not None and not os.path.isabs(entries[index]):
        entries.insert(index, entry)
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)


def find_entry(entry, entries):
    """Return the index of the entry that is the folder `entry`; None without one."""
    return next(
        (number for number, path in enumerate(entries) if os.path.abspath(path) == entry), None
    )


if __name__ == "sitecustomize":
    # Another program may load this file, and then __file__ may be its own.
    run(globals().get("__spec__"), os.path.dirname(os.path.abspath(run.__code__.co_filename)))
