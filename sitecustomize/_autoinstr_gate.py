# Decides whether this process gets the agent, and if so installs the import hook. sitecustomize.py
# or the .pth loads it, in processes that asked for autoinstr in some way. The rules are the same as
# in sitecustomize.py: it imports os and sys only, parses on Python 2.7 and prints nothing on
# stdout.
import os
import sys

OFF_VALUES = ("", "0", "off", "no", "false")
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
CODE_PARTS = (
    "from multiprocessing.resource_tracker import main",
    'runpy.run_module("pip"',  # ensurepip's child
)
# Options that a child with another working directory would read differently.
PATH_OPTIONS = ("out", "config", "log_file")
NEWEST = (3, 14)
OLDEST = (3, 9)
# The reason without AUTOINSTR and -X. `autoinstr doctor` compares with this text and explains it
# (cli/doctor/interpreter.py).
NOT_ASKED_FOR = "not asked for"
libraries = []  # folders of a bundle's libraries; empty in a checkout and in a wheel
# C functions and the identity of stderr, as they are before the program runs. base/system.py uses
# them in the place of what the program may have put there.
kept = {}


# -- Does this process get the agent? --------------------------------------------------------------


def is_enabled(value):
    """Return whether a value of AUTOINSTR or -X autoinstr means on. True is the bare -X."""
    return value is not None and (
        value is True or value.split(",", 1)[0].strip().lower() not in OFF_VALUES
    )


def parse_command(argv):
    """Return what the interpreter runs: ("-c", code), ("-m", module), ("file", path) or ("",
    "")."""
    words = iter(argv[1:])
    for word in words:
        if word == "-" or not word.startswith("-"):
            return ("file", word) if word != "-" else ("", "")
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(words, "")
            continue
        for end, letter in enumerate(word[1:], 2):
            # Only these letters take a value: the remainder of this word, or else the next word.
            if letter in "cmWX":
                value = word[end:] or next(words, "")
                if letter in "cm":
                    return "-" + letter, value
                break
    return "", ""


def explain_irrelevance(argv):
    """Return why a process with this command line stays without the agent; "" if it gets it.

    A forkserver gets it although it runs no user code: its forked children do, and no sitecustomize
    runs in them."""
    kind, value = parse_command(argv)
    if kind == "-m":
        is_irrelevant = (
            value.split(".", 1)[0] in TOOLS
            or value in MODULES
            or (value.endswith(".__main__") and value[:-9] in MODULES)
        )
    elif kind == "-c":
        is_irrelevant = any(part in value for part in CODE_PARTS)
    else:
        name = os.path.basename(value)
        is_irrelevant = name.rstrip("0123456789.") in TOOLS or value.endswith(FILES)
    if not is_irrelevant:
        return ""
    return "%s %s is not a program of the user" % (kind, value.strip()[:80])


def read_command_line():
    """Return the words of the command line, with the interpreter's own options."""
    if hasattr(sys, "orig_argv"):
        return sys.orig_argv
    # On Python 3.9, sys.argv lacks the interpreter's options. Outside Linux the result is empty,
    # and every process gets the agent.
    try:
        fd = os.open("/proc/self/cmdline", os.O_RDONLY)
        try:
            return [os.fsdecode(word) for word in os.read(fd, 1 << 16).split(b"\0")]
        finally:
            os.close(fd)
    except OSError:
        return []


def decide(value):
    """Return why autoinstr stays off in this process; "" if it is on.

    value: of AUTOINSTR or -X autoinstr; None without either."""
    if not is_enabled(value):
        return NOT_ASKED_FOR if value is None else "switched off by %r" % value
    return explain_unsupported_python() or explain_irrelevance(read_command_line())


