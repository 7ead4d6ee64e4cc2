"""Measurements of Calotype; `make bench` runs them all, `make bench ARGS=render-2mp` one."""
