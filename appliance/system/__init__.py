"""The engine for the process and its host: embedded stores, signals, systemd, the file system.

embedded/         Redis and PostgreSQL as child processes; begin with embedded/stores.py
process.py        file limit, allocator, garbage collector, lag of the event loop
exhaustion.py     errors that are due to a limit of this process
signals.py        SIGTERM, SIGINT, SIGHUP
systemd.py        notifications, watchdog, status line
tasks.py          supervised services and bounded background work
file_system.py    free space, write-back, renames that rename(2) lacks
inotify.py        files that appear in a directory
state_secrets.py  secrets in STATE_DIR
disk_facts.py     facts about a directory, which features judge
host_facts.py     facts about the host, which features judge

May import `instruments`, `settings`, `log`, `model` and `faults`. Knows no feature.
"""
