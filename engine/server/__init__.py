"""The engine process: what is said on the wire, the queue, the worker, and the client the screen holds."""
