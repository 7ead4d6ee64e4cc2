"""The schema of the SQLite catalogue, one step after another; applied ones are recorded.

A step that was released is never edited: what is to change gets a step of its own, which is a
module here and a line in `steps`.
"""
