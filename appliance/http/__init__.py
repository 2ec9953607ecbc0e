"""The HTTP engine: a server for ASGI applications, a client, and helpers for applications.

- `server/`: the listener; begin in `server/server.py`.
- `client/`: pooled connections to other HTTP servers; begin in `client/pool.py`.
- `messages` (requests, bodies, whole responses), `streaming` and `file_response` (the other two
  kinds of responses, of Quart applications), `origin` (client address and host behind
  proxies), `multipart`, `content_types`, `authorization`, `errors`.
- `page` makes pages for people in place of what they asked for, `page_texts` has their words.
- For Quart applications: `quart_app` makes one, `quart_exchange` runs it for a request.

Knows nothing of BigBlueButton: imports only system, instruments, settings, model, log and faults.
"""
