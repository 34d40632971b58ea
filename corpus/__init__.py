"""Web pages to clean, accountable documents and token shards."""

__version__ = "0.1.0"
