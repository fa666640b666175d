"""YAML files to documents, with every mistake named by file and place."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from isthmus.client.manifest.document import KINDS, Document
from isthmus.client.problem import ExitCode, Problem, Violation
from pydantic import Field, TypeAdapter, ValidationError

_BRANCH = re.compile(r"literal\[|constrained-|function-")
"""Where a value may be one of several kinds, the kinds are no part of its path."""
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_ADAPTER: TypeAdapter[Document] = TypeAdapter(Annotated[Document, Field(discriminator="kind")])


def read_documents(paths: list[Path], environment: Mapping[str, str] | None = None) -> list[Document]:
    """Reads files, folders (`*.yaml`, `*.yml`) or `-` for standard input.

    `${NAME}` and `${NAME:-default}` in text are replaced from the environment.

    Raises:
        Problem: nothing to read, malformed YAML, a document that is not valid,
            an unset variable, or two documents of one kind and name. All
            mistakes of all files are reported together.
    """
    variables = os.environ if environment is None else environment
    documents: list[Document] = []
    mistakes: list[Violation] = []
    for origin, text in _texts(paths):
        for place, raw in _parsed(origin, text, mistakes):
            document = _document(place, raw, variables, mistakes)
            if document is not None:
                documents.append(document)
    mistakes += _repeated(documents)
    if mistakes:
        raise _invalid(mistakes)
    return sorted(documents, key=lambda document: KINDS.index(document.kind))


def _texts(paths: list[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        if str(path) == "-":
            yield "standard input", sys.stdin.read()
            continue
        files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
        if not files:
            raise Problem(
                "NOTHING_TO_READ",
                f"{path} holds no YAML file: name another folder.",
                exit_code=ExitCode.USAGE,
            )
        for file in files:
            yield str(file), _text(file)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Problem(
            "FILE_NOT_UTF8",
            f"{file} is not UTF-8 at byte {error.start}: save it as UTF-8.",
            exit_code=ExitCode.USAGE,
        ) from error
    except OSError as error:
        raise Problem(
            "FILE_UNREADABLE",
            f"{file} cannot be read: {error.strerror}. Name an existing file.",
            exit_code=ExitCode.USAGE,
        ) from error


def _parsed(origin: str, text: str, mistakes: list[Violation]) -> Iterator[tuple[str, Any]]:
    try:
        for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
            if node is not None:
                place = f"{origin}:{node.start_mark.line + 1}"
                yield place, yaml.safe_load(yaml.serialize(node))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{origin}:{mark.line + 1}:{mark.column + 1}" if mark else origin
        mistakes.append(Violation(where, f"malformed YAML: {error.problem}"))
    except (yaml.YAMLError, RecursionError) as error:
        mistakes.append(Violation(origin, f"malformed YAML: {str(error).splitlines()[0]}"))


def _document(
    place: str, raw: Any, variables: Mapping[str, str], mistakes: list[Violation]
) -> Document | None:
    missing: set[str] = set()
    filled = _filled(raw, variables, missing)
    if missing:
        mistakes.append(Violation(place, f"set the environment variable {', '.join(sorted(missing))}"))
        return None
    try:
        return _ADAPTER.validate_python(filled)
    except ValidationError as error:
        told: dict[str, list[str]] = {}
        for item in error.errors(include_input=False, include_url=False, include_context=False):
            parts = [str(part) for part in item["loc"][1:] or item["loc"]]
            path = ".".join(part for part in parts if not _BRANCH.match(part))
            told.setdefault(path, []).append(item["msg"].removeprefix("Value error, "))
        for path, messages in told.items():
            mistakes.append(Violation(f"{place} {path}".rstrip(), "; or ".join(dict.fromkeys(messages))))
        return None


def _filled(value: Any, variables: Mapping[str, str], missing: set[str]) -> Any:
    if isinstance(value, str):
        return _filled_text(value, variables, missing)
    if isinstance(value, list):
        return [_filled(item, variables, missing) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, variables, missing) for key, item in value.items()}
    return value


def _filled_text(text: str, variables: Mapping[str, str], missing: set[str]) -> Any:
    def replaced(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name not in variables and default is None:
            missing.add(name)
        return variables.get(name, default or "")

    result = _VARIABLE.sub(replaced, text)
    # A variable that stands alone may carry a number, a port for example.
    if _VARIABLE.fullmatch(text) and re.fullmatch(r"\d{1,18}", result):
        return int(result)
    return result


def _repeated(documents: list[Document]) -> list[Violation]:
    seen: set[tuple[str, str]] = set()
    twice: list[Violation] = []
    for document in documents:
        identity = (document.kind, document.name)
        if identity in seen:
            twice.append(Violation(f"{document.kind} {document.name}", "stands there twice: keep one"))
        seen.add(identity)
    return twice


def _invalid(mistakes: list[Violation]) -> Problem:
    count = f"{len(mistakes)} mistakes" if len(mistakes) > 1 else "one mistake"
    return Problem(
        "MANIFEST_INVALID",
        f"Nothing was applied, the documents have {count}:",
        violations=tuple(mistakes),
        exit_code=ExitCode.USAGE,
    )
