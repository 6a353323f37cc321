"""``voice-stack transcribe``."""

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from voice_stack.asr.batch.jobs import Job, Problem, Source, find_sources, plan_jobs
from voice_stack.asr.batch.outputs import SegmentStore, StagedFiles
from voice_stack.asr.engine.base import AsrEngine, Language, Position, Segment, TranscribeOptions
from voice_stack.asr.engine_factory import create_engine
from voice_stack.asr.requests import resolve_options
from voice_stack.asr.subtitles.cues import LayoutOptions
from voice_stack.asr.subtitles.files import MEDIA_TYPES, SUBTITLES, file_text
from voice_stack.core.errors import ConfigurationError, VoiceStackError
from voice_stack.core.settings import Settings
from voice_stack.utils.audio.decode import decode_audio
from voice_stack.utils.audio.duration import declared_duration_s
from voice_stack.utils.audio.interrupts import held_interrupts
from voice_stack.utils.outputs import OutputError, writing

_logger = logging.getLogger(__name__)

_ALIASES = {"text": "txt"}


@dataclass(frozen=True)
class BatchOptions:
    """What the command line says.

    Raises:
        ConfigurationError: a value cannot be used.
    """

    formats: tuple[str, ...] = ("srt",)
    output_dir: Path | None = None  # None: next to each file
    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    prompt: str | None = None
    word_timestamps: bool = False  # in the JSON formats; subtitles are cut by words in any case
    max_line_chars: int | None = None  # of subtitles; None: as in LayoutOptions
    max_lines: int | None = None
    overwrite: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        unknown = [format_ for format_ in self.formats if format_ not in MEDIA_TYPES]
        if unknown or not self.formats:
            raise ConfigurationError(
                f"--format: {', '.join(unknown) or 'nothing'} was given; use {', '.join(MEDIA_TYPES)}"
            )
        if self.output_dir is not None and self.output_dir.exists() and not self.output_dir.is_dir():
            raise ConfigurationError(f"--output-dir: {self.output_dir} is a file")

    @property
    def layout(self) -> LayoutOptions:
        """How subtitles are laid out."""
        given = {"max_line_chars": self.max_line_chars, "max_lines": self.max_lines}
        return LayoutOptions(**{name: value for name, value in given.items() if value is not None})


def parse_formats(listed: Sequence[str]) -> tuple[str, ...]:
    """The formats of ``-f`` options, each with one or several names between commas; each format once."""
    names = [name.strip().lower() for each in listed for name in each.split(",")]
    return tuple(dict.fromkeys(_ALIASES.get(name, name) for name in names if name))


def transcribe_files(
    paths: Sequence[Path], settings: Settings, options: BatchOptions, engine: AsrEngine | None = None
) -> int:
    """Transcribe files and all media in folders; returns the exit code: 1 where one of them failed.

    The others are transcribed all the same. Memory does not grow with the length of a file, but for the text of JSON.

    Raises:
        ConfigurationError: the engine is not installed, or two files would have one target.
        InvalidRequestError: the model cannot do what is asked.
        VoiceStackError: the model cannot be loaded.
    """
    engine = engine or create_engine(settings)
    found = list(find_sources(paths, options.output_dir))
    problems = [each for each in found if isinstance(each, Problem)]
    for problem in problems:
        _report(problem.path, problem.reason)
    failed = len(problems)
    jobs = []
    for planned in plan_jobs([each for each in found if isinstance(each, Source)], options.formats):
        try:
            job = _without_existing(planned, options)
        except OutputError as error:
            _report(planned.source, str(error))
            failed += 1
        else:
            jobs += [job] if job.targets else []
    if jobs:
        engine.load()
        work = _Work(engine, settings, options)
        with held_interrupts() as check_interrupts:
            for number, job in enumerate(jobs, start=1):
                failed += not work.succeeds(job, f"{number}/{len(jobs)} {job.source.name}", check_interrupts)
    return 1 if failed else 0


class _Work:
    """One file after the other, with one engine."""

    def __init__(self, engine: AsrEngine, settings: Settings, options: BatchOptions) -> None:
        self._engine = engine
        self._options = options
        asked = TranscribeOptions(
            task=options.task,
            language=options.language,
            prompt=options.prompt or None,
            word_timestamps=options.word_timestamps or any(format_ in SUBTITLES for format_ in options.formats),
        )
        self._transcribe_options = resolve_options(asked, engine, settings)

    def succeeds(self, job: Job, title: str, check_interrupts: Callable[[], None]) -> bool:
        """Transcribe one file and tell what became of it."""
        try:
            self._transcribe(job, title, check_interrupts)
        except (VoiceStackError, OutputError) as error:
            _report(job.source, str(error))
            return False
        except OSError as error:
            _report(job.source, f"cannot be read: {error.strerror or error}")
            return False
        except Exception:
            # A night's work does not end for one file.
            _logger.exception("%s: failed", job.source)
            return False
        if not self._options.quiet:
            sys.stdout.write(f"{job.source} -> {', '.join(map(str, job.targets.values()))}\n")
            sys.stdout.flush()
        return True

    def _transcribe(self, job: Job, title: str, check_interrupts: Callable[[], None]) -> None:
        folder = next(iter(job.targets.values())).parent
        with job.source.open("rb") as source, closing(SegmentStore(folder)) as segments:
            language, duration_s = self._hear(source, segments, title, check_interrupts)
            with closing(StagedFiles()) as files:
                for format_, target in job.targets.items():
                    parts = file_text(
                        format_,
                        segments,
                        duration_s=duration_s,
                        language=language,
                        words=self._options.word_timestamps,
                        layout=self._options.layout,
                    )
                    files.write(target, parts)
                files.publish(overwrite=self._options.overwrite)

    def _hear(
        self, source: BinaryIO, segments: SegmentStore, title: str, check_interrupts: Callable[[], None]
    ) -> tuple[str, float]:
        """Keep the segments; returns the language, by its code, and the length in seconds."""
        # Comes with the extra "asr", like the engine.
        from tqdm import tqdm

        language, duration_s = self._transcribe_options.language or "", 0.0
        declared_s = declared_duration_s(source)
        bar = tqdm(
            total=round(declared_s) if declared_s else None,
            desc=title,
            unit="s",
            leave=False,
            dynamic_ncols=True,
            disable=self._options.quiet or None,  # None: where standard error is no terminal
        )
        with closing(decode_audio(source)) as audio, bar:
            for step in self._engine.transcribe(audio, self._transcribe_options):
                check_interrupts()
                match step:
                    case Segment():
                        segments.add(step)
                    case Language():
                        language = step.code
                    case Position():
                        duration_s = step.upload_s
                        bar.update(int(duration_s) - bar.n)
        check_interrupts()
        return language, duration_s


def _without_existing(job: Job, options: BatchOptions) -> Job:
    targets = {}
    for format_, target in job.targets.items():
        with writing(target):
            if options.overwrite or not target.exists():
                targets[format_] = target
            elif not options.quiet:
                sys.stderr.write(f"voice-stack: {target} exists and is kept; replace it with --overwrite\n")
    return Job(job.source, targets)


def _report(path: Path, reason: str) -> None:
    sys.stderr.write(f"voice-stack: {path}: {reason}\n")
