"""The admin API: the same calls on the control socket and over HTTP, and their OpenAPI document."""
