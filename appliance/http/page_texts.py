"""Load the texts of pages for people from YAML files by language.

A missing or broken file leaves texts out and never prevents the start: those who render pages have
English defaults. A later directory overrides an earlier one text by text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import yaml

from appliance.log import Log

OVERRIDE_DIR = Path("/etc/scalelite-appliance/locales")
LOCALE_DIRS = (
    Path("/usr/share/scalelite-appliance/locales"),
    Path(__file__).resolve().parents[2] / "config" / "locales",
    OVERRIDE_DIR,
)
"""Directories of the package, of a checkout, and of the operator."""
_MAX_BYTES = 256 * 1024
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""That of libyaml, where PyYAML has it: ten times as fast."""


def load_error_texts(
    locale: str, log: Log, directories: Sequence[Path] = LOCALE_DIRS
) -> dict[str, dict[str, str]]:
    """Return `{name: {"title": …, "info": …}}` of a language.

    `pt-BR` takes missing texts from `pt`. Files hold `{locale: {errors: {name: {key: text}}}}`.
    """
    texts: dict[str, dict[str, str]] = {}
    locale = locale.replace("_", "-")
    language = locale.partition("-")[0]
    for name in dict.fromkeys((language, locale)):
        for directory in directories:
            for key, words in _read(directory / f"{name}.yml", name, log).items():
                texts.setdefault(key, {}).update(words)
    return texts


def load_page_texts(log: Log) -> dict[str, dict[str, dict[str, str]]]:
    """Return the texts of every language for which there is a file, by language."""
    names: set[str] = set()
    for directory in LOCALE_DIRS:
        with contextlib.suppress(OSError):
            names.update(path.stem for path in directory.glob("*.yml"))
    return {name: load_error_texts(name, log) for name in sorted(names)}


def load_texts(section: str, log: Log) -> dict[str, dict[str, str]]:
    """Return the messages of a section of every language for which there is a file.

    Files hold `{locale: {section: {message: translation}}}`.
    """
    found: dict[str, dict[str, str]] = {}
    for directory in LOCALE_DIRS:
        for path in sorted(directory.glob("*.yml")) if directory.is_dir() else ():
            words = _mapping(_load(path, path.stem, log).get(section))
            messages = found.setdefault(path.stem, {})
            messages.update({str(key): str(text) for key, text in words.items()})
    return found


def _read(path: Path, locale: str, log: Log) -> dict[str, dict[str, str]]:
    errors = _mapping(_load(path, locale, log).get("errors"))
    return {
        str(name): {str(key): str(text) for key, text in _mapping(words).items()}
        for name, words in errors.items()
    }


def _load(path: Path, locale: str, log: Log) -> dict[object, object]:
    try:
        with path.open("rb") as file:
            content = yaml.load(file.read(_MAX_BYTES), _LOADER)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        log.warning("locale_not_read", path=str(path), reason=error.strerror)
        return {}
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        log.warning("locale_not_read", path=str(path), reason="no YAML")
        return {}
    return _mapping(_mapping(content).get(locale))


def _mapping(value: object) -> dict[object, object]:
    return value if isinstance(value, dict) else {}
