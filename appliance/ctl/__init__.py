"""`scalelite-appliance ctl`: the operator's program, a synchronous client of the control socket.

Begin in program.py, which parses the command line and runs a command, and in commands.py, which
lists the groups of commands. A group is a file with its arguments and its implementation. Every
command must start fast: nothing heavy may be imported, not even through other modules (checked by
import-linter). May use `settings`, `redaction` and the pure rules of features.
"""

from appliance.ctl.program import main

__all__ = ["main"]
