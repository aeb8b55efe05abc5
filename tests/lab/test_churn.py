"""A short run of churn.py: one change after the other, and nobody notices."""

from lab.churn import Churn

CHANGES, RATE = 20, 250


def test_twenty_changes_that_nobody_notices(run, binaries):
    churn = Churn(run, RATE, seed=1)
    try:
        harm = churn.play(CHANGES)
    finally:
        churn.close()
    print(f"\n{harm.connections} connections; " + ", ".join(
        f"{number} times {kind}" for kind, (number, _, _) in churn.summary().items()))
    assert not harm.bad, "\n  ".join([f"{dict(harm.count)} of {harm.connections}:",
                                      *harm.bad[:8]])
    assert churn.counted >= CHANGES and harm.stayed > 0 and 0 < harm.six < harm.connections
    assert harm.sources == len(churn.sources)
