"""The names of all metrics that a gate or a tolerance can be about, so that a misspelt one is told before training."""

TRAINING, REHEARSED = "training_", "rehearsed_"

_TEST = [
    "accepted_rate", "accuracy", "agreement_psi", "agreement_spearman", "average_precision",
    "average_precision_lift", "average_precision_lift_high", "average_precision_lift_low", "base_rate", "brier",
    "brier_skill", "brier_skill_high", "brier_skill_hindsight", "brier_skill_low", "calibration_intercept",
    "calibration_slope", "cut", "delivered_flagged_share", "effective_groups", "f1_weighted", "flagged_share",
    "gini", "known_rate", "ks", "lift_10", "lift_10_high", "lift_10_low", "lift_20", "lift_5", "log_loss",
    "mean_probability", "observed_expected", "observed_expected_known", "precision", "precision_high",
    "precision_lift", "precision_low", "recall", "rehearsed_brier_skill", "rehearsed_brier_skill_high",
    "rehearsed_brier_skill_low", "rehearsed_roc_auc", "rehearsed_roc_auc_high", "rehearsed_roc_auc_low",
    "roc_auc", "roc_auc_high", "roc_auc_low", "rows", "score_psi",
]  # fmt: skip
_TRAINING = [
    "average_precision", "average_precision_std", "base_rate", "brier", "brier_std", "f1_weighted",
    "f1_weighted_std", "log_loss", "log_loss_std", "roc_auc", "roc_auc_std", "rows",
]  # fmt: skip

OF_TEST = frozenset(_TEST)
OF_TRAINING = frozenset(f"{TRAINING}{name}" for name in _TRAINING)
