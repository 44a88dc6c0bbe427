"""The node: samples load cells and delivers every sample, over any outage its memory can bridge."""

VERSION = "0.1.0"
