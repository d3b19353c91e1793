"""Test attacks by another user of the machine, one in each test: planted files are not followed,
waited for or trusted (docs/reference/security.md)."""

from __future__ import annotations

import ast
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoinstr.agent.control_file import ControlWatcher
from autoinstr.agent.recording_file import create_recording
from autoinstr.analysis.runs import find_run
from autoinstr.base import log, run_directory, system
from autoinstr.base.errors import AutoinstrError, RecordingError, UsageError
from autoinstr.cli.control import write_control
from autoinstr.config.config import load_config
from autoinstr.instrument.profilers.vllm.running_flag import RunningFlag
from autoinstr.recording.reader import Recording
from autoinstr.recording.run import open_run
from autoinstr.report.output import open_output
from tests.conftest import REPO
from tests.support.recordings import make_recording

OTHER = 54321
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give a file to another user"
)


@pytest.fixture(autouse=True)
def plain_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("AUTOINSTR_OUT", raising=False)
    log.reset()
    yield
    log.reset()


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that an attacker wants autoinstr to write to."""
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- the run directory -----------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("place", ["out", "parent"])
def test_a_link_of_another_user_where_the_run_directory_goes(
    place: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "run").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(theirs)
    os.chown(link, OTHER, OTHER, follow_symlinks=False)
    out = str(link if place == "out" else link / "run")
    folder = run_directory.create(out)
    assert not os.path.realpath(folder).startswith(str(tmp_path)) and mode(Path(folder)) == 0o700
    assert os.environ["AUTOINSTR_OUT"] == folder
    assert f"{link} is a symbolic link of user {OTHER}" in capfd.readouterr().err
    os.rmdir(folder)


@needs_root
@pytest.mark.parametrize(
    ("of_folder", "refused"), [(0o1777, True), (0o777, True), (0o775, False), (0o755, False)]
)
def test_a_link_of_another_user_further_up(
    of_folder: int,
    refused: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It is refused if anybody could have created it, before a folder is created behind it.

    In other places an administrator created it."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(of_folder)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "private").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "private"))
    link = tmp_path / "shared" / "link"
    link.symlink_to(tmp_path / "theirs")
    os.chown(link, OTHER, OTHER, follow_symlinks=False)
    folder = run_directory.create(str(link / "a" / "b" / "run"))
    if refused:
        assert (
            os.path.dirname(folder) == str(tmp_path / "private")
            and os.listdir(tmp_path / "theirs") == []
        )
        assert f"{link} is a symbolic link of user {OTHER}" in capfd.readouterr().err
    else:
        assert (
            folder == str(link / "a" / "b" / "run")
            and (tmp_path / "theirs" / "a" / "b" / "run").is_dir()
        )


def test_a_link_of_ones_own_is_followed(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "scratch")
    assert run_directory.create(str(tmp_path / "out")) == str(tmp_path / "out")


def test_a_link_to_nowhere(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "none")
    with pytest.raises(AutoinstrError, match="is not a directory"):
        run_directory.create(str(tmp_path / "out"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
@pytest.mark.parametrize(
    ("of_files", "expected"),
    [(0o600, 0o700), (0o640, 0o750), (0o644, 0o755), (0o604, 0o705), (0o660, 0o750)],
)
def test_who_may_enter(umask: int, of_files: int, expected: int, tmp_path: Path) -> None:
    """Whatever the umask is, only users who may read the recordings may enter the folder, and
    nobody else may write to its parent."""
    (tmp_path / "there").mkdir(mode=0o755)
    before = os.umask(umask)
    try:
        run_directory.create(str(tmp_path / "there" / "run"), of_files)
        if umask != 0o777:
            run_directory.create(str(tmp_path / "a" / "b" / "run"), of_files)
    finally:
        os.umask(before)
    assert mode(tmp_path / "there" / "run") == expected
    if umask != 0o777:
        assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o755 & ~umask
        assert mode(tmp_path / "a" / "b" / "run") == expected


def test_a_file_planted_at_the_path_of_a_recording(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name cannot be guessed. If it were, a link there would still not be followed."""
    monkeypatch.setattr(system.calls, "urandom", lambda size: bytes(size))
    name = f"{os.uname().nodename.split('.')[0]}-{os.getpid()}-00000000.airec"
    for plant in (
        lambda path: path.symlink_to(victim),
        lambda path: path.symlink_to(tmp_path / "none"),
        os.mkfifo,
        Path.touch,
    ):
        plant(tmp_path / name)
        with pytest.raises(FileExistsError):
            create_recording(str(tmp_path), {}, max_bytes=1 << 20)
        assert victim.read_text() == "precious" and not (tmp_path / "none").exists()
        (tmp_path / name).unlink()


