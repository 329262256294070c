"""Hard limits of a graph and of its file: small enough to check fully, and wide enough for every network meant here."""

MAX_OPS = 4096
MAX_INPUTS = 4  # of one op
MAX_DIM = 1 << 24  # of any one dimension
MAX_ELEMENTS = 1 << 28  # of any one tensor or parameter
MAX_WINDOW = 255  # kernel, stride, padding, dilation
MAX_TAPS = 1 << 24  # of one accumulator, a digit being three: 32 bits hold it, and so does a float32, exactly
NO_PIXEL = 256  # a threshold that no pixel reaches
MAX_PIXEL_WEIGHTS = (2**31 - 1) // 255  # magnitudes of a filter over pixels, added up: so that 32 bits hold its sums
MAX_FRACTION = 24  # bits behind the point of a fixed-point number
MAX_CLASSES = 256  # of the pixels of a map: rows times columns
MAX_TEXT = 1 << 20  # bytes of all names, notes and metadata
MAX_META = 256  # pairs
