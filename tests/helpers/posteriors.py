"""Posteriors of which a test needs the numbers, not a net that made them."""

METADATA = {
    "weights_sha256": "00",
    "iterations": 1,
    "code_fingerprint": "c",
    "training_code": "t",
    "choices": {},
    "hardware": "cpu",
}
