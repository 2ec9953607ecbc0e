"""The HTTP client: pooled HTTP/1.1 connections to BBB servers and front-ends."""
