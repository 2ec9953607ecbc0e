"""Sets up logging: structlog on top of the standard library's logging, written to standard error.

An event is a line with a name and fields; log_line.py formats it. This module reads neither the
environment nor the settings. Source of JOURNAL_STREAM: systemd.exec(5).
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from appliance.log_line import (
    redact,
    render_colours,
    render_console,
    render_journal,
    render_json,
)

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "critical": logging.CRITICAL,
    "unknown": logging.CRITICAL,
}
"""Names of Python and of Rails."""

_ROOT_NAME = "appliance"


class Log(Protocol):
    """A log for events: a name and fields."""

    def debug(self, event: str, **fields: Any) -> Any:
        """Log details for debugging."""

    def info(self, event: str, **fields: Any) -> Any:
        """Log a change of state."""

    def warning(self, event: str, **fields: Any) -> Any:
        """Log a degraded state, or a failure that is retried."""

    def error(self, event: str, **fields: Any) -> Any:
        """Log a failure that requires an operator."""


class EventLogger(structlog.BoundLoggerBase):
    """Logs events; an event below the level costs a single check.

    Usage: `log.info("server_online", server=id)`. The event is a constant name in lower case;
    everything that varies is a field.
    """

    _logger: logging.Logger

    def debug(self, event: str, **fields: object) -> None:
        """Log details for debugging."""
        if self._logger.isEnabledFor(logging.DEBUG):
            self._proxy_to_logger("debug", event, **fields)

    def info(self, event: str, **fields: object) -> None:
        """Log a change of state."""
        if self._logger.isEnabledFor(logging.INFO):
            self._proxy_to_logger("info", event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log a degraded state, or a failure that is retried."""
        if self._logger.isEnabledFor(logging.WARNING):
            self._proxy_to_logger("warning", event, **fields)

    def error(self, event: str, **fields: object) -> None:
        """Log a failure that requires an operator."""
        if self._logger.isEnabledFor(logging.ERROR):
            self._proxy_to_logger("error", event, **fields)

    def exception(self, event: str, **fields: object) -> None:
        """Log an error with the traceback of the current exception, or of `exc_info`."""
        if self._logger.isEnabledFor(logging.ERROR):
            self._proxy_to_logger("error", event, **({"exc_info": True} | fields))

    def bind(self, **fields: object) -> EventLogger:
        """Return a logger that adds fields to every event."""
        return EventLogger(self._logger, self._processors, {**self._context, **fields})


_REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)


def request_context(request_id: str | None) -> AbstractContextManager[None]:
    """Add the id of a request, if it has one, to the events of the block and of its tasks."""
    return _NO_ID if request_id is None else _with_id(request_id)


_NO_ID = nullcontext()
"""For the majority of requests, which have no id: ten times as fast as `_with_id`."""


@contextmanager
def _with_id(request_id: str) -> Iterator[None]:
    token = _REQUEST_ID.set(request_id)
    try:
        yield
    finally:
        _REQUEST_ID.reset(token)


def current_request_id() -> str | None:
    """Return the id of the current request, or None."""
    return _REQUEST_ID.get()


def _add_request_id(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    request_id = _REQUEST_ID.get()
    if request_id is not None:
        event_dict.setdefault("request_id", request_id)
    return event_dict


# A list that all loggers share: structlog.testing.capture_logs changes it in place.
_PROCESSORS: list[Processor] = [
    _add_request_id,
    structlog.stdlib.add_log_level,
    ProcessorFormatter.wrap_for_formatter,
]
structlog.configure(
    processors=_PROCESSORS,
    wrapper_class=EventLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
)
logging.getLogger(_ROOT_NAME).setLevel(logging.INFO)


def get_logger(name: str) -> EventLogger:
    """Return a logger; name: the `__name__` of a module, or any word."""
    full = name if name.partition(".")[0] == _ROOT_NAME else f"{_ROOT_NAME}.{name}"
    return EventLogger(logging.getLogger(full), _PROCESSORS, {})


def configure_logging(
    level: str,
    log_format: str,
    *,
    journal_stream: str | None = None,
    stream: TextIO | None = None,
) -> None:
    """Send all logs of the process to a stream in a format; can be called repeatedly.

    level: a name of LEVELS; libraries (hypercorn, asyncio, redis …) log from WARNING on.
    log_format: `auto`, `console`, `json` or `journal`. journal_stream: the variable JOURNAL_STREAM
    of systemd. stream: default standard error. Raises ValueError: an unknown level or format.
    """
    if level not in LEVELS:
        raise ValueError(f"unknown log level {level!r}")
    target = sys.stderr if stream is None else stream
    handler = _ReopenableHandler(target)
    handler.setLevel(LEVELS[level])  # as well, for `tap_log`
    handler.setFormatter(_formatter(_choose_format(log_format, target, journal_stream), target))
    root = logging.getLogger()
    for old in _own_handlers():
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(LEVELS[level], logging.WARNING))
    logging.getLogger(_ROOT_NAME).setLevel(LEVELS[level])
    # The reader of standard error may end; a failed write of the log must not raise an error.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    # PyJWT warns in three lines whenever it uses a short secret; `ctl doctor` reports those.
    warnings.filterwarnings("ignore", "The HMAC key is")


