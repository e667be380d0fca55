"""Records that are made quickly are those that pydantic makes; what is odd is left to it."""

from __future__ import annotations

import math
import pickle
import re
from typing import Annotated, Any, Literal

import annotated_types
import pydantic
import pytest

from schemas import fill
from schemas.fill import TEXTS_KNOWN_MAX, compile_fill, refuse
from schemas.record import Record, State, Stream, field


class Part(Record):
    """A part."""

    name: str = field("Name.")


class Screw(Part):
    """A part that is more."""

    turns: int = field("Turns.", default=3)


class Plain(Record):
    """One of each kind that is made quickly."""

    key: str = field("Key.", pattern=r"^[a-z]{1,3}$")
    text: str = field("Text.")
    at_ms: int = field("When.", unit="ms", ge=0)
    count: int = field("Count.", ge=-5, le=5)
    share: float = field("Share.", ge=0, le=1)
    heat: float = field("Heat.", unit="degC")
    cold: float | None = field("Cold.", unit="degC", le=0, default=None)
    good: bool = field("Good.")
    raw: bytes = field("Raw.")
    mood: Literal["calm", "cross"] = field("Mood.")
    part: Part = field("Part.")
    more: Part | None = field("Another.", default=None)


class Text(str):
    """A text that is none of ours."""


PLAIN: dict[str, Any] = {
    "key": "abc",
    "text": "",
    "at_ms": 0,
    "count": -5,
    "share": 1.0,
    "heat": -0.0,
    "cold": None,
    "good": False,
    "raw": b"",
    "mood": "calm",
    "part": Part(name="p"),
    "more": None,
}
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 6, -6, 2**70, 0.0, 0.5, 1.5, -1.0, math.nan, math.inf, "", "ab",
    "abcd", "calm", Text("abc"), Text("calm"), b"", b"x", bytearray(b"x"), [], {}, {"name": "p"},
    object(), Part(name="q"), Screw(name="q"), PLAIN,
]  # fmt: skip


def made(make: Any) -> tuple[Any, ...]:
    """What came of it, with the types of all values; or what was wrong with it."""
    try:
        record = make()
    except pydantic.ValidationError as error:
        return type(error), error.title, repr(error.errors(include_url=False))
    kinds = [(name, type(value)) for name, value in vars(record).items()]
    return type(record), repr(record), kinds, record.model_fields_set, record.model_dump()


def pydantically(model: type[Record], fields: dict[str, Any]) -> Any:
    record = model.__new__(model)
    pydantic.BaseModel.__init__(record, **fields)
    return record


def test_plain_fields_are_taken_without_pydantic() -> None:
    record = Plain.__new__(Plain)
    assert compile_fill(Plain)(record, PLAIN)
    assert made(lambda: record) == made(lambda: pydantically(Plain, PLAIN))
    of_a_subclass = PLAIN | {"more": Screw(name="s", turns=2)}
    assert not compile_fill(Plain)(record, of_a_subclass), "is for pydantic"
    assert compile_fill(Screw)(Screw.__new__(Screw), {"name": "s", "turns": 1})