def explain_unsupported_python():
    """Return why no process of this interpreter gets the agent; "" if they may."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST or sys.implementation.name != "cpython":
        this = "%d.%d.%d" % sys.version_info[:3]
        return "needs CPython %d.%d to %d.%d; this is %s" % (OLDEST + NEWEST + (this,))
    if "t" in sys.abiflags:
        return "free-threaded builds are not supported"
    return ""


# -- What children must agree on -------------------------------------------------------------------


def export_settings(value, is_from_x):
    """Write the settings of this process into the environment.

    So children with another working directory or without -X have the same settings."""
    if value is True:
        value = "1"
    value = make_paths_absolute(value.strip())
    if is_from_x:
        sys._xoptions["autoinstr"] = value
    os.environ["AUTOINSTR"] = value
    for name in PATH_OPTIONS:
        name = "AUTOINSTR_" + name.upper()
        if os.environ.get(name):
            os.environ[name] = make_absolute(os.environ[name])
    if "_AUTOINSTR_DEFAULT_OUT" not in os.environ:
        export_default_out()


def export_default_out():
    """Write the name of the default run directory into the environment."""
    # The interpreter itself imports time before site. Without it, config.py chooses a name.
    time = sys.modules.get("time")
    try:
        cwd = os.getcwd()
    except OSError:  # the directory was removed: config.py chooses another place
        cwd = None
    if cwd is not None and time is not None:
        letters = [
            letter if (letter.isalnum() and letter < "\x7f") or letter in "._" else "-"
            for letter in os.uname()[1]
        ]
        host = "".join(letters)[:64].lstrip(".") or "host"
        name = "%d-%s-%d-%s" % (time.time(), host, os.getpid(), os.urandom(4).hex())
        os.environ["_AUTOINSTR_DEFAULT_OUT"] = os.path.join(cwd, "autoinstr-runs", name)


def make_absolute(path):
    """Return the absolute path, or `path` itself if the working directory was removed."""
    try:
        return os.path.abspath(os.path.expanduser(path))
    except OSError:
        return path


def make_paths_absolute(value):
    """Make the paths among the comma-separated settings absolute. An `out=` also becomes the value
    of AUTOINSTR_OUT."""
    if value.endswith(".toml") and "=" not in value:
        return make_absolute(value)
    settings = []
    for setting in value.replace("\\,", "\0").split(","):
        name, _, path = (part.strip() for part in setting.replace("\0", ",").partition("="))
        if name in PATH_OPTIONS and path:
            path = make_absolute(path)
            setting = "%s=%s" % (name, path.replace(",", "\\,"))
            if name == "out":
                os.environ["AUTOINSTR_OUT"] = path
        settings.append(setting.replace("\0", "\\,"))
    return ",".join(settings)


def report_decision(reason, folder):
    """Write one line for `autoinstr doctor -- command`, which names the file in
    _AUTOINSTR_VERDICTS.

    The line contains no secret of the command line."""
    if sys.version_info < OLDEST:  # it cannot load the rules of redaction
        argv = [str(sys.executable)]
    else:
        redaction_folder = os.path.join(find_package_folder(folder), "base", "redaction")
        file = os.path.join(redaction_folder, "__init__.py")
        redaction = load("_autoinstr_redaction", file, [redaction_folder])
        reason, argv = redaction.redact_text(reason), redaction.redact_argv(read_command_line())
    line = "%d\t%d\t%s\t%s\t%s\n" % (
        os.getpid(),
        os.getppid(),
        "off" if reason else "on",
        reason,
        "\x1f".join(argv),
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


def report_unsupported_python():
    """Tell the user of `autoinstr run` that the command's Python cannot have the agent."""
    problem = explain_unsupported_python()
    if problem:
        sys.stderr.write("autoinstr: off in process %d: %s\n" % (os.getpid(), problem))


# -- On --------------------------------------------------------------------------------------------


