"""Sound: what kind it is, where its frames lie, how clips are joined without re-encoding, and pieces of it.

A new kind of sound begins in `media_type`. No keys, no tables, no bucket. FFmpeg is loaded only by `demuxing`
(sittings), `amr_decoding` (AMR as WAV) and `cutting` (sound for a speech engine), which run as processes of
their own.
"""
