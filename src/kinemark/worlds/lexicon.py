"""How every value of a scene is said in English: the data behind `worlds.captions`.

In each tuple the first entry is the plain word, used most often. Choices that could have gone another way:

- The sun crosses the horizon in two of the changes of light: "as the sun rises" is night to dawn, "as the sun sets" is
  sunset to dusk. "At sunset" states a light that stays: time and time_end are both sunset.
- "Snow" with a place word ("in the snow", "a snowy field") is the setting; snow that falls ("snowfall", "while it
  snows", and "snowy" before another place or a time: "a snowy forest", "a snowy night") is the weather.
- "Day" is noon, "morning" is dawn, "evening" is dusk. Stars can be seen in a clear sky only and sunshine on a clear
  day only, so these phrases state the weather too.
- What flies rises and sinks; everything else moves away and comes closer (`spec.DIRECTIONS`).
"""

from __future__ import annotations

from typing import Final

NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "bird": ("bird", "seagull", "gull", "sparrow", "swallow", "songbird"),
    "balloon": ("balloon", "hot-air balloon", "hot air balloon", "air balloon"),
    "kite": ("kite", "toy kite", "diamond kite"),
    "plane": ("plane", "airplane", "aeroplane", "aircraft", "jet", "airliner", "propeller plane", "jet plane"),
    "butterfly": ("butterfly", "moth"),
    "car": ("car", "automobile", "motorcar", "sedan", "hatchback", "vehicle", "sports car"),
    "ball": ("ball", "rubber ball", "beach ball", "bouncy ball", "football", "toy ball"),
    "rabbit": ("rabbit", "bunny", "hare", "bunny rabbit"),
    "dog": ("dog", "puppy", "hound", "doggy", "pup"),
    "train": ("train", "locomotive", "steam train", "railway train"),
    "robot": ("robot", "android", "droid", "bot"),
    "sailboat": ("sailboat", "boat", "yacht", "sailing boat", "sail boat", "ship", "sailing ship", "dinghy"),
    "duck": ("duck", "mallard", "duckling"),
    "whale": ("whale", "humpback whale", "humpback"),
}

#: Ways to call a subject whose kind is not said.
SOMETHING: Final = ("something", "object", "thing", "shape")

COLOURS: Final[dict[str, tuple[str, ...]]] = {
    "red": ("red", "crimson", "scarlet", "bright red", "deep red"),
    "orange": ("orange", "bright orange", "tangerine"),
    "yellow": ("yellow", "bright yellow", "golden", "lemon yellow"),
    "green": ("green", "emerald", "bright green", "lime green", "dark green"),
    "cyan": ("cyan", "turquoise", "teal", "aqua"),
    "blue": ("blue", "azure", "deep blue", "dark blue", "navy blue"),
    "purple": ("purple", "violet", "lilac", "deep purple"),
    "pink": ("pink", "rose pink", "magenta", "hot pink"),
    "white": ("white", "ivory", "pure white", "snow-white"),
    "black": ("black", "jet black", "jet-black", "pitch black"),
}

SIZES: Final[dict[str, tuple[str, ...]]] = {
    "small": ("small", "little", "tiny", "miniature", "mini", "wee"),
    "medium": ("medium-sized", "mid-sized", "medium", "average-sized"),
    "large": ("large", "big", "huge", "giant", "enormous", "gigantic", "massive"),
}

SPEED_ADVERBS: Final[dict[str, tuple[str, ...]]] = {
    "slow": ("slowly", "gently", "at a slow pace", "lazily", "leisurely", "unhurriedly", "at low speed"),
    "medium": ("steadily", "at a steady pace", "at medium speed", "at a moderate speed"),
    "fast": ("fast", "quickly", "rapidly", "swiftly", "at high speed", "in a hurry", "at full speed"),
}
SPEED_ADJECTIVES: Final[dict[str, tuple[str, ...]]] = {
    "slow": ("slow", "slow-moving"),
    "medium": ("steady",),
    "fast": ("fast", "fast-moving", "speedy", "quick"),
}
#: Verbs that state the speed themselves.
SPEED_VERBS: Final[dict[str, tuple[str, ...]]] = {
    "slow": ("creep", "crawl", "amble"),
    "medium": (),
    "fast": ("race", "speed", "zoom", "rush", "dash"),
}

