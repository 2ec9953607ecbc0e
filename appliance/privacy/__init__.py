"""Erases the traces of a person, a meeting or a tenant from the stores and files of the appliance.

Begin in `erase.py`. May use recordings, callbacks, usage and tenants. Logs, the audit trail and
backups are not touched. Source: docs/tenants.md, Privacy.
"""
