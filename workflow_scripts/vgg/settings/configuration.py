"""Configurations held against their schemas: each slip is a line with its place and the cure."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from ..core.files import InputError
from .experiments import read_yaml
from .net_notation import notation_slip

SCHEMAS = Path(__file__).parents[3] / "config/schemas"
ONE_LINE = r"(?!\s)"  # at the end of a pattern: in Python, $ matches before a last line break too
COMMAND_LINE = "--config"
KINDS = {
    **{"object": "keys and their values", "array": "a list", "string": "text", "null": "null"},
    **{"integer": "an integer", "number": "a number", "boolean": "true or false"},
}


def _is_integer(_, value) -> bool:
    """1.0 is an integer to schemas, but not to commands."""
    return isinstance(value, int) and not isinstance(value, bool)


TYPES = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
Validator = validators.extend(Draft202012Validator, type_checker=TYPES)


def check(kind: str, content, *files: str | Path, given: Mapping | None = None) -> None:
    """Raise InputError with a line for each slip in what files of a kind say.

    kind: "config", "tables", … as a schema is called. files: that `content` comes from, a later one
    before an earlier. given: what the command line says, before all files.
    """
    try:
        lines = _told(kind, content, files, given)
    except RecursionError:
        named = " or ".join(map(str, files))
        raise InputError(f"{named}: an anchor (&) in it contains itself") from None
    if lines:
        raise InputError("\n".join(lines))


def _told(kind: str, content, files: Sequence[str | Path], given: Mapping | None) -> list[str]:
    """The lines that `check` has to say."""
    schema = read_yaml(SCHEMAS / f"{kind}.schema.yaml")
    # The claims are a list, of which the schema sees a mapping.
    of_kind = schema.get("properties", {}).get(kind, {})
    if isinstance(content, list) and of_kind.get("type") == "array":
        schema = of_kind | {"$defs": schema["$defs"]}
    # YAML's keys may be numbers, which schemas know nothing of.
    errors = Validator(schema).iter_errors(_with_text_keys(content))
    slips = dict.fromkeys(slip for error in errors for slip in _slips(error, schema))
    nodes = [(file, _nodes(file)) for file in reversed(files)]
    sources = [(COMMAND_LINE, given), *nodes]
    slips |= dict.fromkeys(_strange(content))
    if kind == "models":
        slips |= dict.fromkeys(_misspelt_nets(content))
    lines = [(*_place(path, sources), _dotted(path), text) for path, text in slips]
    for number, (_, node) in enumerate(nodes, start=1):
        lines += [(number, *repetition) for repetition in _repetitions(node)]
    return [
        f"{sources[number][0]}:{f'{line}:' if line else ''} {path}: {text}"
        for number, line, path, text in sorted(lines)
    ]


def read_valid(kind: str, path: str | Path) -> Any:
    """The content of a YAML file, held against its schema. Raises InputError."""
    content = read_yaml(path)
    check(kind, content, path)
    return content


def from_command_line(config: dict, given: Mapping) -> None:
    """Read again what Snakemake took from `--config` for text: in `seeds=[0,1]` are numbers.

    Done where the schema wants no text, for null, and for numbers where the schema takes both.
    """
    schema = read_yaml(SCHEMAS / "config.schema.yaml")
    texts = [
        error
        for error in Validator(schema).iter_errors(config)
        if error.validator in ("type", "enum") and isinstance(error.instance, str)
    ]
    wanted = [path for error in texts if (path := tuple(error.absolute_path)) and path[0] in given]
    for *above, last in dict.fromkeys([*wanted, *_nulls(given), *_numbers(given, schema)]):
        holder = config
        for key in above:
            holder = holder[key]
        with contextlib.suppress(yaml.YAMLError):  # the schema's complaint names it
            holder[last] = yaml.safe_load(holder[last])


def expand_paths(value, schema: Any = None, where: str = ""):
    """A configuration with ~ and variables in its paths replaced, as a shell does it.

    Paths are what the schema gives the format `path`. Raises InputError for an unknown variable.
    """
    schema = read_yaml(SCHEMAS / "config.schema.yaml") if schema is None else schema
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties") or {}
        return {
            key: expand_paths(entry, known.get(key, others), f"{where}.{key}".lstrip("."))
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [expand_paths(entry, schema.get("items", {}), where) for entry in value]
    if schema.get("format") != "path" or not isinstance(value, str):
        return value
    named = "$" in value and os.path.exists(value)  # by its own name, which has a dollar
    expanded = os.path.expanduser(value if named else os.path.expandvars(value))
    if ("$" in expanded and not named) or expanded.startswith("~"):
        raise InputError(
            f"{where}: {value} has a variable or user that is not known here; give the path itself"
        )
    # A command would take it for an option.
    return f"./{expanded}" if expanded.startswith("-") else expanded


def _slips(error: ValidationError, schema: Mapping) -> Iterator[tuple[tuple, str]]:
    """The path and text of each slip that a validator's error is about."""
    path = tuple(error.absolute_path)
    value: Any = error.instance
    rule: Any = error.schema
    match error.validator:
        case "oneOf" | "anyOf" if error.context:
            # Of two forms the one that is closer: by its own keys, then in fewer places.
            forms: dict[Any, list] = {}
            for inner in error.context:
                forms.setdefault(inner.schema_path[0], []).append(inner)

            def distance(form: Sequence[ValidationError]) -> tuple[bool, int, int]:
                keys = [inner for inner in form if inner.absolute_path == error.absolute_path]
                own = sum(1 for inner in keys for _ in _slips(inner, schema))
                return _is_of_another_type(form), own, len(form)

            nearest = min(forms.values(), key=distance)
            for inner in nearest:
                yield from _slips(inner, schema)
        case "additionalProperties":
            for key in [key for key in value if key not in rule["properties"]]:
                yield (*path, key), f"there is no such key{_nearest(key, rule, value, schema)}"
        case "required":
            missing = [key for key in rule["required"] if key not in value]
            known = rule.get("properties", value)  # all, where a rule is about some keys only
            unknown = [key for key in value if key not in known]
            for key in missing:
                # A misspelt key has been named already.
                if not any(_similar(other, [key]) for other in unknown):
                    entry = rule.get("properties", {}).get(key, {})
                    yield (*path, key), f"is missing{_described(entry)}"
        case _ if "propertyNames" in error.absolute_schema_path:
            yield (*path, value), f"cannot be a name, expected {_expected(error, rule)}"
        case _:
            yield path, f"is {_shown(value)}, expected {_expected(error, rule)}"


