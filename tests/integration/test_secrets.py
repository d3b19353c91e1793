"""Test that secrets of a real program's command line and environment are stored nowhere: in
recordings, doctor's output and files, or the log."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import REPO, Python

FORMS = (
    "subscript-s3cr3t",
    "variable-s3cr3t",
    "empty-s3cr3t",
    "id-s3cr3t",
    "pass-s3cr3t",
    "second-s3cr3t",
    "digest-s3cr3t",
    "user-s3cr3t",
)
CODE = """
import os, torch
os.environ["HF_TOKEN"] = "subscript-s3cr3t"
value = "variable-s3cr3t"
torch.nn.Linear(2, 2)(torch.ones(2))
"""
SECRETS = (
    "option-s3cr3t",
    "argv-s3cr3t",
    "inline-s3cr3t",
    "login-s3cr3t",
    "env-s3cr3t",
    "code-s3cr3t",
    *FORMS,
)
PROGRAM = """
import os, subprocess, sys
if "torch" in sys.argv:
    import torch
    torch.nn.Linear(2, 2)(torch.ones(2))
folder = os.environ["LOOKED_AT"]
found = [f"{name}: {secret}" for parent, _,
    names in os.walk(folder) for name in names for secret in os.environ["LOOKED_FOR"].split(",")
         if secret.encode() in open(os.path.join(parent, name), "rb").read()]
print("on disk:", found)
if "torch" in sys.argv:
    subprocess.run([sys.executable, "-c", "token = 'code-s3cr3t'"])
    subprocess.run([sys.executable, "-m", "pip", "--version", "--password", "argv-s3cr3t"],
        stdout=subprocess.DEVNULL)
"""
ARGV = [
    "--api-key",
    "argv-s3cr3t",
    "--hf-token=inline-s3cr3t",
    "https://me:login-s3cr3t@host/x",
    "torch",
]


@pytest.mark.parametrize("way", ["run", "doctor"])
def test_secrets_stay_where_they_are(way: str, python: Python, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="there is no torch in this environment (make setup)")
    program, temporary, out = tmp_path / "program.py", tmp_path / "temporary", tmp_path / "out"
    program.write_text(PROGRAM)
    temporary.mkdir()
    env = {
        "HF_TOKEN": "env-s3cr3t",
        "AUTOINSTR_EXCLUDE": "password=option-s3cr3t",
        "TMPDIR": str(temporary),
        "LOOKED_AT": str(temporary),
        "LOOKED_FOR": ",".join(SECRETS),
        "AUTOINSTR_OUT": str(out),
        "AUTOINSTR_LOG": "debug",
        "AUTOINSTR_LOG_FILE": str(tmp_path / "log"),
        "PYTHONPATH": str(REPO),
    }
    command = ["-m", "autoinstr", way, "--", sys.executable, program, *ARGV]
    run = python.run(*command, env=env, path=(), on=None)
    assert run.returncode == 0, run.stderr
    assert "on disk: []\n" in run.stdout, "doctor's own files are looked at while it runs"
    files = [
        path for folder in (out, temporary) for path in folder.rglob("*") if path.is_file()
    ] + [tmp_path / "log"]
    assert any(path.suffix == ".airec" for path in files)
    for path in files:
        if path.exists():
            data = path.read_bytes()
            assert not [secret for secret in SECRETS if secret.encode() in data], path
    assert not [
        secret for secret in SECRETS if secret in run.stdout.replace("LOOKED_FOR", "") + run.stderr
    ]
    recording = next(path for path in files if path.suffix == ".airec").read_bytes()
    assert b"--api-key" in recording and b"[redacted]" in recording
    if way == "doctor":
        assert "--api-key" in run.stdout and "[redacted]" in run.stdout
        assert run.stdout.count("\nprocess ") == 3, "the children too: one on, one left alone"


def test_secrets_of_every_form_stay_out_of_a_recording(python: Python, tmp_path: Path) -> None:
    """A reviewer found these: a program that sets a token, options of other names and with several
    values, headers, users."""
    pytest.importorskip("torch", reason="there is no torch in this environment (make setup)")
    options = [
        "--api-key=",
        "empty-s3cr3t",
        "--id-token",
        "id-s3cr3t",
        "--db-pass",
        "pass-s3cr3t",
        "-u",
        "me:user-s3cr3t",
    ]
    options += [
        "sh -c 'vllm serve m --api-key first second-s3cr3t'",
        "Authorization: Digest digest-s3cr3t",
        "--max-tokens",
        "16",
    ]
    run = python.run("-c", CODE, *options, env={"AUTOINSTR_OUT": str(tmp_path / "out")})
    assert run.returncode == 0, run.stderr
    recordings = list((tmp_path / "out").rglob("*.airec"))
    assert recordings
    for recording in recordings:
        data = recording.read_bytes()
        assert not [secret for secret in FORMS if secret.encode() in data]
        assert (
            b"HF_TOKEN" in data
            and b"--id-token" in data
            and b'"--max-tokens","16"' in data.replace(b'", "', b'","')
        )
