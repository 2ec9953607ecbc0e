"""HTTP in and out: parse a request, call one operation, render its answer."""
