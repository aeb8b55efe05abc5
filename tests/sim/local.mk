# The simulator: a second shell around the same core, in virtual time.

sim_tests =
