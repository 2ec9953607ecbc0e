"""Backup and restore: a pool in one file, from these stores into the same or into others.

Begin in transfer.py, which sends the pool as lines and takes them back; keys.py and tables.py say
what belongs to it. The file, with its secrets encrypted, is made and read by ctl (ctl/backup.py),
which passes one end of a pipe. Uses the engines only: whole hashes and rows are taken, so that a
new field of a feature needs no change here.
"""
