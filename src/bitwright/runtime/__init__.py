"""The engines that run a .bw file: the native one (`engine`) and one in NumPy (`reference`)."""
