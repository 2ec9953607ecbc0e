"""The only logging set-up: structlog over the standard library's logging, onto standard error.

One event is one line: a name and fields; what a line looks like is log_line.py's matter. Must
not read the environment or the settings; `configure_logging` is told what it needs. Truth:
spec/appliance.md (Observability), spec/configuration.md (LOG_LEVEL, LOG_FORMAT), systemd.exec(5).
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
"""Python's names and Rails'."""

_ROOT_NAME = "appliance"


class Log(Protocol):
    """What a part of the program needs of a log: an event name and fields."""

    def debug(self, event: str, **fields: Any) -> Any:
        """Log detail."""

    def info(self, event: str, **fields: Any) -> Any:
        """Log a change of state."""

    def warning(self, event: str, **fields: Any) -> Any:
        """Log what is degraded and retried."""

    def error(self, event: str, **fields: Any) -> Any:
        """Log what a person must act on."""


class EventLogger(structlog.BoundLoggerBase):
    """Logs events; what the level leaves out costs one look-up and no processor runs.

    Usage: `log.info("server_online", server=id)`. The event is a name in lower case, the same
    every time; everything that varies is a field.
    """

    _logger: logging.Logger

    def debug(self, event: str, **fields: object) -> None:
        """Log what helps to find a fault."""
        if self._logger.isEnabledFor(logging.DEBUG):
            self._proxy_to_logger("debug", event, **fields)

    def info(self, event: str, **fields: object) -> None:
        """Log a change of state."""
        if self._logger.isEnabledFor(logging.INFO):
            self._proxy_to_logger("info", event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log that something is degraded or retried."""
        if self._logger.isEnabledFor(logging.WARNING):
            self._proxy_to_logger("warning", event, **fields)

    def error(self, event: str, **fields: object) -> None:
        """Log what a person must act on."""
        if self._logger.isEnabledFor(logging.ERROR):
            self._proxy_to_logger("error", event, **fields)

    def exception(self, event: str, **fields: object) -> None:
        """Log an error with the traceback of the exception that is being handled, or `exc_info`."""
        if self._logger.isEnabledFor(logging.ERROR):
            self._proxy_to_logger("error", event, **({"exc_info": True} | fields))

    def bind(self, **fields: object) -> EventLogger:
        """Return a logger that adds fields to every event."""
        return EventLogger(self._logger, self._processors, {**self._context, **fields})


_REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)


def request_context(request_id: str | None) -> AbstractContextManager[None]:
    """Add a request's id, if it has one, to what the block and the tasks that it starts log."""
    return _NO_ID if request_id is None else _with_id(request_id)


_NO_ID = nullcontext()
"""Most requests have none, and all come by: this costs a tenth."""


@contextmanager
def _with_id(request_id: str) -> Iterator[None]:
    token = _REQUEST_ID.set(request_id)
    try:
        yield
    finally:
        _REQUEST_ID.reset(token)


def current_request_id() -> str | None:
    """Return the id of the request that is being answered, None if it has none."""
    return _REQUEST_ID.get()


def _add_request_id(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    request_id = _REQUEST_ID.get()
    if request_id is not None:
        event_dict.setdefault("request_id", request_id)
    return event_dict


# One list for all loggers, changed in place only: structlog.testing.capture_logs relies on it.
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
    """Return the logger of a module; name: its `__name__` or any word."""
    full = name if name.partition(".")[0] == _ROOT_NAME else f"{_ROOT_NAME}.{name}"
    return EventLogger(logging.getLogger(full), _PROCESSORS, {})


def configure_logging(
    level: str,
    log_format: str,
    *,
    journal_stream: str | None = None,
    stream: TextIO | None = None,
) -> None:
    """Send every log of the process to one stream in one form; may be called again.

    level: a name of LEVELS. Libraries (hypercorn, quart, asyncio, redis, asyncpg …) are heard from
    WARNING on. log_format: `auto`, `console`, `json` or `journal`. journal_stream: JOURNAL_STREAM
    as systemd set it. stream: standard error by default.
    Raises ValueError: an unknown level or format.
    """
    if level not in LEVELS:
        raise ValueError(f"unknown log level {level!r}")
    target = sys.stderr if stream is None else stream
    handler = _Output(target)
    handler.setFormatter(_formatter(_choose_format(log_format, target, journal_stream), target))
    root = logging.getLogger()
    for old in _outputs():
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(LEVELS[level], logging.WARNING))
    logging.getLogger(_ROOT_NAME).setLevel(LEVELS[level])
    # Whoever reads standard error may go away; a log that cannot be written must not be a fault.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    # PyJWT's, of three lines, at whatever secret an upload is tried with: doctor judges secrets.
    warnings.filterwarnings("ignore", "The HMAC key is")


def print_failure(text: str, journal_stream: str | None) -> None:
    """Say on standard error why the program ends: an error of the journal's, where that reads it.

    journal_stream: JOURNAL_STREAM as systemd set it. For what happens before or outside of a log.
    """
    head = "<3>" if _is_journal(sys.stderr, journal_stream) else ""
    for line in text.splitlines():
        print(f"{head}{line}", file=sys.stderr)


def reopen_logs() -> None:
    """Do what SIGHUP asks of a log: where it is a file that was rotated, go on in a new one.

    Raises OSError: there is no new one; the old one goes on.
    """
    for output in _outputs():
        output.reopen()


def _outputs() -> list[_Output]:
    return [one for one in logging.getLogger().handlers if isinstance(one, _Output)]


class _Output(logging.StreamHandler[TextIO]):
    """Writes to a stream, and knows the name of the file that it leads to, if it is one."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._path = _path_of(stream)

    def reopen(self) -> None:
        """Open the file by its name again. Nothing to do for the journal, a pipe, a terminal."""
        if self._path is None:
            return
        with self.lock or nullcontext():
            number = self.stream.fileno()
            mode = stat.S_IMODE(os.fstat(number).st_mode)
            new = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
            try:
                # By number: what libraries write to standard error goes there as well.
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
    """Compare device and inode: children inherit the variable, but may have another stderr."""
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
    if log_format != "journal":  # The journal stamps lines itself.
        common.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    return ProcessorFormatter(
        foreign_pre_chain=[_add_foreign],
        processors=[*common, lambda _logger, _method, event: chosen(event)],
    )


def _add_foreign(logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Give a library's record the fields that ours have, and say whose it is."""
    record: logging.LogRecord = event_dict["_record"]
    event_dict["level"] = record.levelname.lower()
    event_dict["logger"] = record.name
    return event_dict


def _redact(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    return redact(event_dict)
