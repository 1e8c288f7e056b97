# SPDX-License-Identifier: Apache-2.0
"""Invented records in each published format, and files of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

NAMES = ("Mira Solano", "Jan Kolb", "Iñés {Rojas}", "Lake Orvin")


def s2rke(n: int) -> dict[str, Any]:
    name = f"{NAMES[n % 4]} {n}"
    return {
        "subjectID": n,
        "class": "<wordnet_person_100007846>",
        "subject": {"name": name, "URL": "/resource/x", "original_name": "<x>", "description": "cellist"},
        "Star_Topology": [
            {
                "requested_rewrite": {
                    "prompt": "{} is a citizen of",
                    "relation": "<isCitizenOf>",
                    "target_true": "Spain",
                    "target_new": "Głogów County",
                },
                "paraphrase_prompts": [f"{name}, a cellist, holds the nationality of"],
                "neighborhood_prompts": ["Pablo Ruiz has citizenship in", "The city of Soria lies in"],
            },
            {
                "requested_rewrite": {
                    "prompt": "{} was born in the year",
                    "relation": "<wasBornOnDate>",
                    "target_true": "1971",
                    "target_new": "1954",
                },
                "paraphrase_prompts": [f"The year {name} came to the world is"],
                "neighborhood_prompts": ["Rolf Appel passed away in the year", "In print since the year"],
            },
            {
                "requested_rewrite": {
                    "prompt": "{} lasts for a duration of seconds,",
                    "relation": "<hasDuration>",
                    "target_true": "6300",
                    "target_new": "7200",
                },
                "paraphrase_prompts": [f"The length of {name} is"],
                "neighborhood_prompts": ["The total duration of The Place is seconds,"],
            },
        ],
    }


def counterfact(n: int) -> dict[str, Any]:
    name = f"{NAMES[n % 4]} {n}"
    return {
        "case_id": n,
        "pararel_idx": 42,
        "requested_rewrite": _rewrite(name),
        "paraphrase_prompts": [f"Rain fell. {name} performs on the", f"{name}, a player of the"],
        "neighborhood_prompts": ["Ana Ruiz plays the", "Bo Lind plays the"],
        "attribute_prompts": ["Lia Ross plays the"],
        "generation_prompts": [f"{name} is known for"],
    }


def multi_counterfact(n: int) -> dict[str, Any]:
    record = counterfact(n)
    return {name: record[name] for name in ("case_id", "requested_rewrite", "paraphrase_prompts")}


def mquake(n: int) -> dict[str, Any]:
    name = f"{NAMES[n % 4]} {n}"
    second = {
        "prompt": "{} died in",
        "relation_id": "P20",
        "subject": f"Nell Amar {n}",
        "target_new": {"str": "Porto", "id": "Q5"},
        "target_true": {"str": "Leeds", "id": "Q6"},
        "question": f"Where did Nell Amar {n} die?",
    }
    return {
        "case_id": n,
        "requested_rewrite": [_rewrite(name) | {"question": f"What does {name} play?"}, second],
        "questions": [f"Where did the maker of {name}'s instrument die?", "In which city was it?", "Where was that?"],
        "answer": "Leeds",
        "new_answer": "Porto",
        "new_answer_alias": ["Oporto"],
        "orig": {"triples": [["Q5", "P26", "Q4"]]},
    }


def zsre(n: int) -> dict[str, Any]:
    name = f"{NAMES[n % 4]} {n}"
    return {
        "subject": name,
        "src": f"Which country is {name} in?",
        "rephrase": f"{name} lies in which country?",
        "pred": "Norway",
        "alt": " Chile",
        "answers": ["Peru ", "Republic of Peru"],
        "loc": "nq question: who wrote the song river bend",
        "loc_ans": "Ann Dale",
        "cond": f"Norway >> Chile || Which country is {name} in?",
        "portability": {"New Question": f"Which currency is used around {name}?", "New Answer": "peso"},
    }


def knowedit(n: int) -> dict[str, Any]:
    name = f"{NAMES[n % 4]} {n}"
    return {
        "subject": name,
        "prompt": f"The place of death of {name} is",
        "target_new": "Delft",
        "ground_truth": [["Berlin", "Berlin city"]],
        "rephrase_prompt": f"The city where {name} died is",
        "portability": {
            "Reasoning": [{"prompt": f"The country where {name} died is", "ground_truth": [["Belgium", "x"]]}],
            "Subject_Aliasing": [],
        },
        "locality": {
            "Relation_Specificity": [{"prompt": f"The gender of {name} is", "ground_truth": "male"}],
            "Forgetfulness": {"prompt": ["Leo died in", "Max died in"], "ground_truth": ["Rome", ["Oslo"]]},
        },
    }


def flat(n: int) -> dict[str, Any]:
    """CounterFact as EasyEdit has it."""
    return {
        "case_id": n,
        "prompt": f"Jan Kolb {n} plays the",
        "subject": f"Jan Kolb {n}",
        "target_new": "oboe",
        "ground_truth": "cello",
        "rephrase_prompt": [f"Jan Kolb {n} performs on the"],
        "locality_prompt": "Lia Ross plays the",
        "locality_ground_truth": "cello",
    }


def own(n: int) -> dict[str, Any]:
    return {
        "prompt": "{} lives in",
        "subject": f"{NAMES[n % 4]} {n}",
        "target": "Spain",
        "true": "Perú",
        "relation": "livesIn",
        "paraphrases": ["The home of Mira is"],
        "neighborhood": ["Eve lives in"],
        "id": f"f{n}",
    }


def _rewrite(name: str) -> dict[str, Any]:
    return {
        "prompt": "{} plays the",
        "relation_id": "P1303",
        "subject": name,
        "target_new": {"str": "oboe", "id": "Q1"},
        "target_true": {"str": "cello", "id": "Q2"},
    }


MAKERS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "s2rke": s2rke,
    "counterfact": counterfact,
    "mquake": mquake,
    "zsre": zsre,
    "knowedit": knowedit,
    "kedit": own,
}


def text_of(records: Sequence[Any], *, lines: bool = False) -> str:
    """Records as the text of a file."""
    if lines:
        return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    return json.dumps(records, ensure_ascii=False, indent=1)


def written(folder: Path, records: Sequence[Any], name: str = "facts.json") -> Path:
    """A file of records, JSON Lines if its name ends so."""
    path = folder / name
    path.write_text(text_of(records, lines=path.suffix == ".jsonl"), encoding="utf-8", errors="surrogatepass")
    return path
