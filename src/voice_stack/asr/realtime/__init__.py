"""OpenAI's Realtime protocol for transcription."""
