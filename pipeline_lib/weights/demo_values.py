"""Values of the project's ``params.yaml`` that fit the demo's own CLIP and no published one."""

# Parameter to the demo's value and to the usual one for CLIP ViT-L/14.
FITTED = {"mine.threshold": (0.85, 0.95), "train.pos_neg.lr": (0.0003, 1e-5)}
