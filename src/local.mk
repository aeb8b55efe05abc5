# The daemon: the core and the shell put together.
