"""The engine for Redis: a pipelining client on Trio with hiredis as its parser.

Begin with store.py, on which the stores of the features build, and client.py below it. link.py is
one live connection and matches replies to callers; connection.py connects, directly or by way of
Sentinel; url.py parses REDIS_URL; errors.py translates errors; facts.py inspects a server;
startup.py waits for Redis at the start of the appliance. scripts.py reads the Lua
scripts, which share lib.lua.

May import `system`, `instruments`, `settings`, `log` and `faults`. Knows no feature and no key,
except for the key of the write test in facts.py.
"""
