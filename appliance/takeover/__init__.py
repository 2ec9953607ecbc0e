"""Inspect the stores and directories of a Scalelite before the appliance takes over, and repair
what is safe to repair.

Begin with inspection.py, which works in steps of bounded size; healing.py repairs. The surveys read
and never judge: pool_survey.py (Redis), recording_survey.py (PostgreSQL), file_survey.py
(directories). The *_findings.py files judge what was read and are pure. standalone.py inspects
without a running appliance.

May import recordings, callbacks, servers and tenants and everything below them; not `doctor`.
"""
