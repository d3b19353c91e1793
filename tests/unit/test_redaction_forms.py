"""Test forms of secrets that a review found in recordings, strings of programs, and the time that
texts full of them take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.base.redaction import REDACTED, redact_argv, redact_text
from tests.support.examples import scale_examples

SECRET = "s3cr3t-V4lue"
LOOKS = "abcDEF123456"


@pytest.mark.parametrize(
    "argv",
    [
        # Names.
        ["--api-key=", SECRET],
        ["--id-token", SECRET],
        [f"ID_TOKEN={SECRET}"],
        ["--new-token", SECRET],
        ["--new-token", "s3cr3t", "V4lue"],
        ["--db-pass", SECRET],
        ["--pass", SECRET],
        [f"MYSQL_PASS={SECRET}"],
        [f"MYPWD={SECRET}"],
        ["--num-api-tokens", SECRET],
        ["--max-tokens", "16", f"--num-api-tokens={SECRET} {SECRET}"],
        [f"--env=HF_TOKEN=two words {SECRET}"],
        [f"++model.api_key=two words {SECRET}"],
        [f"-eHF_TOKEN=two words {SECRET}"],
        [f"X-Api-Key: two words {SECRET}"],
        ["--encryptionkey", SECRET],
        [f"{'a' * 300}_token={SECRET}"],
        # Several values, in a text.
        ["bash", "-c", f"vllm serve m --api-key K1 {SECRET} --port 8"],
        [f"vllm serve m --api-key 'K1' {SECRET} --port 8"],
        [f"vllm serve m --api-key K1 \\\n  {SECRET} --port 8"],
        [f"vllm serve m '--api-key' {SECRET}"],
        [f'["vllm", "--api-key", "K1", "{SECRET}", "--port", "80"]'],
        [f'{{"api_keys": ["a", "{SECRET}"], "n": 2}}'],
        [f'{{"auth": {{"user": "me", "is": "{SECRET}"}}, "n": 2}}'],
        [f"api_keys:\n- a\n- {SECRET}\n"],
        [f"token: |\n  a\n  {SECRET}\nport: 8\n"],
        # Strings of every kind.
        [f'token: str = "{SECRET}"'],
        [f'x = 1; token: "str | None" = "{SECRET}"'],
        [f'x = 1; token: dict[str, str] = {{"a": "{SECRET}"}}'],
        [f'x = 1; token = """a "quoted" {SECRET} """'],
        [f"x = 1; token = '''a 'quoted' {SECRET} '''"],
        [f"x = 1; token = f'a {{b}} {SECRET}'"],
        [f"x = 1; token = rb'a {SECRET}'"],
        [f"x = 1; token = 'a ' + 'b {SECRET}'"],
        [f"x = 1; token = ('a '\n 'b {SECRET}')"],
        [f"x = 1; token = os.getenv('A', '{SECRET}')"],
        [f'x = 1; os.environ["HF_TOKEN"] = "{SECRET}"'],
        [f'x = 1; os.environ.setdefault("HF_TOKEN", "{SECRET}")'],
        [f'x = 1; token == "{SECRET}"'],
        [f'x = 1; token != "{SECRET}"'],
        [f'x = 1; set_token("{SECRET}")'],
        [f'x = 1; tokens["a"] = "{SECRET}"'],
        [f'x {{\\"token\\": \\"a {SECRET}\\"}}'],
        [f'x {{\\\\\\"token\\\\\\": \\\\\\"a {SECRET}\\\\\\"}}'],
        [f"export TOKEN=ab'{SECRET}'"],
        [f"export TOKEN=ab\\ {SECRET}"],
        [f"echo ${{TOKEN:-{SECRET}}}"],
        [f"?a=1&token%3D{SECRET}"],
        # Headers.
        ["-H", f"Authorization: Digest {SECRET}"],
        ["-H", f"Authorization: Negotiate {SECRET}"],
        ["-H", f'Authorization: Digest username="me", response="{SECRET}"'],
        [f'curl -H \'Authorization: Digest username="me", response="{SECRET}"\' https://host'],
        [f"curl -H 'X-Api-Key: 'a{SECRET}"],
        [f'{{"Authorization": "Digest {SECRET}"}}'],
        [f'{{"x": "Authorization: " + "{SECRET}"}}'],
        ["-H", f"Cookie: a=b; c={SECRET}"],
        # A user with a password.
        ["curl", "-u", f"user:{SECRET}"],
        ["curl", f"-uuser:{SECRET}"],
        ["curl", "--user", f"me:two words {SECRET}"],
        [f"--proxy-user=me:two words {SECRET}"],
        [f"curl -u user:{SECRET} https://host"],
        [f"curl --user 'me:two words {SECRET}' https://host"],
        [f"https://user:with/slash{SECRET}@host"],
        ["--proxy", f"me:{SECRET}@host:80"],
        # By their look.
        ["npm_abcDEF123456"],
        ["pypi-abcDEF123456"],
        ["gsk_abcDEF123456"],
        ["r8_abcDEF123456"],
        ["sk_live_abcDEF123456"],
        ["dckr_pat_abcDEF123456"],
        ["SG.abcDEF123456.abcDEF123456"],
        ["hooks.slack.com/services/abcDEF123456"],
        [f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----"],
        ["--private-key", f"-----BEGIN PRIVATE KEY-----\n{SECRET}"],
    ],
    ids=str,
)
def test_secrets_are_taken_out(argv: list[str]) -> None:
    clean = redact_argv(argv)
    assert len(clean) == len(argv)
    assert REDACTED in " ".join(clean)
    assert not [secret for secret in (SECRET, LOOKS, "V4lue") if secret in " ".join(clean)]


@pytest.mark.parametrize(
    "program",
    [
        f'import os; os.environ["HF_TOKEN"] = "{SECRET}"; print("hello")',
        f'x = "{SECRET}"; f(token=x)',
        f'import a  # don\'t\nx = "{SECRET}"\nf(token=x)',
        f'f(token=x)  # was "{SECRET}"',
        f'assert "{SECRET}" == token',
        f'token = x or "{SECRET}"',
        f'token, a = b, "{SECRET}"',
        f'x, token = ["{SECRET.upper()}"], 3',
        f'f(*["{SECRET}"]); token',
        f'from wandb import login; login("{SECRET}")',
        f'x = """\n{SECRET}\n"""\ndef f(password): pass',
        f"x = 'it is \"{SECRET}\"'; f(token=x); y = 'open {SECRET}",
    ],
)
@pytest.mark.parametrize("start", [["python", "-c"], ["python", "-Ic"], ["bash", "-lc"], []])
def test_no_string_of_a_program_that_speaks_of_a_secret_stays(
    program: str, start: list[str]
) -> None:
    argv = (
        [*start, program, "--port", "80"] if start else ["python", f"-c{program}", "--port", "80"]
    )
    clean = redact_argv(argv)
    assert len(clean) == len(argv) and clean[-2:] == ["--port", "80"]
    assert SECRET.lower() not in " ".join(clean).lower()


def test_what_a_program_does_can_be_read() -> None:
    program = 'import os; os.environ["HF_TOKEN"] = "a"; print("hello", 5); main(max_tokens=5)'
    clean = (
        f'import os; os.environ["HF_TOKEN"] = {REDACTED}; print({REDACTED}, 5); main(max_tokens=5)'
    )
    assert redact_argv(["python", "-c", program]) == ["python", "-c", clean]


PIECES = (
    *(
        "token=",
        "token='",
        "--key ",
        "token:a[",
        "token=(",
        "token: a|",
        "token:a ",
        '"token", "',
        'token=a"',
        "token = 'a' ",
        "x-token",
        "key",
    ),
    *(
        '\\"',
        "\\",
        'token:\\\\"',
        '"token: \\',
        "'''",
        "[[{",
        "max_tokens=[1,",
        "--max-tokens 5 ",
        "--max-tokens a ",
        "'a' ",
        "'a'+\n",
        "#",
    ),
    *(
        "-----BEGIN PRIVATE KEY-----",
        "a:",
        "://a:",
        "--user ",
        "-u a:",
        "-u \\'a:",
        "npm_",
        "SG.",
        "hooks.slack.com/services/",
        " ",
        "\n",
        "%27",
    ),
)


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize(
    "start", ["", "token", "--token ", "token: ", "token=", "token='a'", "token: |\n", '"token: ']
)
def test_the_time_is_linear_in_what_looks_like_a_secret(piece: str, start: str) -> None:
    """A quadratic pattern would take minutes for each of these."""
    text = start + piece * (scale_examples(100_000) // len(piece))
    redact_text(text)
    redact_argv(["-c", text])


@given(
    st.text(st.sampled_from("ab=:,;|&()[]{}'\"\\ \n#-+@/<>"), max_size=30),
    st.sampled_from(["", "'", '"', '\\"', '"""', "f'"]),
)
def test_no_string_behind_a_secret_name_survives(around: str, quote: str) -> None:
    """Text before the name and quotes around it may only remove more."""
    closing = quote.lstrip("f")
    for name, link in (("token", "="), ("HF_TOKEN", ": "), ('"api_key"', ": "), ("--db-pass", " ")):
        assert SECRET not in redact_text(f"{around} {name}{link}{quote}{SECRET}{closing} {around}")
