"""The BBB servers of the pool: registry, administrative states, polling, load, sync from a file.

Begin in `polling.py` (with `poller.py`, which schedules polls, and `lua/observe_server.lua`), or in
`administration.py` for the operator's commands. `remembered.py` notices that Redis has lost all
servers. `maintenance/` plans and acts on maintenance windows, `versions/` gives versions of BBB
their share of the new meetings, `sync/` reads and applies server lists. May use callbacks/, pool/,
tenants/ and what is below them, but neither meetings/ nor recordings/.
"""
