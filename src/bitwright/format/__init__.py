"""The .bw file: its layout (`spec`), and both directions (`writer`, `reader`)."""
