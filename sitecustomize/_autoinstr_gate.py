# Decides whether this process is wanted, and if so puts the import hook in place. Loaded by
# sitecustomize.py or by the .pth, in processes that asked for autoinstr in one way or another. Same
# rules as there: os and sys only, parses on Python 2.7, prints nothing on stdout.
import os
import sys

OFF = ("", "0", "off", "no", "false")
TOOLS = ("pip", "ensurepip", "venv", "virtualenv", "uv", "compileall", "py_compile")
MODULES = (
    "multiprocessing.resource_tracker",
    "torch._inductor.compile_worker",
    "torch._inductor.__autotune_main__",
    "vllm.model_executor.models.registry",
)
FILES = (
    "/torch/_inductor/compile_worker/__main__.py",
    "/torch/_inductor/__autotune_main__.py",
    "/pip/__pip-runner__.py",
    "/pip/__main__.py",
    "/pyproject_hooks/_in_process/_in_process.py",
)
CODE = (
    "from multiprocessing.resource_tracker import main",
    'runpy.run_module("pip"',
)  # the second is ensurepip's child
PATHS = (
    "out",
    "config",
    "log_file",
)  # options that a child with another working directory would read differently
libraries = []  # folders of a bundle's libraries; in a checkout and in a wheel there are none
NEWEST = (3, 14)
OLDEST = (3, 9)


# -- Is this process wanted? -----------------------------------------------------------------------


def enabled(value):
    """Whether a value of AUTOINSTR or -X autoinstr means on. True is the bare -X."""
    return value is not None and (
        value is True or value.split(",", 1)[0].strip().lower() not in OFF
    )


def command(argv):
    """What the interpreter was told to run, as ("-c", code), ("-m", module), ("file", path) or ("",
    "")."""
    rest = iter(argv[1:])
    for word in rest:
        if word == "-" or not word.startswith("-"):
            return ("file", word) if word != "-" else ("", "")
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(rest, "")
            continue
        for at, letter in enumerate(word[1:], 2):
            if (
                letter in "cmWX"
            ):  # the only letters that take a value: the rest of this word, or else the next word
                value = word[at:] or next(rest, "")
                if letter in "cm":
                    return "-" + letter, value
                break
    return "", ""


def irrelevant(argv):
    """Why a process with this command line is left alone, or "" if it is wanted.

    A forkserver is wanted although it runs no user code itself: its forked children do, and no
    sitecustomize runs in them."""
    kind, value = command(argv)
    if kind == "-m":
        found = (
            value.split(".", 1)[0] in TOOLS
            or value in MODULES
            or (value.endswith(".__main__") and value[:-9] in MODULES)
        )
    elif kind == "-c":
        found = any(piece in value for piece in CODE)
    else:
        name = os.path.basename(value)
        found = name.rstrip("0123456789.") in TOOLS or value.endswith(FILES)
    return "%s %s is no program of the user's" % (kind, value.strip()[:80]) if found else ""


def command_line():
    if hasattr(sys, "orig_argv"):
        return sys.orig_argv
    # Python 3.9, where sys.argv does not hold the interpreter's own options yet; elsewhere than on
    # Linux all are wanted
    try:
        fd = os.open("/proc/self/cmdline", os.O_RDONLY)
        try:
            return [os.fsdecode(word) for word in os.read(fd, 1 << 16).split(b"\0")]
        finally:
            os.close(fd)
    except OSError:
        return []


def verdict(value):
    """Why autoinstr stays off in this process, or "" if it is to be on."""
    if not enabled(value):
        return "not asked for" if value is None else "switched off by %r" % value
    if not OLDEST <= sys.version_info[:2] <= NEWEST or sys.implementation.name != "cpython":
        return "needs CPython %d.%d to %d.%d" % (OLDEST + NEWEST)
    if "t" in sys.abiflags:
        return "free-threaded builds are not supported"
    return irrelevant(command_line())


# -- What children must agree on -------------------------------------------------------------------


def export(value, from_x):
    """Writes into the environment what this process was told, so that children with another
    directory or without -X agree."""
    if value is True:
        value = "1"
    value = absolute_pieces(value.strip())
    if from_x:
        sys._xoptions["autoinstr"] = value
    os.environ["AUTOINSTR"] = value
    for name in PATHS:
        name = "AUTOINSTR_" + name.upper()
        if os.environ.get(name):
            os.environ[name] = absolute(os.environ[name])
    if "_AUTOINSTR_DEFAULT_OUT" not in os.environ:
        export_default_out()


def export_default_out():
    time = sys.modules.get(
        "time"
    )  # the interpreter itself imports it before site; without it config.py finds a name
    try:
        cwd = os.getcwd()
    except OSError:  # the directory was removed: config.py finds another place
        cwd = None
    if cwd is not None and time is not None:
        host = (
            "".join(c if (c.isalnum() and c < "\x7f") or c in "._" else "-" for c in os.uname()[1])[
                :64
            ].lstrip(".")
            or "host"
        )
        name = "%d-%s-%d-%s" % (time.time(), host, os.getpid(), os.urandom(4).hex())
        os.environ["_AUTOINSTR_DEFAULT_OUT"] = os.path.join(cwd, "autoinstr-runs", name)


