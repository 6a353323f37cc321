"""Makes openai-whisper's checkpoints from the packaged models, which are in CTranslate2's format.

Source: the layouts of ``ctranslate2/specs/model_spec.py`` (OpenNMT/CTranslate2) and ``whisper/model.py``
(openai/whisper).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from voice_stack.utils.models.store import ModelStore

_TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)  # by CTranslate2's number
_SELF_ATTENTION = {"linear_0": ("query", "key", "value"), "linear_1": ("out",)}
_CROSS_ATTENTION = {"linear_0": ("query",), "linear_1": ("key", "value"), "linear_2": ("out",)}
_PLAIN = {
    "encoder/position_encodings/encodings": "encoder.positional_embedding",
    "decoder/position_encodings/encodings": "decoder.positional_embedding",
    "decoder/embeddings/weight": "decoder.token_embedding.weight",
}
_PARTS = {
    "self_attention/layer_norm": "attn_ln",
    "attention/layer_norm": "cross_attn_ln",
    "ffn/layer_norm": "mlp_ln",
    "ffn/linear_0": "mlp.0",
    "ffn/linear_1": "mlp.2",
    "encoder/layer_norm": "encoder.ln_post",
    "decoder/layer_norm": "decoder.ln",
}

Weights = dict[str, NDArray[Any]]


def checkpoint(name: str, store: ModelStore, folder: Path) -> Path:
    """``folder/<name>.pt``, made from the packaged model of that name unless it is there."""
    import torch

    path = folder / f"{name}.pt"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{name}.lock"):
        if not path.exists():
            weights = _read(store.find_whisper(name, download=False) / "model.bin")
            state = {key: torch.from_numpy(value.copy()) for key, value in _renamed(weights)}
            partial = path.with_suffix(".partial")
            torch.save({"dims": _dimensions(weights), "model_state_dict": state}, partial)
            partial.rename(path)
    return path


def _read(path: Path) -> Weights:
    with path.open("rb") as file:
        _number(file, "I")  # version of the format
        _text(file)  # name and revision of the specification
        _number(file, "I")
        return dict(_variable(file) for _ in range(_number(file, "I")))


def _variable(file: BinaryIO) -> tuple[str, NDArray[Any]]:
    name = _text(file)
    shape = [_number(file, "I") for _ in range(_number(file, "B"))]
    kind = _TYPES[_number(file, "B")]
    return name, np.frombuffer(file.read(_number(file, "I")), kind).reshape(shape)


def _number(file: BinaryIO, kind: str) -> int:
    (number,) = struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))
    return int(number)


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, "H"))[:-1].decode()


def _renamed(weights: Weights) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, value in weights.items():
        layer, _, leaf = name.rpartition("/")
        leaf = {"gamma": "weight", "beta": "bias"}.get(leaf, leaf)
        if leaf not in {"weight", "bias", "encodings"}:
            continue  # what the architecture says anyway, and the alignment heads
        if name in _PLAIN:
            yield _PLAIN[name], value
        elif layer.startswith("encoder/conv"):
            yield f"{layer.replace('/', '.')}.{leaf}", value
        elif "/layer_" not in layer or layer in _PARTS:
            yield f"{_PARTS[layer]}.{leaf}", value
        else:
            side, block, part = layer.split("/", 2)
            yield from _in_block(f"{side}.blocks.{block.removeprefix('layer_')}", part, leaf, value)


def _in_block(block: str, part: str, leaf: str, value: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    if part in _PARTS:
        yield f"{block}.{_PARTS[part]}.{leaf}", value
        return
    kind, _, linear = part.partition("/")
    attention, stacked = ("attn", _SELF_ATTENTION) if kind == "self_attention" else ("cross_attn", _CROSS_ATTENTION)
    names = stacked[linear]
    for projection, piece in zip(names, np.split(value, len(names)), strict=True):
        if (projection, leaf) != ("key", "bias"):  # zeros here; Whisper has none
            yield f"{block}.{attention}.{projection}.{leaf}", piece


def _dimensions(weights: Weights) -> dict[str, int]:
    def layers(side: str) -> int:
        return len(
            {name.split("/")[1] for name in weights if name.startswith(f"{side}/layer_") and "norm/" not in name}
        )

    audio, text = weights["encoder/position_encodings/encodings"], weights["decoder/position_encodings/encodings"]
    return {
        "n_mels": weights["encoder/conv1/weight"].shape[1],
        "n_audio_ctx": audio.shape[0],
        "n_audio_state": audio.shape[1],
        "n_audio_head": int(weights["encoder/num_heads"]),
        "n_audio_layer": layers("encoder"),
        "n_vocab": weights["decoder/embeddings/weight"].shape[0],
        "n_text_ctx": text.shape[0],
        "n_text_state": text.shape[1],
        "n_text_head": int(weights["decoder/num_heads"]),
        "n_text_layer": layers("decoder"),
    }
