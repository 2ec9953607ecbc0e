"""`python -m appliance.settings sample|reference`: print a file generated from the table."""

from __future__ import annotations

import sys

from appliance.settings.reference import render_reference, render_sample

_RENDER = {"sample": render_sample, "reference": render_reference}


def main(arguments: list[str]) -> int:
    """Print the file that the only argument names; return the exit code, 2 for wrong usage."""
    if len(arguments) != 1 or arguments[0] not in _RENDER:
        sys.stderr.write("usage: python -m appliance.settings sample|reference\n")
        return 2
    sys.stdout.write(_RENDER[arguments[0]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
