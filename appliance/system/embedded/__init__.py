"""The embedded Redis and PostgreSQL, for hosts without stores of their own.

Begin with stores.py. state.py prepares STATE_DIR and finds the installed servers; child.py runs one
server as a child process. May import the same as `system`.
"""
