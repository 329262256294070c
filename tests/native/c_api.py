"""The C API by way of ctypes, for its tests: the structures of bitwright.h, and calls that raise what they report."""

import ctypes
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path

import numpy as np

OK, INVALID_ARGUMENT, NOT_FOUND, BAD_FILE, SYSTEM_ERROR, OUT_OF_MEMORY = range(6)


class Error(ctypes.Structure):
    _fields_ = (("text", c_char * 1024),)


class Options(ctypes.Structure):
    _fields_ = (("size", c_size_t), ("isa", c_char_p), ("threads", c_int), ("tune", c_int))


class Tensor(ctypes.Structure):
    _fields_ = (
        ("kind", c_int),
        ("dtype", c_int),
        ("rank", c_int),
        ("dims", c_size_t * 3),
        ("elements", c_size_t),
        ("bytes", c_size_t),
    )

    def shape(self) -> tuple[int, ...]:
        assert tuple(self.dims)[self.rank :] == (1,) * (3 - self.rank)
        return tuple(self.dims)[: self.rank]


class Description(ctypes.Structure):
    _fields_ = (
        ("input", Tensor),
        ("output", Tensor),
        ("isa", c_char_p),
        ("threads", c_int),
        ("labels", c_size_t),
        ("steps", c_size_t),
    )


class Step(ctypes.Structure):
    _fields_ = (("name", c_char_p), ("op", c_char_p), ("kernel", c_char_p))


ENGINE, ERROR, TEXT = c_void_p, POINTER(Error), POINTER(c_char_p)
PROTOTYPES = {
    "bw_open": (c_char_p, POINTER(Options), POINTER(ENGINE), ERROR),
    "bw_open_memory": (c_char_p, c_size_t, POINTER(Options), POINTER(ENGINE), ERROR),
    "bw_describe": (ENGINE, POINTER(Description), ERROR),
    "bw_get_label": (ENGINE, c_size_t, TEXT, ERROR),
    "bw_get_meta": (ENGINE, c_char_p, TEXT, ERROR),
    "bw_get_step": (ENGINE, c_size_t, POINTER(Step), ERROR),
    "bw_run": (ENGINE, c_void_p, c_size_t, c_void_p, c_size_t, c_size_t, c_int, ERROR),
    "bw_get_isa": (c_size_t, TEXT, ERROR),
}


class Refused(Exception):
    """A status other than BW_OK, and the text of the error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Library:
    """The functions of a libbitwright.so."""

    def __init__(self, path: Path) -> None:
        self.functions = ctypes.CDLL(str(path))
        for name, arguments in PROTOTYPES.items():
            getattr(self.functions, name).argtypes = arguments
        self.functions.bw_close.argtypes = (ENGINE,)
        self.functions.bw_close.restype = None
        self.functions.bw_version.restype = c_char_p

    def call(self, name: str, *arguments) -> None:
        error = Error(b"of an earlier call")
        status = getattr(self.functions, name)(*arguments, byref(error))
        if status != OK:
            raise Refused(status, error.text.decode())
        assert error.text == b""

    def text(self, name: str, *arguments) -> str:
        found = c_char_p()
        self.call(name, *arguments, byref(found))
        assert found.value is not None
        return found.value.decode()


class CEngine:
    """An engine of the library; closed at the end of a with-block."""

    def __init__(
        self, library: Library, file: Path | bytes, isa: str | None = None, threads: int = 0, tune: bool = False
    ) -> None:
        self.library, self.handle = library, ENGINE()
        options = Options(ctypes.sizeof(Options), isa.encode() if isa else None, threads, tune)
        if isinstance(file, bytes):
            library.call("bw_open_memory", file, len(file), byref(options), byref(self.handle))
        else:
            library.call("bw_open", str(file).encode(), byref(options), byref(self.handle))
        self.description = Description()
        library.call("bw_describe", self.handle, byref(self.description))

    def __enter__(self) -> "CEngine":
        return self

    def __exit__(self, *_) -> None:
        self.library.functions.bw_close(self.handle)

    def __call__(self, x: np.ndarray, threads: int = 0) -> np.ndarray:
        y = np.full((x.shape[0], *self.description.output.shape()), np.nan, np.float32)
        self.library.call("bw_run", self.handle, x.ctypes.data, x.nbytes, y.ctypes.data, y.nbytes, len(x), threads)
        return y

    def label(self, index: int) -> str:
        return self.library.text("bw_get_label", self.handle, index)

    def meta(self, key: str) -> str:
        return self.library.text("bw_get_meta", self.handle, key.encode())

    def step(self, index: int) -> tuple[str, str, str]:
        step = Step()
        self.library.call("bw_get_step", self.handle, index, byref(step))
        return step.name.decode(), step.op.decode(), step.kernel.decode()
