"""Cuts a VITS model where its vocoder begins, so that each half can be run on its own.

ONNX files are protobuf, of which this reads as much as it needs: the messages ModelProto, GraphProto, NodeProto,
TensorProto, ValueInfoProto and AttributeProto of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

VOCODER_NODE = "/dec/conv_pre/Conv"
"""The first node of HiFi-GAN, as torch's exporter calls it in Piper's models."""

# What computes each frame from those beside it, and nothing from how many there are or where they stand.
_LOCAL_KINDS = frozenset(
    ["Add", "Cast", "Conv", "ConvTranspose", "Div", "Identity", "LeakyRelu", "Mul", "Relu", "Tanh", "Unsqueeze"]
)

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH = 7  # of a model
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE = 1, 5, 11, 12, 13  # of a graph
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_KIND = 1, 2, 3, 4
_TENSOR_NAME, _VALUE_NAME, _VALUE_TYPE = 8, 1, 2
_FLOAT_TENSOR = bytes.fromhex("0a020801")


@dataclass(frozen=True)
class Halves:
    """A model in two."""

    encoder: bytes
    """Takes what the whole model takes, and gives ``latents`` and ``others``."""
    vocoder: bytes
    """Takes those, and gives the sound, shape (1, 1, samples): a fixed number of samples for each frame."""
    latents: str
    """Shape (1, channels, frames)."""
    others: tuple[str, ...]
    """What the vocoder knows of the speaker, the same for all frames."""


@dataclass(frozen=True)
class _Node:
    raw: memoryview
    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def cut_model(model: bytes) -> Halves | None:
    """Both halves of an ONNX model; None where it has no such vocoder.

    Raises:
        ValueError: this is not protobuf.
    """
    whole = list(_fields(memoryview(model)))
    graph = next((payload for number, _, payload in whole if number == _GRAPH), memoryview(b""))
    about = b"".join(raw for number, raw, _ in whole if number != _GRAPH)
    parts = list(_fields(graph))
    nodes = [_node(raw, payload) for number, raw, payload in parts if number == _NODE]
    first = next((node for node in nodes if node.name == VOCODER_NODE), None)
    sound = next((_text(payload, _VALUE_NAME) for number, _, payload in parts if number == _OUTPUT), "")
    if first is None:
        return None
    encoder: list[_Node] = []
    vocoder: list[_Node] = []
    made = set[str]()
    # In a graph each node comes after those whose outputs it takes.
    for node in nodes:
        if node is first or made.intersection(node.inputs):
            vocoder.append(node)
            made.update(node.outputs)
        else:
            encoder.append(node)
    if sound not in made or any(node.kind not in _LOCAL_KINDS for node in vocoder):
        return None
    weights = {_text(payload, _TENSOR_NAME): raw for number, raw, payload in parts if number == _INITIALIZER}
    taken = dict.fromkeys(name for node in vocoder for name in node.inputs if name and name not in made)
    crossing = [name for name in taken if name not in weights]
    inputs = {_text(payload, _VALUE_NAME): raw for number, raw, payload in parts if number == _INPUT}
    constant = {name for node in nodes if not node.inputs for name in node.outputs}
    if first.inputs[0] not in crossing or constant.intersection(crossing) or inputs.keys() & set(crossing):
        return None
    used = {name for node in encoder for name in node.inputs}
    shared = b"".join(raw for number, raw, _ in parts if number not in {_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE})
    sounds = [raw for number, raw, payload in parts if number == _OUTPUT and _text(payload, _VALUE_NAME) == sound]
    return Halves(
        encoder=_model(
            about,
            shared,
            encoder,
            (raw for name, raw in weights.items() if name in used),
            inputs.values(),
            [_value(_OUTPUT, name) for name in crossing],
        ),
        vocoder=_model(
            about,
            shared,
            vocoder,
            (raw for name, raw in weights.items() if name in taken),
            [_value(_INPUT, name) for name in crossing],
            sounds,
        ),
        latents=first.inputs[0],
        others=tuple(name for name in crossing if name != first.inputs[0]),
    )


def _model(
    about: bytes,
    shared: bytes,
    nodes: Sequence[_Node],
    weights: Iterable[memoryview],
    inputs: Iterable[memoryview | bytes],
    outputs: Iterable[memoryview | bytes],
) -> bytes:
    graph = b"".join([*(node.raw for node in nodes), shared, *weights, *inputs, *outputs])
    return about + _field(_GRAPH, graph)


def _value(number: int, name: str) -> bytes:
    """A float tensor of any shape."""
    return _field(number, _field(_VALUE_NAME, name.encode()) + _field(_VALUE_TYPE, _FLOAT_TENSOR))


def _node(raw: memoryview, payload: memoryview) -> _Node:
    texts: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_NAME: [""], _NODE_KIND: [""]}
    for number, _, value in _fields(payload):
        if number in texts:
            texts[number].append(str(value, "utf-8"))
    return _Node(
        raw, texts[_NODE_NAME][-1], texts[_NODE_KIND][-1], tuple(texts[_NODE_INPUT]), tuple(texts[_NODE_OUTPUT])
    )


def _text(message: memoryview, number: int) -> str:
    return next((str(payload, "utf-8") for found, _, payload in _fields(message) if found == number), "")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Each field's number, the field as it stands, and its payload where it is text, bytes or a message."""
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        begin = at
        if kind == _VARINT:
            _, at = _varint(message, at)
            begin = at
        elif kind == _BYTES:
            size, begin = _varint(message, at)
            at = begin + size
        elif kind in {_FIXED32, _FIXED64}:
            begin = at = at + (4 if kind == _FIXED32 else 8)
        else:
            raise ValueError(f"this is no ONNX model: a field of kind {kind}")
        if at > len(message):
            raise ValueError("this is no ONNX model: it ends within a field")
        yield number, message[start:at], message[begin:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("this is no ONNX model: it ends within a number")


def _field(number: int, payload: bytes) -> bytes:
    key, size = number << 3 | _BYTES, len(payload)
    head = bytearray()
    for value in (key, size):
        rest = value
        while rest > 127:
            head.append(rest & 127 | 128)
            rest >>= 7
        head.append(rest)
    return bytes(head) + payload
