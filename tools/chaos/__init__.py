"""The fault laboratory, `make chaos`: is anything lost or doubled that was acknowledged?

Begin with __main__.py; faults.py has the table of faults. docs/reliability.md has the result.
"""
