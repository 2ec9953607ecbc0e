"""Playback of recordings for viewers, from the disk or a bucket. Begin in `access`."""
