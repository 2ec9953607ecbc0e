"""The pool's records in Redis: its servers and the meetings on them, and ending a meeting there.

Everything that asks where a meeting is begins in `records.py`. May use tenants, bbb and the
engines below them.
"""
