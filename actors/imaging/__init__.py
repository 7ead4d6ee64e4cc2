"""Image work: bytes and values in, bytes and values out.

`inspect` tells what an image is without decoding a pixel; `render` makes of it what a `Recipe`
says. Nothing here waits, logs or keeps state, so every function may run in any thread, or in a
process of its own.
This is the only place that imports PIL.
"""
