"""Uploads of recordings over HTTP into the spool. Begin in `receiving`."""
