"""The engine for the process and its host: embedded stores, signals, systemd, the file system.

embedded/         Redis and PostgreSQL as child processes; begin with embedded/stores.py
process.py        file limit, allocator, garbage collector, lag of the event loop
exhaustion.py     errors that are due to a limit of this process
signals.py        SIGTERM, SIGINT, SIGHUP
systemd.py        notifications, watchdog, status line
tasks.py          supervised services and bounded background work
threads.py        work that is done in a thread if its data are large
file_system.py    free space, write-back, renames that rename(2) lacks
new_file.py       replacing a file as a whole
inotify.py        files that appear in a directory
wire.py           documents with open files over a Unix socket
state_secrets.py  secrets in STATE_DIR
disk_facts.py     facts about a directory, which features judge
host_facts.py     facts about the host, which features judge

May import `instruments`, `settings`, `log`, `model` and `faults`. Knows no feature.
"""
