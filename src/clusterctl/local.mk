# The control program: speaks to the daemon's socket, shares no state with it.
