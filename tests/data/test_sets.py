import gzip
import pickle
import struct

import numpy as np
import pytest
from PIL import Image

from bitwright.data import load_dataset, save_npz
from bitwright.data.images import fit_images
from bitwright.data.pixels import measure_pixels, pixel_affine
from bitwright.data.sets import parse_source
from bitwright.errors import DataError


def _dump(path, content):
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.fixture
def cifar10(tmp_path, rng):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = rng.integers(0, 256, (6, 4, 3072), dtype=np.uint8)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for name, batch in zip(names, pixels, strict=True):
        _dump(folder / name, {b"data": batch, b"labels": [0, 1, 2, 1]})
    _dump(folder / "batches.meta", {"label_names": ["cat", "dog", "ship"]})
    return tmp_path, pixels


def _as_written_by_python_2(path, batch, labels):
    """The published files are older than NumPy 2 and Python 3: keys and array data are byte strings."""
    data = batch.tobytes()
    state = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        + b"(I1\n(I%d\nI%d\ntcnumpy\ndtype\n" % batch.shape
        + b"(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\n"
        + b"T" + struct.pack("<I", len(data)) + data + b"tb"
    )  # fmt: skip
    items = b"".join(b"I%d\na" % label for label in labels)
    path.write_bytes(b"(dS'data'\n" + state + b"sS'labels'\n(l" + items + b"s.")


def test_cifar10_planes_become_pixels(cifar10):
    folder, pixels = cifar10
    data = load_dataset(f"cifar10:{folder}")
    assert data.train_images.shape == (20, 32, 32, 3) and data.test_images.shape == (4, 32, 32, 3)
    assert data.label_names == ("cat", "dog", "ship") and data.shape == (32, 32, 3)
    assert data.train_labels.dtype == np.int64 and data.train_labels.tolist() == [0, 1, 2, 1] * 5
    red, green, blue = pixels[5, 2].reshape(3, 32, 32)
    assert np.array_equal(data.test_images[2], np.stack([red, green, blue], axis=-1))


def test_cifar10_pickles_of_python_2(cifar10):
    folder, pixels = cifar10
    _as_written_by_python_2(folder / "cifar-10-batches-py" / "test_batch", pixels[0], [2, 1, 0, 2])
    data = load_dataset(f"cifar10:{folder}", "test")
    assert data.test_labels.tolist() == [2, 1, 0, 2]
    assert np.array_equal(data.test_images[..., 0].reshape(4, -1), pixels[0, :, :1024])


def test_the_inner_folder_will_do_and_one_split_reads_one_file(cifar10):
    folder, _ = cifar10
    (folder / "cifar-10-batches-py" / "data_batch_3").unlink()
    data = load_dataset(f"cifar10:{folder / 'cifar-10-batches-py'}", "test")
    assert len(data.test_images) == 4 and len(data.train_images) == 0
    with pytest.raises(DataError, match=r"data_batch_3 not found.*cs\.toronto\.edu"):
        load_dataset(f"cifar10:{folder}", "train")


def test_cifar100_takes_the_fine_labels(tmp_path, rng):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for split in ("train", "test"):
        batch = {
            "data": rng.integers(0, 256, (3, 3072), dtype=np.uint8),
            "fine_labels": [7, 0, 3],
            "coarse_labels": [0] * 3,
        }
        _dump(folder / split, batch)
    _dump(folder / "meta", {"fine_label_names": [f"fine {i}" for i in range(8)]})
    data = load_dataset(f"cifar100:{tmp_path}")
    assert data.test_labels.tolist() == [7, 0, 3] and data.label_names[7] == "fine 7"


class _Evil:
    def __reduce__(self):
        return print, ("the pickle ran code",)


def test_a_pickle_that_runs_code_is_refused(cifar10, capsys):
    folder, _ = cifar10
    _dump(folder / "cifar-10-batches-py" / "test_batch", {"data": _Evil(), "labels": []})
    with pytest.raises(DataError, match=r"print, which is not a NumPy array"):
        load_dataset(f"cifar10:{folder}", "test")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps([1, 2])])
