"""The public listener's ASGI application: routing to the features, errors to answers."""
