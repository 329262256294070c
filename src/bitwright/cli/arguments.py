"""The types of arguments that several commands take."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

NetworkFile = Annotated[Positional[Path], arg(metavar="FILE.bw")]
Json = Annotated[bool, arg(help_behavior_hint="")]
Folder = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
