"""Sound: what kind it is, where its frames lie, and how clips are joined without re-encoding.

No keys, no tables, no bucket. FFmpeg is loaded only by `demuxing`, which runs as a process of its own.
"""