def boot(folder):
    """Install the import hook if this process gets the agent; return whether autoinstr is on.

    folder: of this file. Never raises. It is safe to call again: the .pth calls it first, then
    sitecustomize, then a reload."""
    try:
        is_from_x = "autoinstr" in getattr(sys, "_xoptions", ())
        value = sys._xoptions["autoinstr"] if is_from_x else os.environ.get("AUTOINSTR")
        reason = decide(value)
        if not reason:
            export_settings(value, is_from_x)
        elif is_from_x and not is_enabled(value):
            os.environ["AUTOINSTR"] = value  # -X autoinstr=off also holds for children
        if "autoinstr.instrument.importhook" not in sys.modules:
            if "_AUTOINSTR_VERDICTS" in os.environ:
                report_decision(reason, folder)
            elif reason and os.environ.get("_AUTOINSTR_ASKED") == str(os.getpid()):
                # `autoinstr run` has become this process.
                report_unsupported_python()
            if not reason:
                keep_originals()
                install_hook(find_package_folder(folder))
                find_libraries(folder)
        return not reason
    except Exception as error:
        complain(error)
        return False


def keep_originals():
    """Keep what the program may replace later."""
    for name in ("posix", "time", "_signal"):
        if name in sys.modules:
            kept[name] = dict(vars(sys.modules[name]))
    kept["stderr"] = identify_stderr()


def identify_stderr():
    """Return device and inode of descriptor 2; None if it is closed."""
    try:
        status = os.fstat(2)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def find_package_folder(folder):
    """Return the folder of the package: beside `folder` in a checkout, around it in a wheel."""
    parent = os.path.dirname(os.path.realpath(folder))
    for candidate in (os.path.join(parent, "autoinstr"), parent):
        if os.path.isfile(os.path.join(candidate, "__init__.py")):
            return candidate
    raise ImportError("no package autoinstr beside or above %s" % folder)


def find_libraries(folder):
    """Make the libraries of a bundle importable; they are beside the folder of this file."""
    parent = os.path.dirname(os.path.realpath(folder))
    names = (
        ("libraries",) if sys.version_info >= (3, 11) else ("libraries", "libraries-before-3.11")
    )
    libraries.extend(
        path for path in (os.path.join(parent, name) for name in names) if os.path.isdir(path)
    )
    put_libraries_last()


def put_libraries_last():
    """Move the libraries to the end of sys.path, so that the program's versions take precedence.

    Called again before their use, because the program may have appended folders."""
    if libraries and sys.path[-len(libraries) :] != libraries:
        sys.path[:] = [path for path in sys.path if path not in libraries] + libraries


def install_hook(package):
    """Load the import hook from the folder of the package, and register for torch."""
    folder = os.path.join(package, "instrument")
    load("autoinstr", os.path.join(package, "__init__.py"), [package])._kept = kept
    load("autoinstr.instrument", os.path.join(folder, "__init__.py"), [folder])
    importhook = load("autoinstr.instrument.importhook", os.path.join(folder, "importhook.py"))
    importhook.register("torch", activate)
    importhook.install()


def load(name, file, locations=None):
    """Import a module from its file, unless it is imported.

    sys.path need not contain the file, and no search happens, which saves 0.15 ms."""
    if name not in sys.modules:
        external = sys.modules["_frozen_importlib_external"]
        spec = external.spec_from_file_location(name, file, submodule_search_locations=locations)
        module = sys.modules[name] = sys.modules["_frozen_importlib"].module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        parent, _, attribute = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], attribute, module)
    return sys.modules[name]


def activate(torch):
    """Start the agent. The import hook calls it with the complete torch, and after a reload."""
    try:
        put_libraries_last()
        from autoinstr.agent import bootstrap

        bootstrap.activate()
    except Exception as error:
        complain(error)


def complain(error):
    """Write one line on the stderr that the process began with."""
    try:
        text = " ".join(str(error).split())
        line = "autoinstr: off in process %d: %s: %s\n" % (
            os.getpid(),
            type(error).__name__,
            text,
        )
        try:
            from autoinstr.base.system import write_to_stderr
        except Exception:  # a damaged installation
            if identify_stderr() == kept.get("stderr", identify_stderr()):
                sys.stderr.write(line)
        else:
            write_to_stderr(line)
    except Exception:  # stderr may be None, closed or full: nobody can read the line
        pass
