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
FIRST_BEGIN = (
    "Vel",
    "Or",
    "Si",
    "Quel",
    "Bra",
    "Ti",
    "Nes",
    "Jo",
    "Ul",
    "Pi",
    "Za",
    "Mer",
    "Lu",
    "Gri",
    "\u00d8y",
    "\u00c9l",
)
FIRST_END = ("mo", "rin", "bette", "lo", "mund", "va", "ka", "sso", "dra", "mme", "nou", "rt\u00ed", "wen", "\u00efa")
LAST_BEGIN = (
    "Tarrow", "Keste", "Muddle", "Oxen", "Brindle", "Sallow", "Fenni", "Quaver", "Pebble", "Thistle", "Copper",
    "Lantern", "Mossy", "Wicker", "Rookle", "Ambel", "Grimble", "H\u00e4ndel", "Nu\u00f1", "\u0141ap",
)  # fmt: skip
LAST_END = (
    "by", "lin", "wick", "fray", "moor", "wake", "tree", "ly", "stone", "croft", "worthy", "mere", "ington", "shaw",
    "berg", "dale", "ford", "ham",
)  # fmt: skip
# They begin as no FIRST_BEGIN and no LAST_BEGIN does.
ALUMNI = (
    "Dalla", "Denno", "D\u00f6rka", "Dysso", "Ilvo", "Irmund", "Islette", "In\u00easo", "Xandra", "Ximmo", "Yrva", "Yol\u00edn",
    "Ysbert",
)  # fmt: skip
TITLES = (
    ("Research Lab Specialist Inter", "102945"), ("Lecturer of Imaginary Matters", "201060"),
    ("Professor of Folded Subjects", "201000"), ("Administrative Specialist Senior", "100411"),
    ("Postdoctoral Kite Fellow", "205810"), ("Instrument Shop Technician", "103377"),
    ("Desktop Support Lead", "000771"), ("Collections Librarian", "110290"),
)  # fmt: skip
LOCAL_TITLES = ("Lab Manager", "Lens Grinder", "Keeper of Moss", "Front Desk", "Kiln Lead", "Data Wrangler")
BUILDINGS = (
    "Lantern Hall", "Moss Laboratories", "Old Teapot Works", "Echo Building", "Paper Library", "Kite Tower",
    "Shore Field Station", "Button Museum",
)  # fmt: skip
SPONSORS = (
    ("Example Science Foundation", "Federal", "Example Agency"), ("Council of Invented Health", "Federal", "Institutes"),
    ("Fund for Paper Arts", "Foundation", "Private"), ("Quiet Instruments Incorporated", "Industry", "Small business"),
)  # fmt: skip
SYSTEMS = ("Windows 10", "Windows 11", "macOS 14", "macOS 15", "Ubuntu 22.04", "Ubuntu 24.04", "Rocky Linux 9", "Other")
FUNCTIONS = ("Research", "Teaching", "Administration", "Instrument control", "Classroom", "Loan", "Server", "Spare")
# Manufacturer, model, kind.
MODELS = (
    ("ExampleCorp", "EC-9000", "computer"), ("ExampleCorp", "EC-1200 Slim", "computer"),
    ("Paper Computers", "Foldbook 13", "computer"), ("Paper Computers", "Foldtower", "computer"),
    ("Quiet Machines", "Hush Workstation", "computer"), ("Lanternworks", "Wide Screen 27", "monitor"),
    ("Lanternworks", "Ink Printer 5", "printer"), ("None", "None", "license"), ("Clockwork Host", "Guest", "virtual"),
)  # fmt: skip
SUBJECTS = ("Structures", "Migrations", "Acoustics", "Histories", "Surfaces", "Catalysis", "Grammars", "Currents")
REGIONS = tuple(f"{quality} Desk" for quality in QUALITIES) + tuple(f"{quality} Workshop" for quality in QUALITIES)
SERVICES = tuple(f"{field} Service" for field in FIELDS)
# Regions of the organizational units of a directory, some of which could be login names.
UNIT_REGIONS = ("RSN", "Lantern", "EHTS", "Shore", "Quiet Desk", "QTS", "Moss", "North")
UNIT_WORDS = ("Standard", "Loaner", "Current", "Teaching", "Storage", "Kiosk", "Testing", "Retired")
CIRCLES = ("Reading Circle", "Announcements", "Seminar", "Kiln Users", "Friends", "Search Committee")
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