def test_a_damaged_batch_is_named(cifar10, content):
    folder, _ = cifar10
    (folder / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    with pytest.raises(DataError, match="test_batch: not a CIFAR batch"):
        load_dataset(f"cifar10:{folder}", "test")


def _write_idx(path, array):
    content = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize(("home", "suffix"), [("", ""), ("MNIST/raw", ""), ("", ".gz")])
def test_mnist_layouts(tmp_path, rng, home, suffix):
    folder = tmp_path / home
    folder.mkdir(parents=True, exist_ok=True)
    images = rng.integers(0, 256, (5, 28, 28), dtype=np.uint8)
    for prefix in ("train", "t10k"):
        _write_idx(folder / f"{prefix}-images-idx3-ubyte{suffix}", images)
        _write_idx(folder / f"{prefix}-labels-idx1-ubyte{suffix}", np.array([4, 0, 9, 1, 1], np.uint8))
    data = load_dataset(f"mnist:{tmp_path}")
    assert np.array_equal(data.train_images[..., 0], images) and data.test_labels.tolist() == [4, 0, 9, 1, 1]
    assert data.label_names == tuple("0123456789")


def test_a_truncated_idx_file_is_named(tmp_path):
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (tmp_path / name).write_bytes(b"\0\0\x08\x01\0\0\0\x05\1\2")
    with pytest.raises(DataError, match="2 bytes of data where its header says"):
        load_dataset(f"mnist:{tmp_path}", "test")


@pytest.mark.parametrize(
    "keys", [("train_images", "train_labels", "test_images", "test_labels"), ("x_train", "y_train", "x_test", "y_test")]
)
def test_npz_keys_and_axes(tmp_path, rng, keys):
    images = rng.integers(0, 256, (6, 3, 8, 5), dtype=np.uint8)
    labels = np.array([[0], [1], [2], [0], [1], [2]], np.uint8)
    np.savez(tmp_path / "a.npz", **dict(zip(keys, (images, labels, images[:2], labels[:2]), strict=True)))
    data = load_dataset(f"npz:{tmp_path / 'a.npz'}")
    assert np.array_equal(data.train_images, images.transpose(0, 2, 3, 1)) and data.train_labels.shape == (6,)
    assert data.label_names == ("0", "1", "2") and len(data.test_images) == 2


def test_an_undivided_npz_is_split_the_same_way_each_time(tmp_path):
    images = np.arange(50, dtype=np.uint8).reshape(50, 1, 1)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(50) % 2, label_names=["even", "odd"])
    both, test = load_dataset(f"npz:{tmp_path / 'a.npz'}"), load_dataset(f"npz:{tmp_path / 'a.npz'}", "test")
    assert len(both.test_images) == 10 and len(both.train_images) == 40
    assert np.array_equal(both.test_images, test.test_images)
    assert set(both.train_images.ravel()) | set(both.test_images.ravel()) == set(range(50))
    assert both.label_names == ("even", "odd")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((4, 8, 8), np.float32), "labels": np.zeros(4, int)}, "must be uint8"),
        ({"images": np.zeros((4, 8, 8, 2), np.uint8), "labels": np.zeros(4, int)}, r"C = 1 or 3, found \(4, 8, 8, 2\)"),
        ({"images": np.zeros((4, 8, 8), np.uint8), "labels": np.zeros(3, int)}, "4 images but 3 labels"),
        ({"images": np.zeros((4, 8, 8), np.uint8), "labels": np.full(4, -1)}, "labels run from -1"),
        ({"images": np.zeros((4, 8, 8), np.uint8), "labels": np.zeros(4)}, "labels must be whole numbers"),
        ({"pictures": np.zeros((4, 8, 8), np.uint8)}, "found pictures"),
        ({"images": np.array([None] * 4), "labels": np.zeros(4, int)}, "not an .npz archive of plain arrays"),
    ],
)
def test_an_unfit_npz_says_why(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_dataset(f"npz:{tmp_path / 'a.npz'}")


def test_save_npz_comes_back(tmp_path, cifar10):
    data = load_dataset(f"cifar10:{cifar10[0]}")
    save_npz(data, tmp_path / "a.npz")
    back = load_dataset(f"npz:{tmp_path / 'a.npz'}")
    assert np.array_equal(back.train_images, data.train_images) and back.label_names == data.label_names


def _write_images(folder, count, size, mode="RGB"):
    for label, name in enumerate(("ant", "bee")):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            colour = 10 * i + 100 * label
            Image.new(mode, size, (colour, 0, 0) if mode == "RGB" else colour).save(folder / name / f"{i}.png")


def test_an_image_folder_with_train_and_val(tmp_path):
    _write_images(tmp_path / "train", 3, (6, 4))
    _write_images(tmp_path / "val", 1, (6, 4))
    data = load_dataset(f"images:{tmp_path}")
    assert data.train_images.shape == (6, 4, 6, 3) and data.label_names == ("ant", "bee")
    assert data.train_images[:, 0, 0, 0].tolist() == [0, 10, 20, 100, 110, 120] and data.test_labels.tolist() == [0, 1]


def test_an_undivided_image_folder_in_grey_resized(tmp_path):
    _write_images(tmp_path, 5, (20, 10), mode="L")
    data = load_dataset(f"images:{tmp_path}", size=8)
    assert data.train_images.shape == (8, 8, 8, 1) and data.test_images.shape == (2, 8, 8, 1)
    assert np.array_equal(load_dataset(f"images:{tmp_path}", "test", size=8).test_images, data.test_images)


def test_images_of_two_sizes_need_one(tmp_path):
    _write_images(tmp_path, 5, (8, 8))
    Image.new("RGB", (9, 8)).save(tmp_path / "ant" / "0.png")
    with pytest.raises(DataError, match=r"images must have one size.*data\.size"):
        load_dataset(f"images:{tmp_path}")
    (tmp_path / "bee" / "3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"3\.png: cannot be read as an image"):
        load_dataset(f"images:{tmp_path}", size=8)


@pytest.mark.parametrize("kind", ["cifar10", "cifar100", "mnist", "npz", "images"])
def test_a_missing_data_set_gives_one_line_that_says_where_it_looked(tmp_path, kind):
    with pytest.raises(DataError) as caught:
        load_dataset(f"{kind}:{tmp_path / 'nowhere'}")
    assert str(tmp_path / "nowhere") in str(caught.value) and "\n" not in str(caught.value)


def test_sources_are_checked():
    with pytest.raises(DataError, match=r"Did you mean 'cifar10'.*mnist:DIR"):
        parse_source("cifar:data")
    with pytest.raises(DataError, match="names no path"):
        parse_source("mnist")
    with pytest.raises(ValueError, match="split must be"):
        load_dataset("mnist:data", "valid")


def test_pixel_constants(rng):
    images = rng.integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
    images[..., 2] = 128
    mean, std = measure_pixels(images)
    assert mean == pytest.approx(images.mean((0, 1, 2)) / 255, abs=1e-4)
    assert std[:2] == pytest.approx(images.std((0, 1, 2))[:2] / 255, abs=1e-4) and std[2] > 0
    scale, shift = pixel_affine((0.5, 0.25), (0.5, 0.125))
    assert scale.dtype == shift.dtype == np.float32
    assert scale.tolist() == [np.float32(1 / 127.5), np.float32(1 / 31.875)] and shift.tolist() == [-1, -2]


def test_images_of_another_kind_are_brought_to_size_and_colours():
    rng = np.random.default_rng(0)
    grey, colour = rng.integers(0, 256, (2, 28, 28, 1), np.uint8), rng.integers(0, 256, (2, 40, 32, 3), np.uint8)
    fitted = fit_images(grey, 32, 32, 3)
    assert fitted.shape == (2, 32, 32, 3) and fitted.dtype == np.uint8
    assert (fitted == fitted[..., :1]).all() and abs(fitted.mean() - grey.mean()) < 3
    assert np.array_equal(fit_images(colour, 32, 32, 3), colour[:, 4:36])
    assert fit_images(colour, 8, 4, 1).shape == (2, 8, 4, 1)
    assert fit_images(grey, 28, 28, 1) is grey
