"""Imports of recordings: the spool and its tars, unpacked, placed and written to the database.

Begin in `spool_watcher` and `importer`.
"""
