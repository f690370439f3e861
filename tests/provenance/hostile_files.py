"""Files that mean harm: a released MP4 whose boxes, or whose manifest's JUMBF boxes, are not what they say."""

import multiprocessing
import queue
import resource
import time

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"edts", b"dinf", b"jumb"}
C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_BEFORE_STORE = 16 + 4 + 9 + 8  # the uuid, version and flags, "manifest\0", an offset
SIZES = (0, 1, 7, 8, 9, 16, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def boxes(data, start=0, stop=None):
    """(start, size, type) of every box, also those within others."""
    stop = len(data) if stop is None else stop
    while start + 8 <= stop:
        size, kind = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
        if not 8 <= size <= stop - start:
            return
        yield start, size, kind
        if kind in CONTAINERS:
            yield from boxes(data, start + 8, start + size)
        elif kind == b"uuid" and data[start + 8 : start + 24] == C2PA:
            yield from boxes(data, start + 8 + _BEFORE_STORE, start + size)
        start += size


def with_store(data, store):
    """The same file with another manifest store: the old one becomes free space, the new one goes to the end."""
    start, _size, _ = next(box for box in boxes(data) if box[2] == b"uuid")
    head = data[start + 8 : start + 8 + _BEFORE_STORE]
    box = (8 + len(head) + len(store)).to_bytes(4) + b"uuid" + head + store
    return data[: start + 4] + b"free" + data[start + 8 :] + box


def store_of(data):
    start, size, _ = next(box for box in boxes(data) if box[2] == b"uuid")
    return data[start + 8 + _BEFORE_STORE : start + size]


def nested(depth):
    """A JUMBF box within a box within a box ..."""
    description = b"jumd" + bytes.fromhex("6332706100110010800000AA00389B71") + b"\x03c2pa\0"
    description = (len(description) + 4).to_bytes(4) + description
    each = 8 + len(description)
    return b"".join(((depth - level) * each).to_bytes(4) + b"jumb" + description for level in range(depth))


def mutated(data, rng):
    """One to three changes to a file's structure."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        found = list(boxes(bytes(changed)))
        if not found:
            break
        start, size, _kind = found[int(rng.integers(len(found)))]
        match int(rng.integers(8)):
            case 0:
                changed[start : start + 4] = int(rng.choice(SIZES)).to_bytes(4)
            case 1:
                changed[start : start + 4] = max(0, size + int(rng.integers(-20, 21))).to_bytes(4)
            case 2:
                other = found[int(rng.integers(len(found)))]
                changed[start + 4 : start + 8] = other[2]
            case 3:
                changed[start + 4 : start + 8] = rng.bytes(4)
            case 4:
                changed[start : start + size] = changed[start : start + size] * 2
            case 5:
                del changed[start : start + size]
            case 6:
                for where in rng.integers(start + 8, max(start + 9, start + size), 8):
                    if where < len(changed):
                        changed[where] = int(rng.integers(256))
            case _:
                del changed[int(rng.integers(start, len(changed))) :]
    return bytes(changed)


def survives(look, files, *, seconds, memory):
    """Look at each file in a process of its own kind; the answers, or an AssertionError that names the file.

    Args:
        look: a function of a path, importable; its answer is kept.
        files: paths.
        seconds: longest time for one of them.
        memory: address space of the process, in bytes.
    """
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_look_at_all, args=(look, files, answers, memory))
    process.start()
    found = []
    try:
        answers.get(timeout=60)  # it has started
        for path in files:
            begin = time.monotonic()
            while True:
                try:
                    found.append(answers.get(timeout=0.2))
                    break
                except queue.Empty:
                    assert process.is_alive() or not answers.empty(), f"{path} ended the process ({process.exitcode})"
                    assert time.monotonic() - begin < seconds, f"{path} took more than {seconds} s"
    finally:
        process.terminate()
        process.join()
    return found


def _look_at_all(look, files, answers, memory):
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    answers.put("started")
    for path in files:
        answers.put(look(path))
