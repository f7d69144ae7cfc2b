"""What the publishers of the weights allow, and where they say so."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    """The licence of one network's published weights.

    Attributes:
        name: As its publisher calls it.
        allows: What that means for whoever uses the weights, in a sentence.
        source: Where its publisher says so.
        needs_consent: Whether it restricts use so far that nobody should take it unasked.
    """

    name: str
    allows: str
    source: str
    needs_consent: bool = False


LICENCES = {
    "clip": Licence(
        "MIT",
        "Any use with the copyright notice kept; OpenAI's model card calls deployment without "
        "tests of one's own out of scope, and surveillance always.",
        "https://github.com/openai/CLIP/blob/main/LICENSE",
    ),
    "mobileclip": Licence(
        "Apple Machine Learning Research Model License",
        "Non-commercial research only: no product, no commercial use, and the same holds for "
        "whatever is fine-tuned from it; who passes it on adds the licence's text and Apple's "
        "attribution notice.",
        "https://huggingface.co/apple/MobileCLIP-S0/blob/main/LICENSE",
        needs_consent=True,
    ),
    "slowfast": Licence(
        "Apache-2.0",
        "Any use with the licence's text and notices kept; the licence is PyTorchVideo's, whose "
        "model zoo names none of its own.",
        "https://github.com/facebookresearch/pytorchvideo/blob/main/LICENSE",
    ),
    "dinov2": Licence(
        "Apache-2.0",
        "Any use with the licence's text and notices kept; it names code and weights.",
        "https://github.com/facebookresearch/dinov2#license",
    ),
    "videomamba": Licence(
        "Apache-2.0",
        "Any use with the licence's text and notices kept.",
        "https://huggingface.co/OpenGVLab/VideoMamba",
    ),
}
