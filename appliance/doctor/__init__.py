"""`ctl doctor`: inspect what the appliance depends on, and say what to do about each problem.

Begin with doctor.py, which runs the checks. The engines collect facts (redis/facts.py,
postgres/facts.py, bbb/server_facts.py, system/disk_facts.py, system/host_facts.py) and never judge;
the *_findings.py files judge them and are pure. admin_calls.py is the admin call, ctl/doctor.py the
command.

May import fleet, servers, recordings, callbacks, tenants and everything below them; not `takeover`.
"""
