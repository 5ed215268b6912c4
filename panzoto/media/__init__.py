"""Sound: what kind it is, where its frames lie, how clips are joined without re-encoding, and pieces of it.

No keys, no tables, no bucket. FFmpeg is loaded only by `demuxing` and `cutting`, which run as processes of
their own.
"""
