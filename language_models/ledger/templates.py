"""How a question is put: engine, endpoint, model, recipe and instruction, kept once for all calls that share them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from language_models.ledger.database import Database
from language_models.ledger.types import Call
from schemas.records import canonical, sha256

Template = tuple[str, str, str, str, str, str, str]
INSTRUCTION = "INSERT INTO instructions (id, system, answer_schema) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING"
FIND = """
SELECT number FROM templates WHERE recipe = ? AND version = ? AND kind = ? AND model = ? AND engine = ?
  AND endpoint = ? AND instruction = ?
"""
INSERT = """
INSERT INTO templates (number, recipe, version, kind, model, engine, endpoint, instruction)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


class Templates:
    """Numbers of templates, remembered as long as no transaction that may have written them was rolled back."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._rollbacks = 0
        self._numbers: dict[Template, int] = {}
        self._digests: dict[tuple[str, int], tuple[Mapping[str, Any], str]] = {}

    def number(self, call: Call) -> int:
        """The number of the call's template, written where it is new; only within a transaction."""
        if self._rollbacks != self.database.rollbacks:
            self._rollbacks = self.database.rollbacks
            self._numbers.clear()
        prompt = call.prompt
        instruction = self._instruction(prompt.system, prompt.answer_schema)
        template = (prompt.recipe, prompt.version, prompt.kind, call.model, call.engine, call.endpoint, instruction)
        if template not in self._numbers:
            self._numbers[template] = self._find(template, prompt.system, prompt.answer_schema)
        return self._numbers[template]

    def _find(self, template: Template, system: str, schema: Mapping[str, Any]) -> int:
        if not (found := self.database.query(FIND, template)):
            self.database.execute(INSTRUCTION, (template[-1], system, _as_declared(schema)))
            self.database.execute(INSERT, (self.database.next_number("templates"), *template))
            found = self.database.query(FIND, template)
        return int(found[0][0])

    def _instruction(self, system: str, schema: Mapping[str, Any]) -> str:
        """Digest of both; a recipe's schema is one object for all of its prompts, so it is hashed once."""
        near = (system, id(schema))
        kept = self._digests.get(near)
        if kept is None or kept[0] is not schema:  # the object is kept, so that its id is not given to another
            if len(self._digests) > 1000:
                self._digests.clear()
            kept = self._digests[near] = (schema, instruction_id(system, canonical(schema)))
        return kept[1]


def _as_declared(schema: Mapping[str, Any]) -> str:
    """The schema with its properties in order: a model writes its fields in the order in which they are asked for."""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def instruction_id(system: str, answer_schema: str) -> str:
    return sha256(system + "\0" + answer_schema)