def test_new_record_asks_pydantic_only_about_what_is_odd(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(pydantic.BaseModel, "__init__", lambda _, **fields: asked.append(fields))
    assert (Plain(**PLAIN).count, asked) == (-5, [])
    Plain(**(PLAIN | {"count": 6}))
    assert asked == [PLAIN | {"count": 6}]


@pytest.mark.parametrize("name", [*PLAIN, "unknown"])
def test_whatever_a_field_is_given_comes_out_as_by_pydantic(name: str) -> None:
    for odd in ODD:
        fields = PLAIN | {name: odd}
        expected = made(lambda fields=fields: pydantically(Plain, fields))
        assert made(lambda fields=fields: Plain(**fields)) == expected, odd


def test_fields_left_out_or_in_another_order_come_out_as_by_pydantic() -> None:
    backwards = dict(reversed(PLAIN.items()))
    cases = [backwards, *({n: v for n, v in PLAIN.items() if n != name} for name in PLAIN)]
    for fields in cases:
        expected = made(lambda fields=fields: pydantically(Plain, fields))
        assert made(lambda fields=fields: Plain(**fields)) == expected
    assert list(vars(Plain(**backwards))) == list(PLAIN)


def test_records_are_frozen_and_go_through_pickle_and_copies() -> None:
    record = Plain(**PLAIN)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        record.count = 1
    assert pickle.loads(pickle.dumps(record)) == record  # our own bytes, made just now
    assert record.model_copy(update={"count": 1}).count == 1
    assert (record.count, hash(record)) == (-5, hash(pydantically(Plain, PLAIN)))


class Tally(State):
    """A state that is changed in place."""

    count: int = field("Count.")


def test_states_may_be_changed_each_by_itself() -> None:
    one, other = Tally(count=1), Tally(count=1)
    one.count += 1
    assert (one.count, other.count) == (2, 1)


class Careful(Record):
    """Checks more than its fields."""

    name: str = field("Name.")

    @pydantic.field_validator("name")
    @classmethod
    def upper(cls, name: str) -> str:
        return name.upper()


class Heir(Careful):
    """Inherits what is checked."""

    age: int = field("Age.")


class Listing(Record):
    """Holds what is copied."""

    names: list[str] = field("Names.")


class Alias(Record):
    """Is told otherwise than it is named."""

    name: str = pydantic.Field(alias="label")


class Config(Record):
    """Goes by rules of its own."""

    model_config = pydantic.ConfigDict(str_strip_whitespace=True)

    name: str = field("Name.")


class After(Record):
    """Does something after it was made."""

    name: str = field("Name.")

    def model_post_init(self, context: Any, /) -> None:
        """Do it."""


class Own(Record):
    """Is made in a way of its own."""

    name: str = field("Name.")

    def __init__(self, name: str) -> None:
        super().__init__(name=name.upper())


class Holder(Record):
    """Holds one that checks more."""

    careful: Careful = field("Careful.")


class One(Record):
    """May be one number only."""

    one: Literal[1] = field("One.")


class Short(Record):
    """Bounds its bytes."""

    raw: bytes = field("Raw.", max_length=2)


class Above(Record):
    """Has a bound that is not compared here."""

    count: int = field("Count.", gt=0)


class Endless(Record):
    """Has a bound that cannot be written down."""

    share: float = field("Share.", ge=0, le=math.inf)


class Picky(Record):
    """Has a rule beside its choices."""

    mood: Annotated[Literal["a", "b"], pydantic.AfterValidator(lambda mood: mood)] = field("Mood.")


class Trimmed(Record):
    """Makes another text of what it is given."""

    name: Annotated[str, pydantic.StringConstraints(strip_whitespace=True)] = field("Name.")


@pytest.mark.parametrize(
    "model",
    [
        *(Careful, Heir, Listing, Alias, Config, After, Own, Holder, One, Short, Above),
        *(Endless, Picky),
    ],
)
def test_classes_with_more_to_them_are_left_to_pydantic(model: type[Record]) -> None:
    assert compile_fill(model) is refuse


def test_their_records_are_made_as_ever() -> None:
    assert Heir(name="a", age=1).name == "A"
    assert Alias(label="x").name == "x"
    names = ["a"]
    assert Listing(names=names).names is not names
    assert [Trimmed(name=name).name for name in (" a", "a", " a", "a ")] == ["a"] * 4


class Early(Record):
    """Names a class that comes later."""

    later: Later = field("Later.")


def test_class_that_is_not_complete_yet_is_asked_again() -> None:
    assert Early(later=Later(name="l")).later.name == "l"
    assert Early._fill(Early.__new__(Early), {"later": Later(name="m")})


class Later(Record):
    """Comes later."""

    name: str = field("Name.")


def test_texts_are_remembered_up_to_a_limit() -> None:
    known, look = fill._texts([pydantic.StringConstraints(max_length=90)])
    for number in range(TEXTS_KNOWN_MAX + 10):
        look(str(number))
    assert 0 < len(known) <= TEXTS_KNOWN_MAX
    with pytest.raises(pydantic.ValidationError):
        look("longer than ninety" * 9)
    before = len(known)
    look("long" * 20)
    assert len(known) == before


def test_record_has_no_private_attributes() -> None:
    with pytest.raises(TypeError, match="Odd: _count: a record holds its fields, which are public"):

        class Odd(Record):
            """A class that remembers something beside its fields."""

            _count: int = pydantic.PrivateAttr(default=3)


def test_record_holds_nothing_but_its_fields() -> None:
    with pytest.raises(TypeError, match="Open: a record holds its fields and nothing else"):

        class Open(Record):
            """A class that takes whatever it is given."""

            model_config = pydantic.ConfigDict(extra="allow")


def test_what_is_in_a_stream_does_not_change() -> None:
    with pytest.raises(TypeError, match="Fickle: what is in a stream does not change: it is no"):

        class Fickle(State, stream=Stream("toy.event.fickle", "key", "at_ms", "me")):
            """A state that is written to a stream as it is."""


def test_rules_that_look_alike_share_no_texts() -> None:
    def rule(valid: Any) -> list[Any]:
        valid.__qualname__ = valid.__name__ = "valid"
        return [annotated_types.Predicate(valid)]

    upper, lower = (
        fill.text_checker(str, rule(lambda text: text.isupper())),
        fill.text_checker(str, rule(lambda text: text.islower())),
    )
    assert upper("UP") == "UP"
    with pytest.raises(pydantic.ValidationError):
        lower("UP")
    assert fill.rule_of([re.compile("a")]) is None
    [pattern] = Plain.model_fields["key"].metadata
    assert fill.rule_of([pattern]) is not None, "what `field` makes of a pattern"
    same = [pydantic.StringConstraints(pattern="^a+$"), annotated_types.MaxLen(3)]
    assert fill.rule_of(same) == fill.rule_of(list(same)) is not None
