"""Results of tuning: which kernel of each binary convolution was the fastest on this machine.

They are kept for the process, and beside the file as `net.bw.tune.json`, where they hold for one content of the file,
one version of bitwright, and each pair of an instruction set and a processor that has been tuned for.
"""

import json
import os
import secrets
import struct
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from bitwright.format import spec
from bitwright.runtime.machine import cpu

_FOUND: dict[tuple[str, str, str], dict[str, str]] = {}


class TuningResults:
    """The results for one file on this machine with one instruction set.

    Attributes:
        kernels: Name of a binary convolution -> name of its fastest kernel; empty where nothing is known.

    Args:
        path: The .bw file. What is no regular file has results of its own for the process, none beside it.
        isa: Name of the instruction set.
    """

    def __init__(self, path: str | os.PathLike[str], isa: str) -> None:
        path = Path(path)
        self._beside = path.with_name(f"{path.name}.tune.json")
        self._file = {"bitwright": version("bitwright"), "checksum": _checksum(path)}
        self._machine = f"{isa} on {cpu()[0]}"
        self._key = (self._file["bitwright"], self._file["checksum"], self._machine)
        self.kernels: dict[str, str] = {}
        if self._file["checksum"]:
            self.kernels = _FOUND.get(self._key) or self._read().get(self._machine, {})

    def keep(self, kernels: dict[str, str]) -> None:
        """Add new results to those known; where no file can be written they are kept for the process only.

        Args:
            kernels: Name of a binary convolution -> name of its fastest kernel.
        """
        if not self._file["checksum"] or kernels.items() <= self.kernels.items():
            return
        self.kernels = {**self.kernels, **kernels}
        _FOUND[self._key] = self.kernels
        temporary = self._beside.with_name(f".{self._beside.name}.{secrets.token_hex(4)}.tmp")
        content = {**self._file, "kernels": {**self._read(), self._machine: self.kernels}}
        with suppress(OSError):
            try:
                temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
                os.replace(temporary, self._beside)
            finally:
                temporary.unlink(missing_ok=True)

    def _read(self) -> dict[str, dict[str, str]]:
        """What the file beside says, by machine; nothing if it is missing, damaged, or about something else."""
        try:
            content = json.loads(self._beside.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(content, dict) or any(content.get(key) != value for key, value in self._file.items()):
            return {}
        machines = content.get("kernels")
        if not isinstance(machines, dict):
            return {}
        return {machine: kernels for machine, kernels in machines.items() if _is_texts(kernels)}


def _is_texts(kernels: object) -> bool:
    return isinstance(kernels, dict) and all(isinstance(kernel, str) for kernel in kernels.values())


def _checksum(path: Path) -> str:
    """The checksum and length that a .bw file's header states; empty if it is no regular file of that kind."""
    if not path.is_file():
        return ""
    try:
        with open(path, "rb") as file:
            head = file.read(struct.calcsize(spec.HEADER))
    except OSError:
        return ""
    return head[12:24].hex() if head.startswith(spec.MAGIC) else ""
