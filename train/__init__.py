"""Token shards and conversations to models."""