#: How each subject moves, without a word about where to or how fast.
VERBS: Final[dict[str, tuple[str, ...]]] = {
    "bird": ("fly", "flap", "glide", "soar"),
    "balloon": ("float", "drift", "glide", "fly"),
    "kite": ("fly", "flutter", "float", "dance"),
    "plane": ("fly", "cruise", "soar"),
    "butterfly": ("flutter", "fly", "flit", "flap"),
    "car": ("drive", "roll", "cruise"),
    "ball": ("bounce", "roll"),
    "rabbit": ("hop", "leap", "bound", "jump"),
    "dog": ("walk", "trot", "run", "stroll"),
    "train": ("chug", "roll", "steam", "run"),
    "robot": ("walk", "march", "stride", "step"),
    "sailboat": ("sail", "drift", "glide", "float"),
    "duck": ("swim", "paddle", "float"),
    "whale": ("swim", "glide", "cruise"),
}
ANY_VERBS: Final = ("move", "travel", "go")
#: Verbs whose last consonant doubles before "ing".
DOUBLING: Final = frozenset({"flap", "swim", "hop", "trot", "run", "chug", "flit", "step", "drop"})

#: Adverbials of direction; the vertical ones differ between what flies and what does not.
SIDEWAYS: Final[dict[str, tuple[str, ...]]] = {
    "left": ("left", "to the left", "toward the left", "towards the left", "leftward", "leftwards",
             "from right to left", "right to left", "off to the left", "to the left side", "from the right to the left",
             "in from the right"),
    "right": ("right", "to the right", "toward the right", "towards the right", "rightward", "rightwards",
              "from left to right", "left to right", "off to the right", "to the right side",
              "from the left to the right", "in from the left"),
}  # fmt: skip
#: Said of what flies; states nothing.
IN_THE_SKY: Final = ("in the sky", "through the air", "in the air", "across the sky", "overhead")
RISING: Final[dict[str, tuple[str, ...]]] = {
    "up": ("up", "upward", "upwards", "up into the sky", "higher", "higher and higher", "straight up", "into the air",
           "up the picture"),
    "down": ("down", "downward", "downwards", "lower", "lower and lower", "toward the ground", "straight down",
             "down from the sky", "down the picture"),
}  # fmt: skip
RECEDING: Final[dict[str, tuple[str, ...]]] = {
    "up": ("away", "into the distance", "away into the distance", "off into the distance", "toward the horizon",
           "towards the horizon", "away from us", "away from the viewer", "away from the camera", "farther away",
           "up the picture"),
    "down": ("closer", "toward us", "towards us", "closer and closer", "toward the viewer", "toward the camera",
             "towards the camera", "nearer", "out of the distance", "down the picture"),
}  # fmt: skip
#: Verb phrases that state the direction themselves; the first word is the verb.
RISING_VERBS: Final[dict[str, tuple[str, ...]]] = {
    "up": ("rise", "climb", "ascend", "rise up", "climb up", "gain height", "climb into the sky", "lift off",
           "rise into the air", "take off"),
    "down": ("sink", "descend", "come down", "drop", "sink down", "lose height", "go down", "drop down", "fall"),
}  # fmt: skip
RECEDING_VERBS: Final[dict[str, tuple[str, ...]]] = {
    "up": ("move away", "recede", "head off into the distance", "disappear into the distance", "go away", "depart"),
    "down": ("come closer", "approach", "draw near", "come near", "come toward us", "come towards the camera"),
}

