"""The FreeSWITCH endpoint: callers by telephone find their meeting."""
