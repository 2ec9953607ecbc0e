"""Recordings: spool and import, files and rows, API calls, playback, text tracks, retention."""