#: Places as noun phrases ...
PLACES: Final[dict[str, tuple[str, ...]]] = {
    "sea": ("the sea", "the ocean", "the open sea", "the waves", "the high seas", "the ocean waves", "a sea"),
    "lake": ("the lake", "a lake", "a pond", "a quiet lake", "the pond", "a lagoon", "the still lake"),
    "beach": ("the beach", "a beach", "the shore", "the seashore", "a sandy beach", "the seaside", "the coast"),
    "desert": ("the desert", "a desert", "the dunes", "the sand dunes", "a sandy desert", "the desert sand"),
    "meadow": ("the meadow", "a meadow", "the grass", "a green meadow", "a grassy field", "the grassland", "a pasture",
               "a green field", "the countryside", "the prairie", "green fields"),
    "forest": ("the forest", "a forest", "the woods", "the woodland", "the trees", "a green forest", "a pine forest"),
    "snow": ("the snow", "a snowy field", "a winter landscape", "a snowy landscape", "the snowfield", "a snowy plain",
             "the snow-covered ground", "a wintry field", "the white snow", "the tundra", "a field of snow",
             "snowy fields", "snow-covered fields"),
    "city": ("the city", "a city", "the town", "the city streets", "the street", "a big city", "downtown",
             "the skyline", "the buildings", "the skyscrapers", "the city skyline"),
    "mountains": ("the mountains", "the peaks", "a mountain range", "the mountain peaks", "the alps",
                  "the mountain landscape", "the highlands", "a mountain valley", "the hills", "the rocky mountains"),
}  # fmt: skip
#: ... and as fixed phrases that fit any subject there.
AT_PLACES: Final[dict[str, tuple[str, ...]]] = {
    "sea": ("at sea", "out at sea", "on the ocean"),
    "lake": ("at the lake", "at a lake", "on the lake"),
    "beach": ("at the beach", "on the beach", "along the shore", "at the seaside", "by the shore"),
    "desert": ("in the desert", "among the dunes", "out in the desert"),
    "meadow": ("in the meadow", "in a meadow", "out in the countryside", "on the grass", "in a field", "in the fields"),
    "forest": ("in the forest", "in the woods", "among the trees", "in a forest"),
    "snow": ("in the snow", "over the snow", "in a snowy field", "in a winter landscape", "across the snow", "on snow",
             "in a winter wonderland", "in the winter snow"),
    "city": ("in the city", "in town", "among the skyscrapers", "downtown", "on the city streets"),
    "mountains": ("in the mountains", "among the peaks", "in the alps", "in the highlands"),
}  # fmt: skip
AIR_PREPOSITIONS: Final = ("over", "above", "across")
GROUND_PREPOSITIONS: Final = ("across", "through", "in", "along")
WATER_PREPOSITIONS: Final = ("across", "on", "over")
#: Adjectives of a place that state nothing.
PLACE_ADJECTIVES: Final = ("wide", "quiet", "calm", "beautiful", "peaceful", "vast")

