"""BigBlueButton's protocol: parameters, checksums, XML, errors, the client of servers."""
