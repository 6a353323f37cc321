"""The ``voice-stack`` command."""

import argparse
import io
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, get_args

from pydantic import ValidationError

from voice_stack import __version__
from voice_stack.core.errors import ConfigurationError, InvalidRequestError, VoiceStackError
from voice_stack.core.logging import setup_logging
from voice_stack.core.process import fail, leave
from voice_stack.core.server import serve
from voice_stack.core.settings import Service, Settings, load_settings
from voice_stack.utils.audio.formats import AUDIO_FORMATS
from voice_stack.utils.language.whisper import language_code
from voice_stack.utils.models.store import ModelInfo, ModelStore

SLOWEST, FASTEST = 0.25, 4.0
"""The speeds of speech, as OpenAI's API has them."""

SEEDS = 2**63

LOWEST_RATE_HZ, DEFAULT_RATE_HZ, HIGHEST_RATE_HZ = 8000, 16_000, 48_000
"""The sample rates of raw PCM."""

SILENCES_S = 0.1, 10.0
"""The shortest and the longest pause that may end what is said."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = command_parser().parse_args(argv)
    try:
        settings = load_settings()
        setup_logging(settings.log_level, settings.log_format)
        if args.command in get_args(Service):
            _serve(args, settings)
        if args.command == "transcribe":
            return _transcribe(args, settings)
        if args.command == "listen":
            return _listen(args, settings)
        if args.command in {"say", "voices"}:
            return _speech(args, settings)
        return _models(args, settings)
    except (ConfigurationError, InvalidRequestError) as error:
        fail(error)
    except VoiceStackError as error:
        fail(error, code=1)
    except KeyboardInterrupt:
        return 130


def command_parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(
        prog="voice-stack",
        description="Self-hosted speech to text and text to speech behind the OpenAI audio API.",
    )
    parser.add_argument("--version", action="version", version=f"voice-stack {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in (("asr", "speech to text"), ("tts", "text to speech")):
        service = commands.add_parser(name, help=f"serve {what}", description=f"Serve {what}.")
        service.add_argument("--host", help=f"address to listen on (default: {name.upper()}_HOST)")
        service.add_argument("--port", type=int, help=f"port to listen on (default: {name.upper()}_PORT)")
        service.add_argument("--workers", type=int, help="processes, each with a model of its own (default: WORKERS)")
        service.add_argument("--reload", action="store_true", help="restart when the source changes (for development)")
    _add_transcribe(commands.add_parser("transcribe", help="write subtitles or text of files and folders"))
    _add_listen(commands.add_parser("listen", help="show what is said while it is said"))
    _add_say(commands.add_parser("say", help="speak a text into a file"))
    _add_voices(commands.add_parser("voices", help="list the voices"))
    models = commands.add_parser("models", help="list the models on this machine, or fetch one")
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the models on this machine")
    pull = actions.add_parser("pull", help="put a model into MODEL_DIR")
    pull.add_argument(
        "name", help="a Whisper size such as small, a hub id, or a Piper voice such as en_US-lessac-medium"
    )
    return parser


def _add_transcribe(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Transcribe audio and video files, and all of them in folders, to files that are named after them: "
        "talk.mp3 gives talk.srt, or talk.mp3.srt where there is a talk.wav too."
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE", help="a file, or a folder with all below it")
    parser.add_argument(
        "-f",
        "--format",
        action="append",
        metavar="FORMATS",
        help="srt, vtt, txt, json, tsv or jsonl; several with commas between (default: srt)",
    )
    parser.add_argument("-o", "--output-dir", type=Path, metavar="DIR", help="where to write (default: next to FILE)")
    parser.add_argument("--language", type=_language, help="code or name (default: ASR_LANGUAGE, else it is detected)")
    parser.add_argument(
        "--task", choices=("transcribe", "translate"), default="transcribe", help="translate is to English"
    )
    parser.add_argument("--model", help="Whisper size, hub id, folder or file (default: ASR_MODEL)")
    parser.add_argument("--prompt", help="text that came before, or words to expect")
    parser.add_argument("--word-timestamps", action="store_true", help="words with their times in json and jsonl")
    parser.add_argument("--max-line-chars", type=_count, metavar="N", help="width of a subtitle's lines (default: 42)")
    parser.add_argument("--max-lines", type=_count, metavar="N", help="lines of a subtitle (default: 2)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist (default: keep them)")
    parser.add_argument("-q", "--quiet", action="store_true", help="write errors only")


def _add_listen(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show what is said, while it is said: to the microphone, or in audio that another program pipes in. Ctrl-C "
        "ends it, when what was said until then has been shown; a second Ctrl-C ends it at once."
    )
    parser.add_argument(
        "source",
        nargs="?",
        choices=("-",),
        metavar="-",
        help="read raw PCM (s16le, mono) or a WAV file from standard input (default: the microphone)",
    )
    parser.add_argument("--rate", type=_rate, metavar="HZ", help="of raw PCM: 8000 to 48000 (default: 16000)")
    parser.add_argument("--device", metavar="NAME", help="a microphone: its number, or words of its name")
    parser.add_argument("--list-devices", action="store_true", help="list the microphones, and do nothing else")
    parser.add_argument("--format", choices=("text", "jsonl", "srt", "vtt"), default="text", help="default: text")
    parser.add_argument("--language", type=_language, help="code or name (default: ASR_LANGUAGE, else it is detected)")
    parser.add_argument("--model", help="Whisper size, hub id, folder or file (default: ASR_MODEL)")
    parser.add_argument("--url", help="a service that hears instead of this machine, as in http://host:5001/v1")
    parser.add_argument("--api-key", metavar="KEY", help="for --url (default: OPENAI_API_KEY, else none)")
    parser.add_argument("--prompt", help="text that came before, or words to expect")
    parser.add_argument(
        "--silence", type=_silence, default=0.5, metavar="SECONDS", help="a pause that ends a line (default: 0.5)"
    )
    parser.add_argument(
        "--threshold", type=_threshold, default=0.5, metavar="P", help="how sure speech must be, 0 to 1 (default: 0.5)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="write errors only")


def _add_say(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Speak a text of any length into a file, without a server. The file appears when it is whole. Until then what "
        "is spoken is kept in .NAME.part beside it: stopped by whatever, the same command goes on where it was. "
        "Without a file the loudspeaker speaks. There, and on standard output, what comes from standard input is "
        "spoken as it comes: a line when it is whole and nothing follows at once."
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="what to say; - reads standard input")
    parser.add_argument("-f", "--file", metavar="FILE", help="read the text from a file in UTF-8")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where to write, as in speech.mp3; - is standard output (default with -f book.txt: book.mp3 beside it, "
        "else the loudspeaker)",
    )
    parser.add_argument("--play", action="store_true", help="speak on the loudspeaker, also what -f has")
    parser.add_argument(
        "--format", choices=list(AUDIO_FORMATS), help="default: what the output's name ends in, else mp3"
    )
    parser.add_argument("--voice", metavar="NAME", help="one of those that `voice-stack voices` lists")
    parser.add_argument("--language", help="as in en or pt-BR (default: that of each sentence, or the voice's own)")
    parser.add_argument("--speed", type=_speed, default=1.0, help="0.25 to 4, the pitch is kept (default: 1)")
    parser.add_argument("--seed", type=_seed, metavar="N", help="the same seed gives the same speech (coqui)")
    _add_engine(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    parser.add_argument("-q", "--quiet", action="store_true", help="write errors only")


def _add_voices(parser: argparse.ArgumentParser) -> None:
    parser.description = "List the voices of the engine and of TTS_VOICE_DIR, the default one first."
    _add_engine(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, in the shape of GET /v1/audio/voices")


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engine", choices=("auto", "coqui", "piper"), help="default: TTS_ENGINE")
    parser.add_argument("--model", help="coqui model name or checkpoint folder (default: TTS_MODEL)")


def _language(given: str) -> str:
    try:
        return language_code(given)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _count(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise argparse.ArgumentTypeError("give 1 or more")
    return int(given)


def _speed(given: str) -> float:
    return _number(given, SLOWEST, FASTEST)


def _number(given: str, least: float, most: float) -> float:
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"give {least:g} to {most:g}")
    return number


def _rate(given: str) -> int:
    if not given.isdecimal() or not LOWEST_RATE_HZ <= int(given) <= HIGHEST_RATE_HZ:
        raise argparse.ArgumentTypeError(f"give {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}")
    return int(given)


def _silence(given: str) -> float:
    return _number(given, *SILENCES_S)


def _threshold(given: str) -> float:
    return _number(given, 0.0, 1.0)


def _seed(given: str) -> int:
    if not given.isdecimal() or int(given) >= SEEDS:
        raise argparse.ArgumentTypeError("give a whole number from 0 to 2**63 - 1")
    return int(given)


def _transcribe(args: argparse.Namespace, settings: Settings) -> int:
    # Speech to text is imported where it is used: text to speech runs without what it needs.
    from voice_stack.asr.batch.command import BatchOptions, parse_formats, transcribe_files

    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files may hold what the terminal's encoding does not.
        sys.stdout.reconfigure(errors="backslashreplace")
    options = BatchOptions(
        formats=parse_formats(args.format or ["srt"]),
        output_dir=args.output_dir,
        language=args.language,
        task=args.task,
        prompt=args.prompt,
        word_timestamps=args.word_timestamps,
        max_line_chars=args.max_line_chars,
        max_lines=args.max_lines,
        overwrite=args.overwrite,
        quiet=args.quiet,
    )
    return transcribe_files(args.paths, _changed(settings, "--model", asr_model=args.model, workers=1), options)


def _listen(args: argparse.Namespace, settings: Settings) -> int:
    from voice_stack.asr.listen.command import ListenOptions, listen, open_source
    from voice_stack.utils.audio.devices import describe_devices

    if args.quiet or "log_level" not in settings.model_fields_set:
        # What a service tells of itself is nothing to who reads captions.
        setup_logging("ERROR" if args.quiet else "WARNING", settings.log_format)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What is said may hold what the terminal's encoding does not.
        sys.stdout.reconfigure(errors="backslashreplace")
    if args.list_devices:
        print(describe_devices("input"), end="")
        return 0
    if args.source is None and args.rate is not None:
        raise ConfigurationError("--rate is of raw PCM on standard input: give - as well")
    if args.source is not None and args.device is not None:
        raise ConfigurationError("give - for standard input, or --device for a microphone, not both")
    if args.api_key is not None and args.url is None:
        raise ConfigurationError("--api-key is for a service: give --url as well")
    settings = _changed(settings, "--model", asr_model=args.model, workers=1)
    source = open_source(args.source, device=args.device, rate_hz=args.rate or DEFAULT_RATE_HZ)
    options = ListenOptions(
        format=args.format,
        language=args.language,
        prompt=args.prompt,
        silence_s=args.silence,
        threshold=args.threshold,
        quiet=args.quiet,
        url=args.url,
        api_key=args.api_key or os.environ.get("OPENAI_API_KEY"),
        model=args.model,
    )
    return listen(source, settings, options)


def _speech(args: argparse.Namespace, settings: Settings) -> int:
    # Text to speech is imported where it is used: speech to text runs without what it needs.
    from voice_stack.tts.batch.arrivals import arriving_text
    from voice_stack.tts.batch.arriving import say_arriving
    from voice_stack.tts.batch.command import SayOptions, say_text
    from voice_stack.tts.batch.inputs import choose_output, is_played, is_standard_input, read_text
    from voice_stack.tts.batch.loudspeaker import PLAYED_FORMAT, open_loudspeaker
    from voice_stack.tts.batch.sinks import Sink
    from voice_stack.tts.batch.voices import list_voices

    quiet = args.command == "say" and args.quiet
    if quiet or "log_level" not in settings.model_fields_set:
        # What a service tells of itself is nothing to who waits for a file.
        setup_logging("ERROR" if quiet else "WARNING", settings.log_format)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files and of speakers may hold what the terminal's encoding does not.
        sys.stdout.reconfigure(errors="backslashreplace")
    settings = _changed(settings, "--model", tts_engine=args.engine, tts_model=args.model, workers=1)
    if args.command == "voices":
        return list_voices(settings, as_json=args.json)
    from_standard_input = is_standard_input(args.text, args.file)
    target: Path | None = None
    sink: Sink | None = None
    if is_played(args.output, args.format, args.file, asked=args.play):
        sink, audio_format = open_loudspeaker(settings.tts_sample_rate, asked=args.play), PLAYED_FORMAT
    else:
        target, audio_format = choose_output(args.output, args.format, args.file)
    options = SayOptions(
        target=target,
        audio_format=audio_format,
        voice=args.voice,
        language=args.language,
        speed=args.speed,
        seed=args.seed,
        overwrite=args.overwrite,
        quiet=args.quiet,
    )
    if from_standard_input and target is None:
        return say_arriving(arriving_text(sys.stdin.fileno()), settings, options, sink)
    return say_text(read_text(args.text, args.file), settings, options, sink)


def _serve(args: argparse.Namespace, settings: Settings) -> NoReturn:
    name: Service = args.command
    settings = _changed(settings, "--port", **{f"{name}_host": args.host, f"{name}_port": args.port})
    settings = _changed(settings, "--workers", workers=args.workers)
    leave(serve(name, settings, reload=args.reload))


def _changed(settings: Settings, option: str, **changes: object) -> Settings:
    """The settings with what the command line says instead; ``option`` is the one that may be wrong."""
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return Settings.model_validate({**settings.model_dump(), **given})
    except ValidationError as error:
        raise ConfigurationError(f"{option}: {error.errors()[0]['msg']}") from error


def _models(args: argparse.Namespace, settings: Settings) -> int:
    store = ModelStore(settings.model_dir, offline=settings.hf_hub_offline)
    if args.action == "pull":
        print(store.pull(args.name).path)
        return 0
    found = store.available()
    listed = {model.path for model in found}
    found += [
        ModelInfo(voice.voice_id, "piper", "voice_dir", voice.model_path, voice.model_path.stat().st_size)
        for voice in store.find_piper_voices(settings.tts_voice_dir)
        if voice.model_path not in listed and voice.model_path.parent == settings.tts_voice_dir
    ]
    if not found:
        sys.stderr.write(
            f"No models here. MODEL_DIR is {settings.model_dir}; fetch one with: voice-stack models pull NAME\n"
        )
        return 0
    width = max(len(model.name) for model in found)
    for model in found:
        size_mb = model.size_bytes / 1e6
        print(f"{model.name:{width}}  {model.kind:7}  {model.source:9}  {size_mb:8.1f} MB  {_short(model.path)}")
    return 0


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except ValueError:
        return str(path)


if __name__ == "__main__":
    sys.exit(main())
