"""The part of the ONNX file format (protobuf, onnx.proto3) that is needed to check a file before it is parsed."""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5

GRAPH, METADATA = 7, 14  # graph and metadata_props of ModelProto
INITIALIZER, INPUT = 5, 11  # of GraphProto
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of TensorProto

# Where tensors can be: the fields of each kind of message that hold messages of another kind.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and the value of each field: a number, or the bytes of a string or message.

    Raises:
        ValueError: the bytes are no protobuf message, or end too early.
    """
    for number, value, _ in _fields(message):
        yield number, value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview, memoryview]]:
    """Yield the number and the value of each field as `fields` does, and the bytes of the whole field."""
    position = 0
    while position < len(message):
        begin = position
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, position = _varint(message, position)
            yield number, value, message[begin:position]
            continue
        if kind == DELIMITED:
            length, position = _varint(message, position)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"unknown wire type {kind}")
        if number == 0 or position + length > len(message):
            raise ValueError("a field reaches beyond the end")
        yield number, message[position : position + length], message[begin : position + length]
        position += length


def metadata(model: memoryview) -> dict[str, str]:
    """Return the ``metadata_props`` of a model.

    Raises:
        ValueError: the bytes are no model.
    """
    found: dict[str, str] = {}
    for number, value in fields(model):
        if number == METADATA and isinstance(value, memoryview):
            entry = {n: str(v, "utf-8") for n, v in fields(value) if isinstance(v, memoryview)}
            found[entry.get(1, "")] = entry.get(2, "")
    return found


def has_external_data(model: memoryview) -> bool:
    """Return whether any tensor of a model, at any depth, is kept in another file.

    Raises:
        ValueError: the bytes are no model.
    """
    waiting: list[tuple[str, memoryview]] = [("model", model)]
    while waiting:
        kind, message = waiting.pop()
        for number, value in fields(message):
            if kind == "tensor" and (number == EXTERNAL_DATA or (number == DATA_LOCATION and value == 1)):
                return True
            child = _CHILDREN[kind].get(number)
            if child and isinstance(value, memoryview):
                waiting.append((child, value))
    return False


def with_constant(model: bytes, name: str, value: float) -> bytes:
    """Return the model with its float32 input ``name``, of shape ``(1,)``, replaced by a constant."""
    tensor = b"\x08\x01" + b"\x10\x01" + delimited(8, name.encode()) + delimited(9, struct.pack("<f", value))
    changed = b""
    for number, message, whole in _fields(memoryview(model)):
        if number != GRAPH or not isinstance(message, memoryview):
            changed += whole
            continue
        kept = [
            bytes(field)
            for inner, content, field in _fields(message)
            if not (inner == INPUT and isinstance(content, memoryview) and _name(content) == name)
        ]
        changed += delimited(GRAPH, b"".join(kept) + delimited(INITIALIZER, tensor))
    return changed


def delimited(number: int, content: bytes) -> bytes:
    """Return the bytes of a string or message field."""
    size, length = b"", len(content)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | DELIMITED]) + size + bytes([length]) + content


def _name(value: memoryview) -> str:
    return next((str(v, "utf-8") for n, v in fields(value) if n == 1 and isinstance(v, memoryview)), "")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number has no end")
