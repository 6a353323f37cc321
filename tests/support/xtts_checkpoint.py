"""An XTTS-v2 checkpoint with the real architecture and random weights.

What it says is noise: it proves that checkpoints load, that voices are cloned and that streams are exact, never that
speech is right. Run through the real coqui-tts code.
"""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE

LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn", "ja", "hu", "ko", "hi")
SPEAKERS = ("Ana Noise", "Ben Noise")

# ruff: noqa: RUF001 - letters that look like others are what a vocabulary is made of

_LETTERS = "abcdefghijklmnopqrstuvwxyzàâäáãąåæçćčďéèêëęěíìîïłñńňóòôöõőøřśšťúùûüůűýźżžğışß'.,!?;:-"
_CYRILLIC = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
_ARABIC = "".join(map(chr, range(0x621, 0x64B)))
_DEVANAGARI = "".join(map(chr, range(0x900, 0x964)))


def make_xtts_checkpoint(
    folder: Path, *, layers: int = 2, channels: int = 64, heads: int = 4, stop_bias: float = 2.0, seed: int = 0
) -> Path:
    """Write ``config.json``, ``vocab.json``, ``model.pth`` and ``speakers_xtts.pth`` into ``folder``, and return it.

    Args:
        layers, channels, heads: of the GPT; the vocoder and the speaker encoder have their real size.
        stop_bias: added to the stop token's logit: the higher, the shorter is what is said.
    """
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.models.xtts import Xtts

    folder.mkdir(parents=True, exist_ok=True)
    _write_vocabulary(folder / "vocab.json")
    arguments = XttsArgs(
        gpt_layers=layers,
        gpt_n_model_channels=channels,
        gpt_n_heads=heads,
        decoder_input_dim=channels,
        gpt_use_perceiver_resampler=True,
        gpt_number_text_tokens=len(json.loads((folder / "vocab.json").read_text("utf-8"))["model"]["vocab"]),
        gpt_start_text_token=1,
        gpt_stop_text_token=0,
    )
    config = XttsConfig(
        model_args=arguments, temperature=0.75, repetition_penalty=5.0, gpt_cond_len=30, gpt_cond_chunk_len=4,
        max_ref_len=30, languages=list(LANGUAGES)
    )  # fmt: skip
    config.save_json(str(folder / "config.json"))
    torch.manual_seed(seed)
    model = Xtts(config)
    model.gpt.mel_head.bias.data[arguments.gpt_stop_audio_token] += stop_bias
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    speakers: dict[str, Any] = {
        name: {
            "gpt_cond_latent": torch.randn(1, 32, channels),
            "speaker_embedding": torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1),
        }
        for name in SPEAKERS
    }
    torch.save(speakers, folder / "speakers_xtts.pth")
    return folder


def _write_vocabulary(path: Path) -> None:
    special = ["[STOP]", "[START]", "[UNK]", "[SPACE]", *(f"[{language}]" for language in LANGUAGES)]
    letters = dict.fromkeys(_LETTERS + _CYRILLIC + _ARABIC + _DEVANAGARI)
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    tokenizer = Tokenizer(BPE(vocabulary, [], unk_token="[UNK]"))
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(path))
