"""Marking, signing, recording and recognising: `release` is the only writer, `detect.verify` the only reader."""
