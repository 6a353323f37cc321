"""``python -m voice_stack`` is ``voice-stack``."""

import sys

from voice_stack.cli import main

sys.exit(main())