TIME_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "dawn": ("at dawn", "at sunrise", "at daybreak", "in the early morning", "at first light", "in the morning",
             "in the morning light", "in the dawn light", "early in the morning", "during sunrise"),
    "noon": ("at noon", "at midday", "in the middle of the day", "in broad daylight", "in daylight", "by day",
             "during the day", "in the daytime", "at high noon", "in the afternoon"),
    "sunset": ("at sunset", "at sundown", "in the sunset", "during sunset", "at golden hour", "in the golden hour",
               "in the glow of sunset", "under an orange sunset sky", "in the sunset light"),
    "dusk": ("at dusk", "at twilight", "in the twilight", "in the evening", "at nightfall", "in the evening light",
             "in the dim light of dusk", "in the blue hour", "during twilight"),
    "night": ("at night", "at midnight", "in the night", "by night", "in the dark", "after dark", "on a dark night",
              "in the middle of the night", "in the dead of night", "at night-time", "during the night",
              "late at night"),
}  # fmt: skip
#: Said of a night without rain, snowfall or fog.
MOONLIGHT: Final = ("in the moonlight", "by moonlight", "on a moonlit night", "under the moon")
#: Phrases that state time and weather together.
TIME_AND_WEATHER: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("noon", "clear"): ("on a sunny day", "in bright sunshine", "under a blue sky", "on a bright sunny day",
                        "under the midday sun", "in the sunlight"),
    ("night", "clear"): ("under the stars", "under a starry sky", "on a starry night", "beneath the stars",
                         "under a starry night sky"),
}  # fmt: skip
#: Adjectives of a place that do the same.
TIME_AND_WEATHER_ADJECTIVES: Final = {("noon", "clear"): ("sunny", "sunlit"), ("night", "clear"): ("starlit", "starry")}
TIME_NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "dawn": ("dawn", "sunrise", "morning", "daybreak"),
    "noon": ("noon", "midday", "day", "daytime"),
    "sunset": ("sunset", "sundown", "golden hour"),
    "dusk": ("dusk", "twilight", "evening", "nightfall"),
    "night": ("night", "midnight", "night-time", "nighttime"),
}
TIME_ADJECTIVES: Final[dict[str, tuple[str, ...]]] = {
    "dawn": ("morning", "sunrise", "dawn"),
    "noon": ("daytime", "midday"),
    "sunset": ("sunset",),
    "dusk": ("twilight", "evening"),
    "night": ("night-time", "dark", "midnight", "moonlit"),
}
CHANGES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("night", "dawn"): ("as the sun rises", "as night turns to dawn", "as dawn breaks", "as day breaks",
                        "while night gives way to dawn", "as the sun comes up", "as the night turns into morning"),
    ("dawn", "noon"): ("as dawn turns to noon", "as morning turns to midday", "as the morning sun climbs high",
                       "while the morning turns into day", "as dawn grows into full day"),
    ("noon", "sunset"): ("as noon turns to sunset", "as the day turns to sunset", "as the afternoon sun sinks low",
                         "while day fades to sunset", "as the daylight turns to sunset"),
    ("sunset", "dusk"): ("as the sun sets", "as the sun goes down", "as sunset turns to dusk",
                         "while sunset fades to dusk", "while the sun is setting", "as sunset fades into twilight"),
    ("dusk", "night"): ("as night falls", "as dusk turns to night", "as darkness falls", "while it gets dark",
                        "as twilight fades to night", "as evening turns to night", "while night comes on"),
}  # fmt: skip

WEATHER_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "clear": ("under a clear sky", "in clear weather", "under a cloudless sky", "in fine weather", "with clear skies"),
    "cloudy": ("under a cloudy sky", "under heavy clouds", "under an overcast sky", "beneath the clouds",
               "in cloudy weather", "with clouds in the sky", "under a sky full of clouds"),
    "rain": ("in the rain", "in pouring rain", "while it rains", "through the rain", "in rainy weather",
             "in a downpour", "with rain coming down", "in heavy rain", "in a rain shower",
             "in a rainstorm", "in light rain"),
    "snowfall": ("in falling snow", "while it snows", "as snow falls", "in a snowstorm", "in a snowfall",
                 "through falling snowflakes", "with snowflakes in the air", "with snow coming down",
                 "in heavy snowfall", "in a blizzard", "while it is snowing", "with snow falling"),
    "fog": ("in the fog", "in thick fog", "in the mist", "through the mist", "in hazy air", "shrouded in mist",
            "in foggy weather", "in the haze", "through the fog"),
}  # fmt: skip
WEATHER_SENTENCES: Final[dict[str, tuple[str, ...]]] = {
    "clear": ("the sky is clear", "the weather is clear", "the sky is cloudless", "the weather is fine"),
    "cloudy": ("the sky is cloudy", "clouds cover the sky", "it is cloudy", "the sky is overcast",
               "there are clouds in the sky"),
    "rain": ("rain is falling", "it is raining", "it rains", "rain pours down", "raindrops fall", "rain falls"),
    "snowfall": ("snow is falling", "it is snowing", "snowflakes drift down", "it snows", "snow falls",
                 "flakes of snow fall from the sky"),
    "fog": ("it is foggy", "fog hangs in the air", "mist fills the air", "the air is hazy", "there is fog",
            "it is misty", "everything is veiled in mist"),
}  # fmt: skip
WEATHER_NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "clear": ("clear sky", "clear weather", "cloudless sky"),
    "cloudy": ("clouds", "cloudy sky", "overcast", "cloudy"),
    "rain": ("rain", "rainy", "raining", "drizzle"),
    "snowfall": ("snowfall", "falling snow", "snowstorm", "snowing"),
    "fog": ("fog", "mist", "haze", "foggy", "misty"),
}
WEATHER_ADJECTIVES: Final[dict[str, tuple[str, ...]]] = {
    "clear": ("clear", "cloudless"),
    "cloudy": ("cloudy", "overcast"),
    "rain": ("rainy", "rain-soaked", "stormy"),
    "snowfall": ("snowy",),
    "fog": ("foggy", "misty", "hazy"),
}

