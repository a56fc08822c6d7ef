"""The policy set in force, with its prices: loaded from a folder once, and from the ledger whenever another one was published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from guardrails.core.call import Call
from guardrails.core.model_name import fold
from guardrails.core.provider_name import provider_id
from guardrails.engine.candidate import Ruleset
from guardrails.ledger.publications import Publication
from guardrails.policy.load import load_files
from guardrails.policy.rules import PolicySet
from guardrails.pricing.book import PriceBook
from guardrails.pricing.price import Quote

PRICES = "prices.yaml"


@dataclass(frozen=True, slots=True)
class ActiveSet:
    """Everything that decides, under one generation."""

    generation: int
    ruleset: Ruleset
    prices: PriceBook

    @property
    def policies(self) -> PolicySet:
        """The rules as they were loaded."""
        return self.ruleset.policies

    def quotes_at(self, at: datetime) -> Quotes:
        """The price book at one instant."""
        return Quotes(self.prices, at)


@dataclass(frozen=True, slots=True)
class Quotes:
    """What the price book says at one instant, of the model asked for and of those that it may be downgraded to."""

    prices: PriceBook
    at: datetime

    def __call__(self, call: Call, model: str) -> Quote:
        """A quote for `model` in the place of the call's own, where it would run.

        That is the call's own provider, else the one that the model's name means, as far as the caller can reach them; else
        the first of those that the caller can reach which has the model. What runs at none of them is quoted as its name means.
        """
        if model == call.model and (call.provider is not None or call.providers is None):
            return self._quote(call, model, call.provider)
        reachable = None if call.providers is None else {provider_id(fold(provider)): provider for provider in call.providers}
        own = call.provider if call.provider is not None else self.prices.provider_named(call.model)
        # The target of a downgrade need not run where the requested model would have run.
        if own is not None and model != call.model and (reachable is None or provider_id(fold(own)) in reachable):
            quote = self._quote(call, model, own)
            if quote.price is not None and self.prices.runs_at(model, own) is not False:
                return quote
        by_name = self._quote(call, model, None)
        if reachable is None or (by_name.provider in reachable and by_name.price is not None):
            return by_name
        for provider in reachable.values():
            quote = self._quote(call, model, provider)
            if quote.price is not None and self.prices.runs_at(model, provider):
                return quote
        return by_name

    def _quote(self, call: Call, model: str, provider: str | None) -> Quote:
        return self.prices.quote(model, provider=provider, service_tier=call.service_tier, operation=call.operation, at=self.at)

    def of(self, model: str, provider: str | None, operation: str, service_tier: str | None = None) -> Quote:
        """A quote for usage that ran."""
        return self.prices.quote(model, provider=provider, operation=operation, service_tier=service_tier, at=self.at)


def active_set(policies: PolicySet, prices: PriceBook, generation: int, eras: Mapping[str, tuple[str, int]]) -> ActiveSet:
    """A loaded set as of a publication."""
    return ActiveSet(generation, Ruleset(policies, {rule: era for rule, (_, era) in eras.items()}), prices)


def from_publication(publication: Publication) -> ActiveSet:
    """The set that the ledger names."""
    policies = load_files(publication.files)
    return active_set(policies, open_prices(policies), publication.generation, publication.eras)


def open_prices(policies: PolicySet) -> PriceBook:
    """The price book of a policy set: its own prices.yaml over the shipped ones."""
    return PriceBook.open(policies.files.get(PRICES), PRICES)


def fingerprints(policies: PolicySet) -> dict[str, str]:
    """What tells whether a rule's balances go on."""
    return {rule.id: rule.fingerprint for rule in policies.rules}
