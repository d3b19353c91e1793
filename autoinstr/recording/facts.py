"""Make the definitions of a recording, and recognise the facts that are searched for later.

A definition is a JSON object whose "t" is its kind (docs/internals/recording-format.md). Each kind
is made here and recognised here by its parsed fields. Readers must not search for JSON text,
because the order of keys and the blanks between them have no meaning."""

from __future__ import annotations

from typing import Any

from autoinstr.recording.json_encoder import encode_json

HEADER, META = "header", "meta"  # facts of the process; later ones replace earlier ones
THREAD = "thread"
NAME = "name"  # what a number in records stands for
TARGET = "target"  # whether a function target was wrapped
# The first module of a class that the filter excluded; the file format calls it left out.
EXCLUDED_CLASS = "left_out"

TARGET_WRAPPED, TARGET_MISSING = "wrapped", "missing"  # status of a target

# The first bytes of each name definition that `make_name` makes.
_NAME_START = encode_json({"t": NAME})[:-1].encode()


def make_header(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the definition with the facts of the process: run, host, roles, argv and so on."""
    return {"t": HEADER, **fields}


def make_meta(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a definition that replaces or adds fields of the header."""
    return {"t": META, **fields}


def make_thread(index: int, tid: int, name: str) -> dict[str, Any]:
    """Return the definition of a thread; `tid` is the number of the operating system."""
    return {"t": THREAD, "index": index, "tid": tid, "name": name}


def make_name(
    number: int, kind: str, domain: str, message: str, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return the definition of the name `number` of ranges or marks (`kind`).

    `fields` are root, path, cls and module of a module's name."""
    return {
        "t": NAME,
        "id": number,
        "kind": kind,
        "domain": domain,
        "message": message,
        **fields,
    }


def make_module_fields(
    module: int,
    root: str,
    path: str,
    cls: str,
    depth: int,
    parameters: tuple[int, int | None] | None,
) -> dict[str, Any]:
    """Return the fields of a module's name. `parameters` are their elements and bytes, if known."""
    fields: dict[str, Any] = {"root": root, "path": path, "cls": cls, "module": module}
    if parameters is not None:
        fields["params"], fields["param_bytes"] = parameters
    return fields


def make_target(name: str, status: str, details: dict[str, Any]) -> dict[str, Any]:
    """Return the definition that says whether the target of this name was wrapped.

    `status` is TARGET_WRAPPED or TARGET_MISSING."""
    return {"t": TARGET, "name": name, "status": status, **details}


def make_excluded_class(cls: str, path: str, root: str, reason: str) -> dict[str, Any]:
    """Return the definition of the first module of a class that the filter excluded for this
    reason."""
    return {"t": EXCLUDED_CLASS, "cls": cls, "path": path, "root": root, "reason": reason}


def is_name(definition: Any) -> bool:
    """Return whether a parsed definition defines a name, so that the recording may have ranges."""
    return isinstance(definition, dict) and definition.get("t") == NAME


def is_wrapped_target(definition: Any, target: str) -> bool:
    """Return whether a parsed definition says that the target of this name was wrapped."""
    return (
        isinstance(definition, dict)
        and definition.get("t") == TARGET
        and definition.get("name") == target
        and definition.get("status") == TARGET_WRAPPED
    )


def belongs_to_run(definition: Any, run: str) -> bool:
    """Return whether a parsed definition says that the process belongs to the run."""
    return (
        isinstance(definition, dict)
        and definition.get("t") in (HEADER, META)
        and definition.get("run") == run
    )


def is_encoded_name(text: bytes) -> bool:
    """Return True only if an encoded definition surely defines a name.

    It lets a reader skip names without parsing them. False has no meaning: the reader must then
    parse the definition."""
    return text.startswith(_NAME_START)
