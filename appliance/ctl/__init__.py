"""`scalelite-appliance ctl`: argv -> the control socket -> a table or JSON. Synchronous, light.

Must not import what is slow to load (trio, quart, lxml …): import-linter checks it.
"""

from appliance.ctl.program import main

__all__ = ["main"]
