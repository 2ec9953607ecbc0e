"""The HTTP client: pooled HTTP/1.1 connections to BBB servers and front-ends.

Begin in `pool`, which callers use: `PoolTransport.exchange`, or httpx.AsyncClient on top of it.
Below it, each knowing only what stands under it: `exchange` (one request and its response over one
connection), `message` (their bytes), `dial` (name look-up, TCP, TLS) and `appliance.system.wire`
(bytes over a socket).
"""
