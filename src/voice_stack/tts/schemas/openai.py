"""Shapes of OpenAI's speech API (``openai`` SDK, ``types/audio/speech_create_params.py``)."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, Field

AudioFormatName = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


class VoiceId(BaseModel):
    """A voice named by an object, as OpenAI's SDK sends custom voices."""

    id: str


class SpeechRequest(BaseModel):
    """Body of ``POST /audio/speech``."""

    input: str = Field(description="the text to speak", json_schema_extra={"minLength": 1})
    model: str = "tts-1"
    voice: str | VoiceId = Field("alloy", description="a voice of this service; OpenAI's names mean the default voice")
    response_format: AudioFormatName = "mp3"
    speed: Annotated[float, Field(ge=0.25, le=4.0, allow_inf_nan=False)] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: str | None = Field(None, description="accepted; no engine here follows instructions")
    language: str | None = Field(
        None, description="language to speak, as in en or en-US; left out, that of each sentence (TTS_AUTO_LANG)"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] | None = Field(
        None, description="the same seed gives the same speech, where the engine draws lots; left out, by chance"
    )

    @property
    def voice_name(self) -> str:
        """The voice by its name, whichever way it was given."""
        return self.voice if isinstance(self.voice, str) else self.voice.id


class SpeechUsage(BaseModel):
    """Estimates, since no engine here bills tokens: 4 characters of text, or 50 ms of audio, are one token."""

    input_tokens: int
    output_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, characters: int, duration_s: float) -> "SpeechUsage":
        """What so much text and audio comes to."""
        tokens_in, tokens_out = math.ceil(characters / 4), round(duration_s * 20)
        return cls(input_tokens=tokens_in, output_tokens=tokens_out, total_tokens=tokens_in + tokens_out)


class SpeechAudioDelta(BaseModel):
    """``stream_format=sse``: a piece of the file, base64."""

    type: Literal["speech.audio.delta"] = "speech.audio.delta"
    audio: str


class SpeechAudioDone(BaseModel):
    """``stream_format=sse``: the file is complete."""

    type: Literal["speech.audio.done"] = "speech.audio.done"
    usage: SpeechUsage
    duration: float = Field(description="of all the audio, in seconds")
