"""Verifying ONNX files: is the exported graph the function that it claims to be?"""
