"""The meeting calls of the BBB API, and the operator's commands for meetings.

Begin in `routes.py` and `calls.py`; for create in `create.py`, `failover.py` and
`lua/place_meeting.lua`, with docs/placement.md beside them. May use servers/, callbacks/, pool/,
tenants/ and what is below them, but not recordings/.
"""