CAMERA_CLAUSES: Final[dict[str, tuple[str, ...]]] = {
    "static": ("the camera is static", "the camera stays still", "the camera stands still", "the camera is fixed"),
    "pan left": ("the camera pans left", "the camera pans to the left", "the camera slowly pans left",
                 "the view sweeps left", "the camera turns left", "the camera moves to the left"),
    "pan right": ("the camera pans right", "the camera pans to the right", "the camera slowly pans right",
                  "the view sweeps right", "the camera turns right", "the camera moves to the right"),
    "zoom in": ("the camera zooms in", "the camera slowly zooms in", "the view zooms in", "the camera pushes in",
                "the camera moves in"),
    "zoom out": ("the camera zooms out", "the camera slowly zooms out", "the view zooms out", "the camera pulls back",
                 "the camera moves back"),
    "follow": ("the camera follows", "the camera follows it", "the camera tracks it", "the camera moves along",
               "the view follows along", "the camera follows the action"),
}  # fmt: skip
#: The camera's follow shot with its subject named.
FOLLOWS: Final = ("the camera follows", "the camera tracks", "the view follows")
CAMERA_NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "static": ("static shot", "static camera", "fixed camera", "still camera", "locked-off shot"),
    "pan left": ("pan left", "pan to the left", "camera pan to the left", "camera panning left", "panning left",
                 "a pan to the left"),
    "pan right": ("pan right", "pan to the right", "camera pan to the right", "camera panning right", "panning right",
                  "a pan to the right"),
    "zoom in": ("zoom in", "slow zoom in", "camera zooming in", "a zoom in", "zooming in", "push in"),
    "zoom out": ("zoom out", "slow zoom out", "camera zooming out", "a zoom out", "zooming out", "pull back"),
    "follow": ("tracking shot", "a tracking shot", "following shot", "follow shot", "follow cam",
               "camera following", "camera tracking"),
}  # fmt: skip

LOOK_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "flat": ("flat style", "flat illustration", "in flat colours", "flat design", "in a flat style",
             "flat vector animation", "in flat colors"),
    "paper": ("paper cut-out style", "in paper cut-out style", "paper cutout", "made of paper", "papercraft",
              "cut-paper style", "paper collage", "in a paper cut-out look", "paper cut out", "in cut paper",
              "papercut style", "in paper style"),
    "neon": ("neon style", "in neon style", "in glowing neon", "neon lights", "neon glow", "neon look",
             "in neon colours", "with neon outlines", "neon art", "neon-lit"),
}  # fmt: skip
#: Said of one thing, true of everything in the picture: "a paper boat", "the neon city".
LOOK_ADJECTIVES: Final = {"flat": "flat", "paper": "paper", "neon": "neon"}
LOOK_SENTENCES: Final[dict[str, tuple[str, ...]]] = {
    "flat": ("the style is flat", "everything is drawn in flat colours", "it looks like a flat illustration"),
    "paper": ("everything is made of paper", "it looks like a paper cut-out", "the style is cut paper",
              "all of it is paper collage"),
    "neon": ("everything glows in neon", "the style is neon", "it is all drawn in neon light",
             "everything has neon outlines"),
}  # fmt: skip
