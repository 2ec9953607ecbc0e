"""The records of the pool in Redis, that is servers and their meetings, and ending meetings.

Begin in `records.py`: every look-up of a server or a meeting goes through it. May use tenants/,
bbb/ and the engines.
"""
