"""The HTTP server: listeners that serve one ASGI application, on Hypercorn with measured shortcuts.

Begin in `server` (`HttpServer`: start, serve, stop). Below it, each importing only what follows:
- `tuning` chooses what serves a connection: `connection` where the installed version of Hypercorn
  was checked, else `hypercorn_connection` (also with TUNING_OFF=connections).
- `connection`: reading, sending, idleness and TLS handshake of one connection.
- `protocol` is HTTP/1.1 on Hypercorn's H11Protocol; `fast_path` has the limits of a head, and
  reads and writes the simple messages without h11.
- `hypercorn_connection` is the fallback, Hypercorn's own TCPServer.
- `interface` is what both kinds of connections have in common.
- `accept` accepts connections and carries their bytes; `sockets` binds addresses and loads TLS.

Each shortcut names beside it what it saves. Figures are CPU time of the server for a small request,
which takes 191 µs on Hypercorn as it comes; docs/architecture.md says how they were measured.
"""
