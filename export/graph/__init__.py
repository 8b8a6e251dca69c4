"""Building ONNX graphs: what is computed."""
