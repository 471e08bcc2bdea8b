"""The invented vocabulary of the campus. Nothing here names a real department, place or person."""

from itertools import product
from random import Random

QUALITIES = (
    "Imaginary", "Paper", "Lunar", "Hollow", "Borrowed", "Sideways", "Quiet", "Inverted", "Velvet",
    "Wandering", "Amber", "Forgotten", "Tidal", "Clockwork", "Northerly", "Painted", "Distant", "Folded",
    "Copper", "Patient",
)  # fmt: skip
FIELDS = (
    "Chemistry", "Cloudology", "Kite Mechanics", "Echo Studies", "Moss Logic", "Lantern Physics",
    "Riddle Analysis", "Button History", "Puddle Dynamics", "Whistle Theory", "Feather Statistics",
    "Ink Geology", "Teapot Engineering", "Shadow Biology", "Bridge Poetry", "Gravel Linguistics",
    "Marble Ecology", "Ribbon Topology", "Snow Economics", "Thimble Design", "Acorn Archives",
    "Bell Acoustics", "Candle Optics", "Door Philosophy", "Ember Research", "Fog Cartography",
    "Glass Botany", "Hat Anthropology", "Island Algebra", "Jar Astronomy", "Knot Informatics",
    "Ladder Studies", "Mirror Rhetoric", "Needle Genetics", "Oar Hydrology", "Pebble Computing",
    "Quilt Geometry", "Rope Sociology", "Spoon Metallurgy", "Tent Architecture", "Umbrella Science",
    "Vase Restoration", "Wheel Ethics", "Yarn Dynamics", "Zipper Mechanics", "Biscuit Logistics",
    "Comet Hospitality", "Drum Neurology", "Engine Folklore", "Flute Forestry", "Garden Cryptography",
    "Hinge Psychology", "Icicle Management", "Juggling Studies", "Kettle Meteorology", "Leaf Accounting",
    "Meadow Robotics", "Nutshell Pedagogy", "Orchard Networks", "Pocket Epidemiology",
)  # fmt: skip
COLLEGES = (
    ("COLLEGE_OF_IS", "College of Imaginary Sciences"),
    ("SCHOOL_OF_PA", "School of Paper Arts"),
    ("COLLEGE_OF_SH", "College of Sideways Humanities"),
    ("SCHOOL_OF_LE", "School of Lunar Engineering"),
    ("COLLEGE_OF_QM", "College of Quiet Music"),
    ("SCHOOL_OF_TM", "School of Tidal Medicine"),
    ("COLLEGE_OF_FL", "College of Folded Law & Letters"),
    ("SCHOOL_OF_CB", "School of Clockwork Business"),
    ("COLLEGE_OF_AL", "College of Amber Libraries"),
    ("SCHOOL_OF_WG", "School of Wandering Geography"),
)
AREAS = (
    ("EX_VP_STUDY", "Vice President for Study"),
    ("EX_VP_REPAIR", "Vice President for Repair"),
    ("EX_VP_WEATHER", "Vice President for Weather"),
)
SITES = (("EX_MAIN", "Main Example Campus"), ("EX_SHORE", "Shore Example Campus"))
STREETS = ("Paper Lane", "Teapot Row", "Lantern Walk", "Echo Street", "Moss Court")
FIRST = ("Velm", "Orrin-Ta", "Sib", "Quell", "Bramo", "Tiv", "Neska", "Joss-Wen", "Ulda", "Pim")
LAST = ("Tarrowby", "Kestelin", "Muddlewick", "Oxenfray", "Brindlemoor", "Sallowake", "Fennitree", "Quaverly")
REGIONS = tuple(f"{quality} Desk" for quality in QUALITIES) + tuple(f"{quality} Workshop" for quality in QUALITIES)
SERVICES = tuple(f"{field} Service" for field in FIELDS)
HOURS = tuple(f"{hour:02d}:00 shift" for hour in range(24))


class Names:
    """Department names drawn without repetition; after all combinations they carry a number."""

    def __init__(self, random: Random) -> None:
        self._deck = [f"{quality} {field}" for quality, field in product(QUALITIES, FIELDS)]
        random.shuffle(self._deck)
        self._drawn = 0

    def draw(self) -> str:
        """A name that no department had before."""
        lap, index = divmod(self._drawn, len(self._deck))
        self._drawn += 1
        return self._deck[index] + (f" {lap + 1}" if lap else "")
