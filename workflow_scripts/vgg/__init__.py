"""Library beneath the pipeline's commands: plain functions on arrays, tensors and paths."""
