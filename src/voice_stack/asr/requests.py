"""What was asked for, checked against the model."""

from dataclasses import replace

from voice_stack.asr.engine.base import AsrEngine, TranscribeOptions
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.settings import Settings
from voice_stack.utils.audio.vad import EVERYTHING, VadOptions
from voice_stack.utils.language.whisper import language_code


def resolve_options(options: TranscribeOptions, engine: AsrEngine, settings: Settings) -> TranscribeOptions:
    """The options as the engine takes them, with what was left open filled in from the settings.

    ``options.language`` may be a code or a name. The engine's model must be loaded.

    Raises:
        InvalidRequestError: the model cannot do what is asked.
    """
    if options.task == "translate" and not engine.capabilities.translate:
        raise InvalidRequestError(
            f"The model {engine.model!r} cannot translate: turbo and English-only models were not trained "
            "for it. Use another model, such as base, small or large-v3.",
            param="model",
            code="translation_not_supported",
        )
    language = settings.asr_language if options.language is None else _known(options.language, engine)
    vad = options.vad or (VadOptions() if settings.asr_vad_enabled else EVERYTHING)
    return replace(options, language=language, vad=vad)


def _known(language: str, engine: AsrEngine) -> str:
    try:
        code = language_code(language)
    except ValueError as error:
        raise InvalidRequestError(f"{error}.", param="language") from error
    if code not in (languages := engine.capabilities.languages):
        raise InvalidRequestError(
            f"The model {engine.model!r} knows {', '.join(languages)}, not {code!r}.", param="language"
        )
    return code
