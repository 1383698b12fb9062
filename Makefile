# make demo [VIDEO=path or /dev/video0]   people's poses on a video, through a real ROS 2 node
# make test                               every check that CI runs
# Both set up all they need in .venv, from nothing, and are quick the second time.

SHELL := /bin/bash
.DEFAULT_GOAL := demo
.PHONY: demo test

export VIDEO

demo:
	@scripts/setup demo
	@. scripts/env && python demo/run.py $${VIDEO:+--video "$$VIDEO"} $(if $(SECONDS),--seconds $(SECONDS))

test:
	@scripts/setup test
	@. scripts/env && scripts/check
