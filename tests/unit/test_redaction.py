"""Test that no secret of a command line reaches a recording."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.base.redaction import REDACTED, is_secret_name, redact_argv, redact_text

SECRET = "s3cr3t-V4lue"


@pytest.mark.parametrize(
    "argv",
    [
        ["--api-key", SECRET],
        [f"--api-key={SECRET}"],
        ["--api-key", "other", SECRET, "--port", "80"],
        ["--api-key", f"-{SECRET}"],
        ["--password", SECRET],
        ["--passwd", SECRET],
        ["-token", SECRET],
        ["--hf-token", SECRET],
        ["--auth", SECRET],
        ["--private-key", SECRET],
        ["--client-secret", SECRET],
        ["--aws-credentials", SECRET],
        ["env", f"HF_TOKEN={SECRET}", "python"],
        [f"MYPASSWORD=two words {SECRET}"],
        [f"API_KEY=a'b{SECRET}"],
        [f"MY_TOKEN=a,{SECRET}"],
        [f"openaiApiKey={SECRET}"],
        ["bash", "-c", f"export A_SECRET='x {SECRET}'; python train.py"],
        ["bash", "-c", f"vllm serve m --api-key {SECRET} --port 8"],
        ["bash", "-c", f'token="{SECRET} unclosed'],
        ["python", "-c", f"login(token = '{SECRET}')"],
        ["--config", f'{{"api_key": "{SECRET}", "n": 2}}'],
        ["-H", f"Authorization: Bearer {SECRET}"],
        ["-H", f"X-Api-Key: {SECRET}"],
        [f"--header=Authorization: token {SECRET}"],
        [f"Bearer {SECRET}"],
        [f"https://user:{SECRET}@host/x"],
        [f"redis://:{SECRET}@host"],
        [f"https://{SECRET}@github.com/x"],
        [f"https://host/x?a=1&token={SECRET}&b=2"],
        ["--model", "hf_abcDEF123456"],
        ["sk-proj-abcDEF123456"],
        ["ghp_abcDEF123456"],
        ["AKIAABCDEFGHIJKLMNOP"],
    ],
)
def test_secrets_are_taken_out(argv: list[str]) -> None:
    clean = redact_argv(argv)
    assert len(clean) == len(argv)
    said = " ".join(clean)
    assert REDACTED in said
    for secret in (SECRET, "abcDEF123456", "ABCDEFGHIJKLMNOP"):
        assert secret not in said


@pytest.mark.parametrize(
    "argv",
    [
        ["python", "train.py", "--lr", "0.1", "--model=Qwen/Qwen2.5-0.5B"],
        [
            "vllm",
            "serve",
            "m",
            "--tokenizer",
            "t",
            "--tokenizer-mode=auto",
            "--max-num-batched-tokens",
            "8192",
            "--max-tokens=3",
        ],
        ["--author=me", "--monkey", "7", "--eos-token-id", "5"],
        ["https://host:8000/path?page=2", "http://[::1]:80"],
        [
            "-c",
            "from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5, pipe_handle=7)",
            "--multiprocessing-fork",
        ],
        ["--", "", "-", "a=b=c", "{}", "hf_hub"],
        [
            "vllm",
            "serve",
            "Qwen/Q",
            "--max-model-len",
            "512",
            "--max-tokens",
            "16",
            "--token-limit",
            "5",
            "--seed",
            "1",
            "--port",
            "8000",
        ],
        [
            "vllm",
            "serve",
            "--max-num-batched-tokens=8k",
            "--max-num-batched-tokens",
            "8k",
            "/models/Q",
            "--long-prefill-token-threshold=4",
        ],
        [
            "vllm",
            "serve",
            "--return-tokens-as-token-ids",
            "/models/Q",
            "--max-tokens",
            "auto",
            "/models/Q",
        ],
        [
            "bash",
            "-c",
            (
                "vllm serve /models/Q --max-model-len 512 --max-tokens 16 --tokenizer NAME "
                "--token-limit 5 --seed 1 --port 80"
            ),
        ],
        [
            "--stop-token-ids",
            "1",
            "2",
            "--eos-token-id=5",
            '{"max_tokens": 16, "stop_token_ids": [1, 2], "model": "Qwen/Q"}',
        ],
        [
            "-c",
            (
                "SamplingParams(max_tokens=16,temperature=0.5, stop_token_ids=[1, 2]); "
                "LLM('Qwen/Q', max_num_batched_tokens=None)"
            ),
        ],
        ["-c", "print('x', d.keys(), 'y'); pass"],
        [
            "docker",
            "run",
            "-u",
            "1000:1000",
            "--user",
            "1000:1000",
            "image:tag@sha256:ab",
            "-v",
            "/a:/b",
        ],
        [
            "docker run -u 1000:1000 image:tag",
            "git@host:a/b",
            "https://host:80/a@b",
            "python -u train.py",
        ],
        ['{"pass_config": {"fuse": true}}', "npm_config_registry", "sk", "r8_lora"],
    ],
)
def test_what_says_what_was_run_stays(argv: list[str]) -> None:
    assert redact_argv(argv) == argv


def test_what_follows_the_secret_stays() -> None:
    assert redact_argv(["--api-key", "a", "b", "--port", "80"]) == [
        "--api-key",
        REDACTED,
        REDACTED,
        "--port",
        "80",
    ]
    assert redact_argv(["--auth", "--port", "80"]) == ["--auth", "--port", "80"]
    assert redact_text('{"api_keys": ["a", "b"], "n": 2}') == f'{{"api_keys": {REDACTED}, "n": 2}}'
    assert (
        redact_text("{'u': 'http://x?token=a', 'port': 8}")
        == f"{{'u': 'http://x?token={REDACTED}', 'port': 8}}"
    )
    assert (
        redact_text("serve m --api-key a b --port 8 --seed 1")
        == f"serve m --api-key {REDACTED} --port 8 --seed 1"
    )
    assert (
        redact_text("curl -H 'Authorization: Digest a, b' x")
        == f"curl -H 'Authorization: {REDACTED}' x"
    )
    assert redact_text("curl -u me:a x") == f"curl -u me:{REDACTED} x"
    assert redact_text("token: |\n  a\n\n  b\nport: 8") == f"token: {REDACTED}port: 8"
    assert (
        redact_text("https://u:p@h/x?token=a&x=1") == f"https://{REDACTED}@h/x?token={REDACTED}&x=1"
    )


FURTHER = (
    "--id-token",
    "--new-token",
    "NEW_TOKEN",
    "--db-pass",
    "MYSQL_PASS",
    "api_keys",
    "tokens",
    "--dbpass",
    "DB_PW",
    "OTP",
)


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "--api-key",
        "apikey",
        "APIKey",
        "authToken",
        "DB_PASSWD",
        "client.secret",
        "SSH_KEY",
        *FURTHER,
    ],
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "tokenizer",
        "--max-tokens",
        "author",
        "keyboard",
        "monkey",
        "model",
        "num_tokens_per_step",
        "pass_config",
        "bypass",
        "--token-limit",
    ],
)
def test_harmless_names(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize("piece", ["a", "a-", "a ", "eyJ-", "://", "--a ", "'", "x="])
def test_the_time_is_linear_in_the_text(piece: str) -> None:
    """A quadratic pattern would take hours for this text, in the user's process."""
    text = piece * (200_000 // len(piece))
    assert redact_text(text) == text


@given(st.lists(st.text(max_size=30), max_size=6))
def test_any_command_line_keeps_its_length(argv: list[str]) -> None:
    assert len(redact_argv(argv)) == len(argv)


@given(
    st.sampled_from(["--api-key", "--hf_token", "--db-password"]),
    st.text(min_size=1),
    st.booleans(),
)
def test_no_value_of_a_secret_option_survives(option: str, value: str, joined: bool) -> None:
    """Any value is removed, except one that looks like the next option."""
    if not joined and value.startswith("--"):
        return
    clean = redact_argv([f"{option}={value}"] if joined else [option, value])
    assert clean == ([f"{option}={REDACTED}"] if joined else [option, REDACTED])