def test_a_file_planted_where_a_profile_is_announced(tmp_path: Path, victim: Path) -> None:
    planted = tmp_path / f".profiling-{os.getpid()}"
    planted.symlink_to(victim)
    flag = RunningFlag(str(tmp_path), lambda: True)
    flag.show(True)
    assert not planted.is_symlink() and mode(planted) == 0o600 and victim.read_text() == "precious"
    flag.show(False)
    assert not planted.exists()


# -- the control file ------------------------------------------------------------------------------


def switched(folder: Path) -> list[bool]:
    """What a process is told by the control file: [True] for on, [] if it refuses the file."""
    contents: list[bool] = []

    class Receiver:
        def follow(self, content: bytes, is_stale: bool) -> None:
            contents.append(content == b"on")

        def check(self) -> None: ...

        def reset_in_child(self) -> None: ...

    ControlWatcher(str(folder), Receiver()).read_once()
    return contents


def test_a_control_file_that_is_no_file(tmp_path: Path) -> None:
    """A pipe would hang the program that reads it."""
    control = tmp_path / "control"
    os.mkfifo(control)
    assert switched(tmp_path) == []
    control.unlink()
    (tmp_path / "elsewhere").write_text("on\n")
    control.symlink_to(tmp_path / "elsewhere")
    assert switched(tmp_path) == []
    control.unlink()
    control.mkdir()
    assert switched(tmp_path) == []
    control.rmdir()
    control.write_text("on\n")
    assert switched(tmp_path) == [True]


@needs_root
def test_a_control_file_of_another_user(tmp_path: Path) -> None:
    control = tmp_path / "control"
    control.write_text("on\n")
    os.chown(control, OTHER, OTHER)
    assert switched(tmp_path) == []
    os.chown(tmp_path, OTHER, OTHER)  # somebody may have made the run directory before us
    assert switched(tmp_path) == []
    os.chown(control, 0, 0)
    assert switched(tmp_path) == [True]


