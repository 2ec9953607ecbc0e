"""The HTTP server: a TCP or Unix listener that serves one ASGI application."""
