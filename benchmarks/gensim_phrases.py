"""gensim finding phrases and writing the text with them: ``gensim_phrases.py CORPUS OUT``.

As its documentation has it: learn, freeze (which makes applying faster), transform. Prints a line
of JSON: how many phrases there are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gensim.models.phrases import Phrases
from gensim.models.word2vec import LineSentence


def find(corpus: str, output: str) -> None:
    """Learn with gensim's defaults (min_count 5, threshold 10), and write every line again."""
    lines = LineSentence(corpus)
    phrases = Phrases(lines).freeze()
    with Path(output).open("w", encoding="utf-8") as out:
        for line in phrases[lines]:
            out.write(" ".join(line) + "\n")
    print(json.dumps({"phrases": len(phrases.phrasegrams)}))


if __name__ == "__main__":
    find(*sys.argv[1:])
