"""Messages that kafka-python lacks: KIP-848, share and streams group describes, written from the protocol."""
