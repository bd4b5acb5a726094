"""How a shard is trained, and what is known of where and with what."""
