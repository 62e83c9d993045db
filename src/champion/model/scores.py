"""The columns of the scores of rehearsals, beside the target."""

SCORE = "probability"
REHEARSED_AT = "rehearsal"
# The share of positives in the rows that the model learned from.
KNOWN_RATE = "known_rate"
# Whether the rehearsal also chose the recipe, so that its scores are optimistic.
CHOSE = "chose"
