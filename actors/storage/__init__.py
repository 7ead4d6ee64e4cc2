"""What outlives a request: the catalogue of jobs and the bytes of images. Blocking, plain Python.

`ports` says what a storage must do; `opening` chooses one; the rest are the adapters.
"""
