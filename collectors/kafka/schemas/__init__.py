"""Messages that kafka-python lacks: KIP-848, share and streams describes, share offsets, written from the protocol."""
