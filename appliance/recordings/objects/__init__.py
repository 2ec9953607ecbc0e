"""Recordings in a bucket (S3), and moves between it and the disk. Begin in `objects`."""
