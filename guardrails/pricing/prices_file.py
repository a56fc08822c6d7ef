"""`prices.yaml`: the dated prices and aliases of a policy folder, as written and as the price book uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import PydanticKnownError

from guardrails.core.call import check_text
from guardrails.core.frozen import Frozen
from guardrails.core.instant import rfc3339
from guardrails.core.model_name import fold, is_pattern
from guardrails.core.money import usd_to_pico
from guardrails.core.provider_name import provider_id
from guardrails.pricing.own_prices import OwnPrice, OwnPrices
from guardrails.pricing.price import Price
from guardrails.pricing.tariff import Rate
from guardrails.source.complaint import Loc
from guardrails.source.document import Read, read_document
from guardrails.source.nodes import Plain
from guardrails.source.problem import Problem, quoted
from guardrails.source.written import Mistake, count_of, date_or_instant_of, decimal_of, start_of

_T = TypeVar("_T")

_NOT_TEXT: Final = "string_type"
_PER_MTOK = 1_000_000
_MAX_USD_PER_MTOK = Decimal(1_000_000)
_MAX_USD_PER_UNIT = Decimal(10) ** 9


def _written(read: Callable[[str], _T]) -> PlainValidator:
    """A field whose text is read by `read`."""

    def value_of(value: object) -> _T:
        if not isinstance(value, str):
            raise PydanticKnownError(_NOT_TEXT)
        return read(value)

    return PlainValidator(value_of, json_schema_input_type=str)


def _name(text: str) -> str:
    problems: list[str] = []
    check_text(quoted(text), text, problems)
    if problems:
        raise Mistake(code="bad-name", message=problems[0])
    return text


def _concrete_name(text: str) -> str:
    if is_pattern(_name(text)):
        raise Mistake(code="bad-name", message=f"{quoted(text)} has a wildcard; an alias is one name for one model")
    return text


def _price(text: str, maximum: Decimal, unit: str) -> int:
    price = decimal_of(text)
    if price > maximum:
        raise Mistake(code="too-large", message=f"{quoted(text)} is more than {maximum:,f} USD per {unit}")
    try:
        return usd_to_pico(price)
    except ValueError:
        raise Mistake(code="too-fine", message=f"{quoted(text)} is finer than a millionth of a millionth of a USD (12 decimals)") from None


def _price_per_mtok(text: str) -> int:
    return _price(text, _MAX_USD_PER_MTOK, "million tokens")


def _price_per_unit(text: str) -> int:
    return _price(text, _MAX_USD_PER_UNIT, "unit")


def _at_least_one(text: str) -> int:
    count = count_of(text)
    if not count:
        raise Mistake(code="too-small", message=f"{quoted(text)} must be 1 or more")
    return count


_Name = Annotated[str, _written(_name)]
_ConcreteName = Annotated[str, _written(_concrete_name)]
# None stands for a key that is absent; a key without a value is a mistake.
_OptionalName = Annotated[str | None, _written(_name)]
_OptionalCount = Annotated[int | None, _written(_at_least_one)]
_OptionalPicoUsdPerMtok = Annotated[int | None, _written(_price_per_mtok)]
_PicoUsdPerUnit = Annotated[int, _written(_price_per_unit)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WrittenPrice(_Document):
    """One dated price as written; amounts are whole pico-dollars already."""

    model: _Name
    starts: Annotated[date | datetime, _written(date_or_instant_of)] = Field(validation_alias="from")
    provider: _OptionalName = None
    context_window: _OptionalCount = None
    max_output_tokens: _OptionalCount = None
    input_usd_per_mtok: _OptionalPicoUsdPerMtok = None
    output_usd_per_mtok: _OptionalPicoUsdPerMtok = None
    cache_read_usd_per_mtok: _OptionalPicoUsdPerMtok = None
    cache_write_usd_per_mtok: _OptionalPicoUsdPerMtok = None
    usd_per_unit: dict[_Name, _PicoUsdPerUnit] = Field(default_factory=dict)

    @property
    def token_rates(self) -> Mapping[str, int]:
        """Pico-dollars of a million tokens by meter. Cached tokens without a price of their own are input tokens."""
        written = {
            "input_tokens": self.input_usd_per_mtok,
            "output_tokens": self.output_usd_per_mtok,
            "cache_read_tokens": self.cache_read_usd_per_mtok,
            "cache_write_tokens": self.cache_write_usd_per_mtok,
        }
        return {meter: price for meter, price in written.items() if price is not None}

    @property
    def key(self) -> tuple[str, str | None, datetime]:
        """What may be priced once: model, provider and the instant from which."""
        return fold(self.model), None if self.provider is None else provider_id(fold(self.provider)), start_of(self.starts, "UTC")


class WrittenPrices(_Document):
    """A prices.yaml as written."""

    version: Literal["1"]
    prices: list[WrittenPrice] = Field(default_factory=list)
    aliases: dict[_ConcreteName, _ConcreteName] = Field(default_factory=dict)


def read_prices(text: str, path: str) -> tuple[OwnPrices, tuple[Problem, ...]]:
    """The prices of a prices.yaml, and everything that is wrong with it; with problems there are no prices."""
    read = read_document(text, path, WrittenPrices)
    # What is wrong between prices is told with what is wrong in them, as far as they could be read one by one.
    prices, aliases = _readable(read.plain) if read.value is None else (dict(enumerate(read.value.prices)), read.value.aliases)
    problems = sorted([*read.problems, *_price_problems(read, prices), *_alias_problems(read, aliases)])
    if problems:
        return OwnPrices(), tuple(problems)
    targets = MappingProxyType({fold(name): target for name, target in aliases.items()})
    return OwnPrices(tuple(_own_price(written) for written in prices.values()), targets), ()


def _readable(plain: Plain) -> tuple[dict[int, WrittenPrice], dict[str, str]]:
    """The prices by place and the aliases of a document with mistakes that have none themselves."""
    document = plain if isinstance(plain, dict) else {}
    prices: dict[int, WrittenPrice] = {}
    written = document.get("prices")
    for index, item in enumerate(written if isinstance(written, list) else ()):
        with suppress(ValidationError):  # its mistakes are in the problems already
            prices[index] = WrittenPrice.model_validate(item)
    aliases = document.get("aliases")
    pairs = aliases.items() if isinstance(aliases, dict) else ()
    return prices, {name: target for name, target in pairs if isinstance(target, str)}


def _price_problems(read: Read[WrittenPrices], prices: Mapping[int, WrittenPrice]) -> Iterator[Problem]:
    first: dict[tuple[str, str | None, datetime], int] = {}
    for index, written in prices.items():
        loc: Loc = ("prices", index)
        if not written.token_rates and not written.usd_per_unit:
            message = (
                f"{quoted(written.model)} has no price; write `input_usd_per_mtok`, `output_usd_per_mtok` or `usd_per_unit`, 0 for free"
            )
            yield read.problem(loc, "no-price", message)
        for meter in written.token_rates.keys() & written.usd_per_unit.keys():
            message = f"{quoted(meter)} has a price per million tokens already"
            yield read.problem((*loc, "usd_per_unit", meter), "duplicate-price", message, key=True)
        earlier = first.setdefault(written.key, index)
        if earlier != index:
            line, _ = read.mark(("prices", earlier))
            message = f"{quoted(written.model)} has a price from {_day(written)} already, on line {line}"
            yield read.problem((*loc, "from"), "duplicate-price", message)


def _alias_problems(read: Read[WrittenPrices], aliases: Mapping[str, str]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name in aliases:
        if (earlier := first.setdefault(fold(name), name)) != name:
            message = f"{quoted(name)} is the same alias as {quoted(earlier)}; names are compared without case"
            yield read.problem(("aliases", name), "duplicate-alias", message, key=True)
    for name, target in aliases.items():
        if fold(target) == fold(name):
            yield read.problem(("aliases", name), "alias-loop", f"{quoted(name)} is an alias of itself")
        elif fold(target) in first:
            message = f"{quoted(target)} is an alias itself; name the model that it stands for"
            yield read.problem(("aliases", name), "alias-chain", message)


def _own_price(written: WrittenPrice) -> OwnPrice:
    model, provider, starts = written.key
    rates = {meter: Rate(price, _PER_MTOK) for meter, price in written.token_rates.items()}
    rates |= {unit: Rate(price, 1) for unit, price in written.usd_per_unit.items()}
    name = written.model if written.provider is None else f"{written.provider}/{written.model}"
    return OwnPrice(
        model=model,
        provider=provider,
        starts=starts,
        price=Price(f"prices.yaml {name} {_day(written)}", Frozen(rates)),
        context_window=written.context_window,
        max_output_tokens=written.max_output_tokens,
    )


def _day(written: WrittenPrice) -> str:
    return rfc3339(written.starts) if isinstance(written.starts, datetime) else written.starts.isoformat()