def _is_of_another_type(form: Sequence[ValidationError]) -> bool:
    return any(error.validator == "type" and not error.relative_path for error in form)


def _expected(error: ValidationError, rule: Mapping) -> str:
    """The values that are allowed, with a guess at the one that was meant."""
    value: Any = error.instance
    wanted: Any = error.validator_value
    match error.validator:
        case "enum":
            guess = _similar(value, wanted)
            names = ", ".join(map(_shown, wanted))
            return f"one of {names}" + (f"; did you mean {guess}?" if guess else "")
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else wanted
            told = " or ".join(KINDS[kind] for kind in kinds)
            return told + _respelt(value, kinds)
        case "pattern":
            return f"text of the form {wanted.removesuffix(ONE_LINE).strip('^$')}"
        case "minimum":
            return f"{wanted} or more"
        case "maximum":
            return f"{wanted} or less"
        case "exclusiveMinimum":
            return f"more than {wanted}"
        case "exclusiveMaximum":
            return f"less than {wanted}"
        case "multipleOf":
            return f"a multiple of {wanted}"
        case "minProperties":
            names = ", ".join(rule.get("properties", {}))
            return f"{wanted} or more of {names}" if names else f"{wanted} or more entries"
        case "minItems":
            return f"{wanted} entries or more"
        case "maxItems":
            return f"{wanted} entries at most"
        case "uniqueItems":
            return "entries that all differ"
        case "maxLength":
            return f"{wanted} characters at most"
        case "dependentRequired":
            needed = ", ".join(sorted({name for names in wanted.values() for name in names}))
            return f"all of {needed}, or none"
    return error.message


def _respelt(value, kinds: Sequence[str]) -> str:
    """How a value of the wrong kind is written rightly, where that can be told."""
    if "array" in kinds and "object" not in kinds and not isinstance(value, dict):
        return "" if str(value).startswith("[") else f"; write [{value}]"
    if isinstance(value, float) and "integer" in kinds and value.is_integer():
        return f"; write {int(value)}"
    if "string" in kinds and "integer" not in kinds and isinstance(value, int | float):
        return f"; write '{value}', in quotes"
    if isinstance(value, str) and {"integer", "number"} & set(kinds):
        try:
            number = float(value)
        except ValueError:
            return ""
        return f"; write {int(number) if number.is_integer() else number}, which YAML reads as one"
    return ""


def _nearest(key: str, rule: Mapping, value: Mapping, schema: Mapping) -> str:
    """A guess at the key that an unknown one was meant to be."""
    names = list(rule["properties"])
    if guess := _similar(key, [name for name in names if name not in value] or names):
        return f"; did you mean {guess}?{_described(rule['properties'][guess])}"
    elsewhere = [".".join(path) for path in _key_paths(schema) if path[-1] == key]
    if elsewhere:
        return f" here; did you mean {' or '.join(elsewhere)}?"
    return f"; there are {', '.join(names)}"


def _similar(word, words: Sequence) -> str | None:
    texts = [text for text in words if isinstance(text, str)]
    close = difflib.get_close_matches(str(word).lower(), texts, n=1)
    return close[0] if close else None


