"""Making networks: many seeds in one batched computation, the searches over architectures, the bundled networks."""
