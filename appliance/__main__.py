"""Entry point of `scalelite-appliance`: refuses unsupported Pythons, then runs command_line.py.

This file must be valid syntax for every Python 3 and import nothing else before the check, so that
an unsupported Python prints a clear message instead of a SyntaxError or an ImportError.
"""

import sys

MIN_PYTHON = (3, 11)
END_PYTHON = (3, 14)
"""The first version that is not supported: trio-asyncio does not import there."""


def check_python() -> None:
    """Exit with code 1 and a line on standard error if this Python is not supported."""
    version = tuple(sys.version_info[:3])
    if MIN_PYTHON <= version < END_PYTHON:
        return
    message = "scalelite-appliance requires Python {}.{} to {}.{}; {} is Python {}.{}.{}\n"
    numbers = (*MIN_PYTHON, END_PYTHON[0], END_PYTHON[1] - 1, sys.executable, *version)
    sys.stderr.write(message.format(*numbers))
    sys.exit(1)


def main(argv: "list[str] | None" = None) -> int:
    """Run the command of `argv` (default: that of the process) and return the exit code."""
    check_python()
    from appliance.command_line import run_command

    return run_command(sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
