"""The ``voice-stack`` command."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from voice_stack import __version__
from voice_stack.core.errors import ConfigurationError, VoiceStackError
from voice_stack.core.logging import setup_logging
from voice_stack.core.process import fail
from voice_stack.core.server import serve
from voice_stack.core.settings import Service, Settings, load_settings
from voice_stack.utils.models.store import ModelInfo, ModelStore


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        settings = load_settings()
        setup_logging(settings.log_level, settings.log_format)
        if args.command in get_args(Service):
            return _serve(args, settings)
        return _models(args, settings)
    except ConfigurationError as error:
        fail(error)
    except VoiceStackError as error:
        fail(error, code=1)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
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
        service.add_argument(
            "--workers", type=int, default=1, help="processes, each with a model of its own (default: 1)"
        )
        service.add_argument("--reload", action="store_true", help="restart when the source changes (for development)")
    models = commands.add_parser("models", help="list the models on this machine, or fetch one")
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the models on this machine")
    pull = actions.add_parser("pull", help="put a model into MODEL_DIR")
    pull.add_argument(
        "name", help="a Whisper size such as small, a hub id, or a Piper voice such as en_US-lessac-medium"
    )
    return parser


def _serve(args: argparse.Namespace, settings: Settings) -> int:
    name: Service = args.command
    if args.workers < 1:
        raise ConfigurationError("--workers: give 1 or more")
    changes = {f"{name}_{key}": value for key in ("host", "port") if (value := getattr(args, key)) is not None}
    try:
        settings = Settings.model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        raise ConfigurationError(f"--port: {error.errors()[0]['msg']}") from error
    return serve(name, settings, workers=args.workers, reload=args.reload)


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
