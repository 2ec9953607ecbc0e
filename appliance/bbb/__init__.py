"""BigBlueButton's API protocol: parameters, checksums, XML, errors, and the client of servers.

Begin in `signed_request.py` for requests of front-ends, in `client.py` for calls to servers. May
use http/ and what is below it. Source: BigBlueButton API reference,
https://docs.bigbluebutton.org/development/api.
"""
