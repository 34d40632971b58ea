"""One command function per verb: parse, call, print."""
