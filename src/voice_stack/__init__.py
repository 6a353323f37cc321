"""Self-hosted speech to text and text to speech behind the OpenAI audio API."""

from importlib.metadata import version

__version__ = version("voice-stack")
