"""Recordings: upload, spool and import, files and rows, API calls, playback, captions, retention.

Begin in `importer.py` (with `spool_watcher.py`) for imports, in `calls.py` for the API, in
`playback.py` for viewers; `player.py` is BBB's player, `plain_page.py` the page in its place. May
use callbacks/, pool/, tenants/ and what is below them. See docs/recordings.md.
"""
