"""The endpoint for FreeSWITCH, which connects telephone calls to meetings by pin.

Begin in `routes.py`, then `calls.py` and `dialplan.py`. May use pool/, tenants/, bbb/ and the
engines. See docs/dial-in.md.
"""
