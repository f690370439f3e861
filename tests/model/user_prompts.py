"""Prompts as people type them, written by hand, with what each states (nothing else)."""

from __future__ import annotations


def _subject(kind: str = "", colour: str = "", direction: str = "", size: str = "", speed: str = "") -> dict[str, str]:
    parts = {"subject": kind, "colour": colour, "size": size, "speed": speed, "direction": direction}
    return {name: value for name, value in parts.items() if value}


def _second(**parts: str) -> dict[str, str]:
    return {f"second_{name}": value for name, value in _subject(**parts).items()}


def _at(time: str, end: str = "") -> dict[str, str]:
    return {"time": time, "time_end": end or time}


USER_PROMPTS: list[tuple[str, dict[str, str]]] = [
    ("", {}),
    ("a red sailboat drifts right across the sea at sunset",
     {"setting": "sea"} | _at("sunset") | _subject("sailboat", "red", "right")),
    ("a bird flies over the snow at dawn", {"setting": "snow"} | _at("dawn") | _subject("bird")),
    ("red sailboat sunset ocean", {"setting": "sea"} | _at("sunset") | _subject("sailboat", "red")),
    ("just a boat at sea", {"setting": "sea"} | _subject("sailboat")),
    ("a dog", _subject("dog")),
    ("A small white rabbit hops through the forest in the rain.",
     {"setting": "forest", "weather": "rain"} | _subject("rabbit", "white", size="small")),
    ("a big yellow hot air balloon rising over the mountains in the morning",
     {"setting": "mountains"} | _at("dawn") | _subject("balloon", "yellow", "up", "large")),
    ("a black train coming toward us in a snowstorm at night",
     {"weather": "snowfall"} | _at("night") | _subject("train", "black", "down")),
    ("a green robot walks left through the city at night, neon style",
     {"setting": "city", "look": "neon"} | _at("night") | _subject("robot", "green", "left")),
    ("blue whale swimming slowly to the left in the ocean",
     {"setting": "sea"} | _subject("whale", "blue", "left", speed="slow")),
    ("a purple kite in the sky above a sunny beach",
     {"setting": "beach", "weather": "clear"} | _at("noon") | _subject("kite", "purple")),
    ("an orange car speeds away into the distance in the desert",
     {"setting": "desert"} | _subject("car", "orange", "up", speed="fast")),
    ("a yellow duck on a lake in the fog", {"setting": "lake", "weather": "fog"} | _subject("duck", "yellow")),
    ("the sun sets while a plane flies left over the sea",
     {"setting": "sea"} | _at("sunset", "dusk") | _subject("plane", direction="left")),
    ("a red car drives left while a blue bird flies up",
     _subject("car", "red", "left") | _second(kind="bird", colour="blue", direction="up")),
    ("snow is falling on the city and a cyan dog walks right",
     {"setting": "city", "weather": "snowfall"} | _subject("dog", "cyan", "right")),
    ("a dog in the snow", {"setting": "snow"} | _subject("dog")),
    ("pink butterfly, meadow, midday, cloudy",
     {"setting": "meadow", "weather": "cloudy"} | _at("noon") | _subject("butterfly", "pink")),
    ("tracking shot of a white ball bouncing quickly along the beach",
     {"camera": "follow", "setting": "beach"} | _subject("ball", "white", speed="fast")),
    ("the camera pans left as a red kite flies to the right",
     {"camera": "pan left"} | _subject("kite", "red", "right")),
    ("paper cut-out style, a large pink whale in the sea under the stars",
     {"look": "paper", "setting": "sea", "weather": "clear"} | _at("night") | _subject("whale", "pink", size="large")),
    ("please show me an airplane descending at dusk", _at("dusk") | _subject("plane", direction="down")),
    ("a tiny black bird goes up, zoom out", {"camera": "zoom out"} | _subject("bird", "black", "up", "small")),
    ("a train in the mountains as night falls", {"setting": "mountains"} | _at("dusk", "night") | _subject("train")),
    ("make a video of a cute yellow duckling swimming across a pond",
     {"setting": "lake"} | _subject("duck", "yellow")),
    ("a yacht sails from left to right, rain, evening",
     {"weather": "rain"} | _at("dusk") | _subject("sailboat", direction="right")),
    ("A huge purple robot marches toward the camera in a field at noon.",
     {"setting": "meadow"} | _at("noon") | _subject("robot", "purple", "down", "large")),
    ("green ball rolling right in the woods while mist hangs in the air",
     {"setting": "forest", "weather": "fog"} | _subject("ball", "green", "right")),
    ("a white bunny and a black dog in a green meadow",
     {"setting": "meadow"} | _subject("rabbit", "white") | _second(kind="dog", colour="black")),
    ("a pink balloon and an orange kite float over the lake at sunrise",
     {"setting": "lake"} | _at("dawn") | _subject("balloon", "pink") | _second(kind="kite", colour="orange")),
    ("night turns to dawn over the desert, a red bird glides right",
     {"setting": "desert"} | _at("night", "dawn") | _subject("bird", "red", "right")),
    ("a fast green car, city streets, heavy rain, the camera follows the car",
     {"setting": "city", "weather": "rain", "camera": "follow"} | _subject("car", "green", speed="fast")),
    ("A BLUE PLANE FLIES LEFT!!!", _subject("plane", "blue", "left")),
    ("a cat sleeps on a sofa", {}),
    ("a man reads a newspaper in a kitchen", {}),
    ("a dragon flies over the city at night", {"setting": "city"} | _at("night")),
    ("a shiny brown dog runs right across the beach", {"setting": "beach"} | _subject("dog", direction="right")),
    ("a slow white sailing boat moves away at golden hour, the camera zooms in slowly",
     {"camera": "zoom in"} | _at("sunset") | _subject("sailboat", "white", "up", speed="slow")),
    ("clear sky over snowy fields, a turquoise moth flutters down",
     {"setting": "snow", "weather": "clear"} | _subject("butterfly", "cyan", "down")),
    ("the ocean at midnight", {"setting": "sea"} | _at("night")),
    ("foggy forest", {"setting": "forest", "weather": "fog"}),
    ("on a rainy night a little red robot strolls through town",
     {"setting": "city", "weather": "rain"} | _at("night") | _subject("robot", "red", size="small")),
    ("a yellow steam locomotive chugs to the left over the snow-covered plain",
     {"setting": "snow"} | _subject("train", "yellow", "left")),
    ("cinematic 4k video of a crimson butterfly climbing above the peaks, overcast",
     {"setting": "mountains", "weather": "cloudy"} | _subject("butterfly", "red", "up")),
    ("an orange sailboat at sunset", _at("sunset") | _subject("sailboat", "orange")),
    ("flat illustration of a duck paddling right on a calm lake in daylight",
     {"look": "flat", "setting": "lake"} | _at("noon") | _subject("duck", direction="right")),
    ("a purple plane takes off, static camera", {"camera": "static"} | _subject("plane", "purple", "up")),
    ("It is snowing. A black hare jumps left. The camera pans right.",
     {"weather": "snowfall", "camera": "pan right"} | _subject("rabbit", "black", "left")),
    ("a medium-sized white ship steadily approaches through the haze",
     {"weather": "fog"} | _subject("sailboat", "white", "down", "medium", "medium")),
    ("dusk. a forest. a small blue butterfly drifts upward.",
     {"setting": "forest"} | _at("dusk") | _subject("butterfly", "blue", "up", "small")),
]  # fmt: skip

#: The same with slips of the finger.
MISSPELT_PROMPTS: list[tuple[str, dict[str, str]]] = [
    ("a red sailbaot drifts rigth across the ocaen at sunste",
     {"setting": "sea"} | _at("sunset") | _subject("sailboat", "red", "right")),
    ("a purpel butterly in the forrest at nigth",
     {"setting": "forest"} | _at("night") | _subject("butterfly", "purple")),
    ("a yelow robott in the dessert", {"setting": "desert"} | _subject("robot", "yellow")),
]  # fmt: skip
