"""Recordings: upload, spool and import, files and rows, API calls, playback, captions, retention.

Begin in `imports/` for what arrives, in `calls.py` for the API, in `playback/` for viewers;
`player/` is BBB's player, `objects/` the bucket. May use callbacks/, pool/, tenants/ and what is
below them. See docs/recordings.md.
"""
