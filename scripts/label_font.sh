#!/usr/bin/env bash
# Makes the font of the visible labels again: the glyphs that they use, out of Noto Sans CJK (SIL Open Font License 1.1).
#     apt-get install fonts-noto-cjk && pip install fonttools && scripts/label_font.sh
set -euo pipefail
cd "$(dirname "$0")/.."
SOURCE=/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc
GLYPHS="$(printf '%s' {A..Z} {a..z} {0..9} ' .,:;()-/' '人工智能生成合成内容本视频由演员虚拟' '인공지능생성콘텐츠')"
python -m fontTools.subset "$SOURCE" --font-number=2 --text="$GLYPHS" --no-hinting --desubroutinize --layout-features='' \
    --name-IDs='0,1,2,13,14' --output-file=src/kinemark/provenance/fonts/label.otf