def absolute(path):
    try:
        return os.path.abspath(os.path.expanduser(path))
    except OSError:  # the working directory was removed
        return path


def absolute_pieces(value):
    """Makes the paths among the comma-separated pieces absolute, and an `out=` the value of
    AUTOINSTR_OUT as well."""
    if value.endswith(".toml") and "=" not in value:
        return absolute(value)
    pieces = []
    for piece in value.replace("\\,", "\0").split(","):
        name, _, path = (part.strip() for part in piece.replace("\0", ",").partition("="))
        if name in PATHS and path:
            path = absolute(path)
            piece = "%s=%s" % (name, path.replace(",", "\\,"))
            if name == "out":
                os.environ["AUTOINSTR_OUT"] = path
        pieces.append(piece.replace("\0", "\\,"))
    return ",".join(pieces)


def report_verdict(reason, folder):
    """One line for `autoinstr doctor -- command`, which names the file in _AUTOINSTR_VERDICTS. No
    secret of the command line is in it."""
    redaction = load("_autoinstr_redaction", os.path.join(package_folder(folder), "redaction.py"))
    said = redaction.redact_text(reason), "\x1f".join(redaction.redact_argv(command_line()))
    line = "%d\t%d\t%s\t%s\t%s\n" % (
        os.getpid(),
        os.getppid(),
        "off" if reason else "on",
        said[0],
        said[1],
    )
    fd = os.open(
        os.environ["_AUTOINSTR_VERDICTS"],
        os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW,
        0o600,
    )
    try:
        os.write(fd, line.replace("\n", " ").encode("utf-8", "replace") + b"\n")
    finally:
        os.close(fd)


# -- On --------------------------------------------------------------------------------------------


def boot(folder):
    """Installs the import hook if this process is wanted. Safe to call again: from the .pth, then
    from sitecustomize, then reloaded.

    folder: where this file lies.  Returns whether autoinstr is on. Never raises.
    """
    try:
        from_x = "autoinstr" in getattr(sys, "_xoptions", ())
        value = sys._xoptions["autoinstr"] if from_x else os.environ.get("AUTOINSTR")
        reason = verdict(value)
        if not reason:
            export(value, from_x)
        elif from_x and not enabled(value):
            os.environ["AUTOINSTR"] = value  # -X autoinstr=off is meant for the children too
        if "autoinstr.instrument.importhook" not in sys.modules:
            if "_AUTOINSTR_VERDICTS" in os.environ:
                report_verdict(reason, folder)
            if not reason:
                install_hook(package_folder(folder))
                find_libraries(folder)
        return not reason
    except Exception as error:
        complain(error)
        return False


def package_folder(folder):
    """Where the package lies: beside this folder in a checkout, around it in a wheel."""
    above = os.path.dirname(os.path.realpath(folder))
    for candidate in (os.path.join(above, "autoinstr"), above):
        if os.path.isfile(os.path.join(candidate, "__init__.py")):
            return candidate
    raise ImportError("no package autoinstr beside or above %s" % folder)


def find_libraries(folder):
    """Notes the libraries that a bundle carries, beside the folder of this file, and makes them
    importable."""
    above = os.path.dirname(os.path.realpath(folder))
    names = (
        ("libraries",) if sys.version_info >= (3, 11) else ("libraries", "libraries-before-3.11")
    )
    libraries.extend(
        path for path in (os.path.join(above, name) for name in names) if os.path.isdir(path)
    )
    put_last()


def put_last():
    """Puts them behind everything else on sys.path, so that the host's versions win. Again before
    they are needed: the host may have appended folders of its own meanwhile."""
    if libraries and sys.path[-len(libraries) :] != libraries:
        sys.path[:] = [path for path in sys.path if path not in libraries] + libraries


def install_hook(package):
    """Loads the import hook out of the folder of the package, and asks it for torch."""
    hook = os.path.join(package, "instrument")
    load("autoinstr", os.path.join(package, "__init__.py"), [package])
    load("autoinstr.instrument", os.path.join(hook, "__init__.py"), [hook])
    importhook = load("autoinstr.instrument.importhook", os.path.join(hook, "importhook.py"))
    importhook.register("torch", activate)
    importhook.install()


def load(name, file, locations=None):
    """Imports a module from its file, unless it is imported: sys.path need not hold it, and nothing
    is searched (saves 0.15 ms)."""
    if name not in sys.modules:
        external = sys.modules["_frozen_importlib_external"]
        spec = external.spec_from_file_location(name, file, submodule_search_locations=locations)
        module = sys.modules[name] = sys.modules["_frozen_importlib"].module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
    return sys.modules[name]


def activate(torch):
    """Called by the import hook with torch, complete; again if torch is reloaded."""
    try:
        put_last()
        from autoinstr.agent import bootstrap

        bootstrap.activate()
    except Exception as error:
        complain(error)


def complain(error):
    try:
        text = " ".join(str(error).split())
        sys.stderr.write(
            "autoinstr: off in process %d: %s: %s\n" % (os.getpid(), type(error).__name__, text)
        )
    except Exception:  # stderr may be None, closed or full; there is nobody left to tell
        pass