@needs_root
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_what_root_says_is_read_by_a_program_of_another_user(umask: int) -> None:
    """`sudo autoinstr ctl on …` for a service: in a process of that user, because root reads
    everything."""
    folder = tempfile.mkdtemp()  # not tmp_path, which lies in a folder of root's alone
    try:
        os.chown(folder, OTHER, OTHER)
        before = os.umask(umask)
        try:
            write_control(folder, "on")
        finally:
            os.umask(before)
        child = os.fork()
        if not child:
            heard = False
            try:
                os.setgroups([])
                os.setgid(OTHER)
                os.setuid(OTHER)
                heard = switched(Path(folder)) == [True]
            finally:
                os._exit(0 if heard else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        shutil.rmtree(folder)


# -- the log ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["link", "dangling link", "hard link", "pipe", pytest.param("foreign", marks=needs_root)],
)
def test_a_log_file_that_somebody_has_planted(
    kind: str, tmp_path: Path, victim: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "dangling link":
        path.symlink_to(tmp_path / "none")
    elif kind == "hard link":
        os.link(victim, path)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.touch()
        os.chown(path, OTHER, OTHER)
    log.configure("info", "console", str(path))
    log.get_logger().info("something to say")
    assert victim.read_text() == "precious" and not (tmp_path / "none").exists()
    assert kind != "foreign" or path.stat().st_size == 0
    said = capfd.readouterr().err
    assert "something to say" in said and "logging to stderr" in said


# -- reading and writing of the command line -------------------------------------------------------


def test_a_pipe_called_as_a_recording(tmp_path: Path) -> None:
    """A report would wait for ever."""
    os.mkfifo(tmp_path / "a.airec")
    with pytest.raises(RecordingError, match="is not a regular file"):
        Recording(str(tmp_path / "a.airec"))
    run = open_run(str(tmp_path))
    assert run.recordings == [] and len(run.problems) == 1


def test_a_link_called_as_a_recording(tmp_path: Path) -> None:
    """It may lead to someone else's recording, which would be shown and passed on as part of this
    run. The run directory itself may be reached through a link."""
    (tmp_path / "run").mkdir()
    secret = make_recording(str(tmp_path / "elsewhere"), [(0, "secret", "Layer", 1_000, 2_000)])
    make_recording(str(tmp_path / "run"), [(0, "mine", "Layer", 1_000, 2_000)])
    link = tmp_path / "run" / "linked.airec"
    link.symlink_to(secret)
    (tmp_path / "name").symlink_to(tmp_path / "run")
    for named in (tmp_path / "run", tmp_path / "name"):
        run = find_run(str(named))
        assert [name.path for one in run.recordings for name in one.names.values()] == ["mine"]
        assert run.problems == [f"{named / link.name}: is a symbolic link, which is not followed"]
    link.unlink()
    link.symlink_to(tmp_path / "none")
    assert find_run(str(tmp_path / "run")).problems == [
        f"{link}: is a symbolic link, which is not followed"
    ]


def test_a_recording_that_becomes_a_link_once_it_is_known(tmp_path: Path) -> None:
    """`view` reads its run again for each format."""
    secret = make_recording(str(tmp_path / "elsewhere"), [(0, "secret", "Layer", 1_000, 2_000)])
    file = Path(make_recording(str(tmp_path / "run"), [(0, "mine", "Layer", 1_000, 2_000)]))
    [recording] = find_run(str(tmp_path / "run")).recordings
    file.unlink()
    file.symlink_to(secret)
    with pytest.raises(RecordingError, match="is a symbolic link, which is not followed"):
        recording.names  # noqa: B018


def test_a_link_in_a_folder_of_runs(tmp_path: Path) -> None:
    make_recording(str(tmp_path / "elsewhere"), [(0, "secret", "Layer", 1_000, 2_000)])
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(
        RecordingError,
        match=(
            f"{runs}/linked: is a symbolic link to a run directory, .*: autoinstr report "
            f"{runs}/linked"
        ),
    ):
        find_run(str(runs), latest=True)
    assert len(find_run(str(runs / "linked")).recordings) == 1, "he names it himself"
    make_recording(str(runs / "one"), [(0, "mine", "Layer", 1_000, 2_000)])
    (runs / "latest").symlink_to("one")
    (runs / "nothing").symlink_to(tmp_path / "none")
    run = find_run(str(runs))
    assert run.path == str(runs / "one")
    assert [problem.partition(", ")[0] for problem in run.problems] == [
        f"{runs / 'linked'}: is a symbolic link to a run directory"
    ]


def test_a_link_planted_at_the_draft_of_a_report(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: bytes(size))
    draft = tmp_path / f"report.json.part-{os.getpid()}-00000000"
    draft.symlink_to(victim)
    with (
        pytest.raises(AutoinstrError, match="cannot be written: File exists"),
        open_output(str(tmp_path / "report.json"), binary=False) as stream,
    ):
        stream.write(b"mine")
    assert victim.read_text() == "precious"


def test_a_link_at_the_place_of_a_report_is_replaced(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "report.json").symlink_to(victim)
    with open_output(str(tmp_path / "report.json"), binary=False) as stream:
        stream.write(b"mine")
    assert victim.read_text() == "precious" and (tmp_path / "report.json").read_bytes() == b"mine"


# -- nothing is evaluated --------------------------------------------------------------------------

EVALUATING = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "pickle",
    "cPickle",
    "_pickle",
    "marshal",
    "shelve",
    "dill",
    "yaml",
    "jsonpickle",
    "ctypes.pickle",
}
# Where a name stands all the same, how often, and why it evaluates nothing that comes from outside.
KNOWN = {
    (
        "autoinstr/instrument/functions/code_swap.py",
        "exec",
    ): 1,  # a function with the parameters of one of torch's: their names are what is filled in
    ("autoinstr/instrument/functions/code_swap.py", "compile"): 1,
    # the text of a function that torch has generated and loaded before
    ("autoinstr/instrument/compiled/weaving.py", "compile"): 1,
    ("sitecustomize/sitecustomize.py", "__import__"): 1,  # the next sitecustomize
}


def test_nothing_evaluates_what_comes_from_outside() -> None:
    found: dict[tuple[str, str], int] = {}
    files = [*REPO.glob("autoinstr/**/*.py"), *REPO.glob("sitecustomize/*.py")]
    assert len(files) > 100
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = [node.func.id]
            elif isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").split(".")[0]]
            for name in EVALUATING.intersection(names):
                key = (str(file.relative_to(REPO)), name)
                found[key] = found.get(key, 0) + 1
    assert found == KNOWN
    pth = (REPO / "autoinstr.pth").read_text()
    assert (
        pth.count("\n") == 1
        and pth.count("exec(") == 1
        and "os.environ.get('AUTOINSTR', '0') not in" in pth
    ), "exec of a literal text"


def test_errors_and_log_lines_hold_no_secret(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError) as raised:
        load_config({"AUTOINSTR": "1", "AUTOINSTR_WHEN": "hf_abcDEF123456789"})
    assert "hf_abc" not in str(raised.value) and "[redacted]" in str(raised.value)
    log.get_logger().warning(
        "a line",
        url="https://me:s3cr3t@host/x",
        api="--api-key s3cr3t",
        error=ValueError("token=s3cr3t"),
    )
    said = capfd.readouterr().err
    assert "a line" in said and "s3cr3t" not in said