def _described(entry: Mapping) -> str:
    return f" ({entry['description'].rstrip('.')})" if "description" in entry else ""


def _key_paths(schema: Mapping, above: tuple = ()) -> Iterator[tuple]:
    """The paths of all keys that a schema names."""
    for key, entry in schema.get("properties", {}).items():
        yield (*above, key)
        yield from _key_paths(entry, (*above, key))


def _shown(value) -> str:
    """A value on one line, shortened; JSON is YAML too."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _nulls(given, above: tuple = ()) -> Iterator[tuple]:
    """The paths of `null` in what the command line gives."""
    if isinstance(given, Mapping):
        for key, entry in given.items():
            yield from _nulls(entry, (*above, key))
    elif given == "null":
        yield above


def _numbers(given, schema: Mapping, above: tuple = ()) -> Iterator[tuple]:
    """The paths of numbers in what the command line gives, where text would do as well."""
    if isinstance(given, Mapping):
        for key, entry in given.items():
            known = schema.get("properties", {}).get(key, {})
            yield from _numbers(entry, known, (*above, key))
    elif isinstance(given, str) and given.isdecimal() and "integer" in schema.get("type", ()):
        yield above


def _strange(content, above: tuple = ()) -> Iterator[tuple[tuple, str]]:
    """The paths and slips of what YAML has and schemas let pass: names that are no text, NaN."""
    if isinstance(content, dict):
        for key in [key for key in content if not isinstance(key, str)]:
            yield (*above, str(key)), "is a name that YAML takes for no text; write it in quotes"
        for key, entry in content.items():
            yield from _strange(entry, (*above, key))
    elif isinstance(content, list):
        for place, entry in enumerate(content):
            yield from _strange(entry, (*above, place))
    elif isinstance(content, float) and not math.isfinite(content):
        yield above, "is no finite number"


def _misspelt_nets(content) -> Iterator[tuple[tuple, str]]:
    """The paths and slips of nets whose lines are not in Table 1's notation."""
    convnets = content.get("convnets") if isinstance(content, dict) else None
    for name, layers in convnets.items() if isinstance(convnets, dict) else ():
        if isinstance(layers, str) and (told := notation_slip(layers)):
            yield ("convnets", name), told


def _with_text_keys(content):
    if isinstance(content, dict):
        return {str(key): _with_text_keys(entry) for key, entry in content.items()}
    return list(map(_with_text_keys, content)) if isinstance(content, list) else content


def line_of(file: str | Path, path: tuple) -> int | None:
    """The line of a file, from 1, in which the key stands that a path leads to; None for none."""
    return _line(_nodes(file), path)


def _nodes(file: str | Path) -> yaml.Node | None:
    try:
        return yaml.compose(Path(file).read_text(encoding="utf-8"), yaml.SafeLoader)
    except (OSError, yaml.YAMLError):
        return None


def _repetitions(node: yaml.Node | None, above: tuple = ()) -> Iterator[tuple[int, str, str]]:
    """The line, path and slip of each key given before in its mapping: YAML takes the last."""
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            path, line = (*above, key.value), key.start_mark.line + 1
            path, line = (*above, key.value), key.start_mark.line + 1
            if key.value in first:
                told = f"is given in line {first[key.value]} already; delete one of the two"
                yield line, _dotted(path), told
            first.setdefault(key.value, line)
            yield from _repetitions(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from _repetitions(value, (*above, place))


def _dotted(path: tuple) -> str:
    """A path as train.stages or rows[0].name."""
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return steps.removeprefix(".") or "the whole file"


def _place(path: tuple, sources: Sequence[tuple]) -> tuple[int, int]:
    """The number of the source in which a key stands, and its line; a missing one's section's."""
    for known in range(len(path), -1, -1):
        for number, (_, source) in enumerate(sources):
            line = _line(source, path[:known])
            if line is not None and (known or not isinstance(source, Mapping)):
                return number, line
    return len(sources) - 1, 0


def _line(source: yaml.Node | Mapping | None, path: tuple) -> int | None:
    """The line of a path's key, from 1, 0 on the command line; None if the key is not there."""
    given = isinstance(source, Mapping)
    line = 0 if given else 1
    for step in path:
        if isinstance(source, Mapping) and step in source:
            source = source[step]
        elif given and not isinstance(source, Mapping):
            return line  # inside a list that the command line gives
        elif isinstance(source, yaml.MappingNode):
            found = [(key, value) for key, value in source.value if key.value == str(step)]
            if not found:
                return None
            key, source = found[-1]
            line = key.start_mark.line + 1
        elif isinstance(source, yaml.SequenceNode) and isinstance(step, int):
            if step >= len(source.value):
                return None
            entry: yaml.Node = source.value[step]
            line, source = entry.start_mark.line + 1, entry
        else:
            return None
    return None if source is None else line
