"""Text as it is written, made into text as it is read aloud."""

from voice_stack.utils.normalise.markup import plain_text
from voice_stack.utils.normalise.spoken import normalise

__all__ = ["normalise", "plain_text"]