@contextmanager
def tap_log(take: Callable[[Mapping[str, Any]], None]) -> Iterator[None]:
    """Pass every event from INFO on to `take` as well, also those that LOG_LEVEL leaves out.

    `take` gets the name as `event`, `level`, and the fields, none of them masked yet; it is called
    in the thread that logs.
    """
    logger, handler = logging.getLogger(_ROOT_NAME), _TapHandler(take)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(level, logging.INFO))
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _TapHandler(logging.Handler):
    def __init__(self, take: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__(logging.INFO)
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.msg, dict):  # an event, see wrap_for_formatter
            self._take(record.msg)


def print_failure(text: str, journal_stream: str | None) -> None:
    """Print the reason for the end of the program to standard error.

    For failures without a log. journal_stream: the variable JOURNAL_STREAM of systemd; in the
    journal, the lines have the priority of errors.
    """
    head = "<3>" if _is_journal(sys.stderr, journal_stream) else ""
    for line in text.splitlines():
        print(f"{head}{line}", file=sys.stderr)


def reopen_logs() -> None:
    """Reopen the log if it is a file, for example after its rotation.

    Raises OSError: the file cannot be opened; the old one is still used.
    """
    for handler in _own_handlers():
        handler.reopen()


def _own_handlers() -> list[_ReopenableHandler]:
    return [one for one in logging.getLogger().handlers if isinstance(one, _ReopenableHandler)]


class _ReopenableHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream, and can reopen it if it is a file."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._path = _path_of(stream)

    def reopen(self) -> None:
        """Open the file by its name again; does nothing for a journal, pipe or terminal."""
        if self._path is None:
            return
        with self.lock or nullcontext():
            number = self.stream.fileno()
            mode = stat.S_IMODE(os.fstat(number).st_mode)
            new = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
            try:
                # Replace the descriptor, because libraries also write to standard error.
                os.dup2(new, number)
            finally:
                os.close(new)


def _path_of(stream: TextIO) -> str | None:
    try:
        number = stream.fileno()
        is_file = stat.S_ISREG(os.fstat(number).st_mode)
        return os.readlink(f"/proc/self/fd/{number}") if is_file else None
    except (OSError, ValueError):
        return None


def _choose_format(log_format: str, stream: TextIO, journal_stream: str | None) -> str:
    if log_format in ("console", "json", "journal"):
        return log_format
    if log_format != "auto":
        raise ValueError(f"unknown log format {log_format!r}")
    if stream.isatty():
        return "console"
    return "journal" if _is_journal(stream, journal_stream) else "json"


def _is_journal(stream: TextIO, journal_stream: str | None) -> bool:
    """Compare device and inode: the variable is inherited, but standard error may differ."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"


def _formatter(log_format: str, stream: TextIO) -> ProcessorFormatter:
    render: dict[str, Callable[[EventDict], str]] = {
        "console": render_colours if stream.isatty() else render_console,
        "json": render_json,
        "journal": render_journal,
    }
    chosen = render[log_format]
    common: list[Processor] = [
        ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _redact,
    ]
    if log_format != "journal":  # the journal adds a timestamp
        common.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    return ProcessorFormatter(
        foreign_pre_chain=[_add_foreign],
        processors=[*common, lambda _logger, _method, event: chosen(event)],
    )


def _add_foreign(logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Add the level and the name of the logger to a record of a library."""
    record: logging.LogRecord = event_dict["_record"]
    event_dict["level"] = record.levelname.lower()
    event_dict["logger"] = record.name
    return event_dict


def _redact(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    return redact(event_dict)
