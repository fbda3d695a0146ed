"""A task driver in Python: it runs commands as processes. Nothing of Drover is needed but the protocol's messages."""

import plugin
from driver import Driver

plugin.serve(Driver())
