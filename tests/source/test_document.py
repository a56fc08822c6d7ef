from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from guardrails.source.complaint import LIST, TEXT, shape_of
from guardrails.source.document import read_document

TEXT_OF_ANIMALS = """\
owner: ana
animals:
  - kind: cat
    lives: nine
  - {kind: dog, name: rex}
"""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Cat(Strict):
    kind: Literal["cat"]
    lives: str


class Dog(Strict):
    kind: Literal["dog"]
    name: Annotated[Annotated[str, Tag(TEXT)] | Annotated[list[str], Tag(LIST)], Discriminator(shape_of)]


class Home(Strict):
    owner: str
    animals: list[Annotated[Cat | Dog, Field(discriminator="kind")]] = Field(default=[], max_length=3)


def said(text: str) -> list[str]:
    read = read_document(text, "home.yaml", Home)
    assert (read.value is None) == bool(read.problems)
    return [str(problem) for problem in read.problems]


def test_reads_a_document_with_the_position_of_every_key_and_value() -> None:
    read = read_document(TEXT_OF_ANIMALS, "home.yaml", Home)
    assert read.value == Home(owner="ana", animals=[Cat(kind="cat", lives="nine"), Dog(kind="dog", name="rex")])
    assert read.mark(("animals", 0, "lives")) == (4, 12)
    assert read.mark(("animals", 0, "lives"), key=True) == (4, 5)
    assert read.mark(("animals", 1)) == (5, 5)
    assert read.mark(("animals", 1, "name")) == (5, 23)
    assert read.mark(()) == (1, 1)
    assert read.item_lines(("animals",)) == [3, 5]
    assert read.item_lines(("owner",)) == []


def test_places_what_is_not_there_at_what_is_around_it() -> None:
    read = read_document(TEXT_OF_ANIMALS, "home.yaml", Home)
    assert read.mark(("animals", 0, "tail")) == (3, 5)
    assert read.mark(("animals", 7)) == (3, 3)
    assert read.mark(("animals", 0, "tail"), key=True) == (3, 5)


def test_takes_a_byte_order_mark() -> None:
    assert said("\ufeffowner: ana\n") == []


def test_says_all_mistakes_at_once_in_their_order() -> None:
    assert said("animals:\n  - {kind: catt, lives: 9}\n  - {kind: dog, name: {}}\n  - {kind: cat, lifes: 9}\nowner: [a]\n") == [
        "home.yaml:2:12: `kind` is `cat` or `dog`, not `catt`, did you mean `cat`?",
        "home.yaml:3:23: `name` must be text or a list, not a mapping",
        "home.yaml:4:17: unknown key `lifes`, did you mean `lives`?",
        "home.yaml:5:8: `owner` must be text, not a list",
    ]


def test_says_of_a_key_of_another_kind_that_this_kind_takes_it_not() -> None:
    assert said("owner: a\nanimals: [{kind: dog, name: rex, lives: 7}]\n") == ["home.yaml:2:34: a `dog` takes no `lives`"]


def test_says_duplicates_and_wrong_values_together() -> None:
    assert said("owner: a\nowner: b\nanimals: cat\n") == [
        "home.yaml:2:1: duplicate key `owner`, first on line 1",
        "home.yaml:3:10: `animals` must be a list, not text",
    ]


def test_says_how_many_items_a_list_takes() -> None:
    assert said("owner: a\nanimals: [" + "{kind: dog, name: rex}," * 4 + "]\n") == ["home.yaml:2:10: `animals` takes 3 items, not 4"]


def test_says_what_a_missing_or_empty_kind_lacks() -> None:
    assert said("owner: a\nanimals: [{name: rex}, {kind: , name: rex}, {kind: [cat]}, ]\n") == [
        "home.yaml:2:11: key `kind` is missing",
        "home.yaml:2:25: `kind` has no value",
        "home.yaml:2:52: `kind` must be text, not a list",
    ]


class Folder(Strict):
    format: Literal["tree"]
    count: Annotated[str, AfterValidator(lambda text: str(int(text)))] = "0"
    short: Annotated[str, Field(max_length=3)] = ""
    inner: "list[Folder]" = Field(default=[])


def test_finds_spellings_in_documents_that_hold_themselves() -> None:
    read = read_document("format: tree\ninner: [{format: tree, inner: [{format: tree, iner: []}]}]\n", "a", Folder)
    assert [str(problem) for problem in read.problems] == ["a:2:47: unknown key `iner`, did you mean `inner`?"]


class Pair(Strict):
    both: tuple[Cat, Cat]


def test_offers_no_spelling_where_the_legal_keys_are_not_known() -> None:
    read = read_document("both: [{kind: cat, lives: 9, bothe: 1}, {kind: cat, lives: 9}]\n", "a", Pair)
    assert [str(problem) for problem in read.problems] == ["a:1:30: unknown key `bothe`"]


def test_words_what_other_validators_refuse() -> None:
    read = read_document("format: bush\ncount: many\nshort: long\n", "a", Folder)
    assert [str(problem) for problem in read.problems] == [
        "a:1:9: `format` is always `tree`, not `bush`",
        "a:2:8: invalid literal for int() with base 10: 'many'",
        "a:3:8: `short`: string should have at most 3 characters",
    ]


def test_places_everything_at_the_top_of_what_could_not_be_read() -> None:
    assert read_document("[", "a", Home).mark(("owner",)) == (1, 1)
