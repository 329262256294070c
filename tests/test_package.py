"""What `import bitwright` gives, with and without PyTorch."""

import subprocess
import sys

import numpy as np

import bitwright as bw
from bitwright.format.writer import write
from bitwright.ir import ops

NO_TORCH = "import sys; sys.modules['torch'] = None; sys.modules['pytorch_lightning'] = None; "


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-W", "error", "-c", NO_TORCH + code], capture_output=True, text=True)


def test_every_public_name_exists():
    for name in bw.__all__:
        assert getattr(bw, name) is not None
    assert set(bw.__all__) <= set(dir(bw))


def test_a_file_runs_without_torch(tmp_path):
    real = ops.TensorType(ops.Kind.REAL, (8,))
    head = ops.Linear(name="head", inputs=("x",), weight=np.ones((3, 8), np.float32), bias=None)
    write(ops.Graph(input="x", input_type=real, ops=(head,), output="head"), tmp_path / "net.bw")
    path = str(tmp_path / "net.bw")
    done = run(f"import bitwright, numpy; print(bitwright.load({path!r})(numpy.ones((2, 8), numpy.float32)).tolist())")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[[8.0, 8.0, 8.0], [8.0, 8.0, 8.0]]"


def test_training_names_say_that_they_need_torch():
    done = run("import bitwright; bitwright.binarize")
    assert done.returncode == 1
    assert "pip install 'bitwright[train]'" in done.stderr


def test_unknown_name():
    done = run("import bitwright; bitwright.binarise")
    assert "has no attribute 'binarise'" in done.stderr
