"""Every word of the program `scalelite-appliance`: `run` and its like, and all of ctl's commands.

Pure. Manual and completion are made from it (tools/make_manual.py).
"""

from __future__ import annotations

from appliance.ctl.arguments import build_parser
from appliance.ctl.command_tree import Command, read_tree

PROGRAM = "scalelite-appliance"

WITHOUT_CTL = ("config", "secret", "database", "simulate", "takeover")
"""Commands of ctl that the program takes without the word `ctl`, too."""


def read_program() -> Command:
    """Return the tree of the whole program."""
    ctl = read_tree(build_parser(), "ctl", "administer the running appliance")
    local = tuple(command for command in ctl.commands if command.name in WITHOUT_CTL)
    return Command(
        name=PROGRAM,
        commands=(
            Command("run", "run the appliance; it is configured by the environment"),
            ctl,
            *local,
            Command("version", "print the version"),
            Command("help", "print the commands"),
        ),
        runs=False,
    )
