"""HTTP engines: the listener on Hypercorn, the client with its pools, ASGI helpers."""
