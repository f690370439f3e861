"""Keys: what they open, and what is kept of them."""

import pytest
from sqlalchemy import select

from kinemark.errors import RequestError
from kinemark.server.accounts import Accounts
from kinemark.server.database import open_database
from kinemark.server.tables import API_KEYS


@pytest.fixture
def engine(database):
    return open_database(database)


def test_a_key_opens_what_it_was_made_for(engine):
    accounts = Accounts(engine)
    assert not accounts.any()
    key = accounts.create("studio", ["generate", "verify"], per_day=20)
    account = accounts.find(key)
    assert (account.name, account.scopes, account.per_day) == ("studio", {"generate", "verify"}, 20)
    assert accounts.find(key) == account  # believed, and the same
    assert accounts.any()
    assert accounts.all() == [account]


def test_nothing_is_kept_that_would_let_anybody_use_it(engine):
    key = Accounts(engine).create("studio", ["generate"])
    with engine.connect() as connection:
        (row,) = connection.execute(select(API_KEYS)).all()
    _, id_, secret = key.split("_", 2)
    assert row.id == id_
    assert secret not in str(row)
    assert len(secret) == 43


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key[:-1],
        lambda key: key + "x",
        lambda key: key.replace("km_", "sk_", 1),
        lambda _: "",
        lambda _: "km__",
    ],
)
def test_other_keys_open_nothing(engine, change):
    accounts = Accounts(engine)
    key = accounts.create("studio", ["generate"])
    assert accounts.find(change(key)) is None
    assert accounts.find(key)


def test_a_key_that_was_withdrawn(engine, monkeypatch):
    accounts, elsewhere = Accounts(engine), Accounts(engine)
    key = accounts.create("studio", ["generate"])
    account = elsewhere.find(key)
    accounts.withdraw(account.id)
    assert elsewhere.find(key) == account  # for half a minute
    monkeypatch.setattr("kinemark.server.accounts.time.monotonic", lambda: 1e12)
    assert elsewhere.find(key) is None
    assert Accounts(engine).find(key) is None
    assert accounts.all() == []
    with pytest.raises(RequestError, match=r"no key .* in force"):
        accounts.withdraw(account.id)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("studio", []), "scope is missing; allowed: generate, verify"),
        (("studio", ["generate", "admin"]), "scope is admin; allowed: generate, verify"),
        (("", ["generate"]), "name has 0 characters; give 1 to 80"),
        (("studio", ["generate"], 0), "limit is 0 a day; give 1 or more"),
    ],
)
def test_keys_that_are_not_made(engine, arguments, error):
    with pytest.raises(RequestError, match=error):
        Accounts(engine).create(*arguments)
