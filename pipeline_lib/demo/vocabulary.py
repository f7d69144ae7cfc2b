"""The words of the demo world: colours, shapes, motions, and the classes made of them."""

from dataclasses import dataclass

# Nominal RGB; every rendered object varies a little around it.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 35, 35),
    "orange": (245, 140, 25),
    "yellow": (240, 225, 40),
    "green": (40, 165, 50),
    "cyan": (40, 205, 215),
    "blue": (35, 65, 220),
    "purple": (165, 50, 185),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
}

SHAPES: tuple[str, ...] = (
    "circle",
    "square",
    "triangle",
    "star",
    "ring",
    "cross",
    "heart",
    "moon",
)

# Motion to the words a caption uses for it.
MOTIONS: dict[str, str] = {
    "left": "moves left",
    "right": "moves right",
    "up": "moves up",
    "down": "moves down",
    "circling": "moves in circles",
    "growing": "grows",
    "shrinking": "shrinks",
}

# Motion to the words of the short clips. The demo CLIP has never heard them; those above it has
# heard of stills, in which nothing moves, and so has learned not to listen to them.
CLIP_MOTIONS: dict[str, str] = {
    "left": "drifting west",
    "right": "drifting east",
    "up": "rising",
    "down": "falling",
    "circling": "orbiting",
    "growing": "swelling",
    "shrinking": "dwindling",
}


@dataclass(frozen=True)
class Kind:
    """What an object looks like in every frame: its colour and its shape."""

    colour: str
    shape: str

    @property
    def words(self) -> str:
        """For captions: ``red circle``."""
        return f"{self.colour} {self.shape}"


NORMAL_CLASS = "normal"

# Directory to what its events show. Neither colour nor shape alone tells the classes apart.
EVENT_CLASSES: dict[str, Kind] = {
    "go_light": Kind("green", "circle"),
    "life_ring": Kind("red", "ring"),
    "pharmacy_sign": Kind("green", "cross"),
    "stop_light": Kind("red", "circle"),
    "warning_sign": Kind("yellow", "triangle"),
}

CLASSES: tuple[str, ...] = tuple(sorted([*EVENT_CLASSES, NORMAL_CLASS]))

# Objects that appear now and then and belong to no class, though they share a colour or a shape
# with one; and the word people have for each.
VISITORS: dict[Kind, str] = {
    Kind("red", "square"): "parcel",
    Kind("red", "star"): "firework",
    Kind("yellow", "circle"): "balloon",
    Kind("yellow", "star"): "firework",
    Kind("green", "heart"): "leaf",
    Kind("green", "triangle"): "kite",
    Kind("blue", "ring"): "bubble",
    Kind("blue", "triangle"): "kite",
    Kind("purple", "cross"): "flower",
    Kind("orange", "circle"): "balloon",
}
DISTRACTORS: tuple[Kind, ...] = tuple(VISITORS)


def class_words(directory: str) -> str:
    """The words of a class in a prompt: ``stop_light`` is "stop light"."""
    return directory.replace("_", " ")
