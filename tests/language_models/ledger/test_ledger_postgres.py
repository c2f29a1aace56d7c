"""A ledger on a PostgreSQL server: lost connections, commits whose confirmation got lost, and passwords never shown."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress

import psycopg
import pytest

from language_models.ledger import Ledger, Totals
from language_models.ledger.address import Address
from language_models.ledger.writer import Writer
from schemas.errors import StoreError
from tests.language_models.ledger.workers import make_answer, make_call
from tests.support.postgres import postgres_server

PASSWORD = "p%40ss-word"


@pytest.fixture
def where(postgres):
    return postgres.empty()


def end_connections(where, of="worker-%"):
    """As an administrator, or a network that fails, would; returns how many there were."""
    query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE %s"
    with psycopg.connect(where, autocommit=True) as administrator:
        return len(administrator.execute(query, (of,)).fetchall())


def test_a_lost_connection_is_made_again_and_the_worker_still_lives(where):
    with Ledger(where) as ledger, Ledger(where) as another:
        ledger.lease([make_call("a")])
        assert end_connections(where) == 4
        assert ledger.totals() == Totals(reserved_usd=0.5)
        assert ledger.lease([make_call("b")]).taken == ["b"]
        assert another.lease([make_call("a"), make_call("b")]).held == ["a", "b"]
        ledger.respond([make_answer("a"), make_answer("b")])
        assert another.totals() == Totals(spent_usd=0.5)


def test_a_connection_that_is_lost_within_a_transaction_takes_all_of_it_along(where):
    with Ledger(where) as ledger:
        ledger.lease([make_call("a")])

        def be_cut_off():
            with ledger.transaction():
                ledger.respond([make_answer("a")])
                end_connections(where)
                ledger.lease([make_call("b")])

        with pytest.raises(StoreError, match="every answer so far is kept"):
            be_cut_off()
        assert ledger.totals() == Totals(reserved_usd=0.5)
        ledger.respond([make_answer("a")])
        assert ledger.totals() == Totals(spent_usd=0.25)


def test_a_writer_goes_on_after_a_lost_connection(where):
    with Ledger(where) as ledger, Writer(ledger) as writer:
        futures = []
        for number in range(200):
            futures.append(writer.lease([make_call(f"k{number}")]))
            if number % 50 == 25:
                end_connections(where)
        assert all(future.result().taken for future in futures)
        assert ledger.totals() == Totals(reserved_usd=100.0)


def test_a_server_that_restarts_is_waited_for():
    with postgres_server() as server, Ledger(server.empty()) as ledger:
        ledger.lease([make_call("a")])
        server.stop()
        back = threading.Thread(target=lambda: (time.sleep(1.0), server.start()))
        back.start()
        ledger.respond([make_answer("a")])
        back.join()
        assert ledger.totals() == Totals(spent_usd=0.25)


class ForgetfulProxy:
    """Passes bytes on between a worker and the server; when told so, it cuts the line instead of passing on the
    server's reply to the next COMMIT."""

    def __init__(self, port: int) -> None:
        self.port, self.forget, self.swallow = port, False, False
        self.listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source, target, from_client):
        try:
            while data := source.recv(65536):
                if self.forget and from_client and b"COMMIT\0" in data:
                    self.forget = False
                    if self.swallow:
                        break
                    target.sendall(data)
                    target.settimeout(5)
                    target.recv(65536)  # it is committed; nobody is told
                    break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(postgres):
    proxy = ForgetfulProxy(postgres.port)
    yield proxy
    proxy.listening.close()


def through(proxy, where):
    return (
        where.replace(where.rsplit(":", 1)[1].split("/")[0], str(proxy.listening.getsockname()[1])) + "?sslmode=disable"
    )


def test_a_commit_whose_confirmation_got_lost_is_looked_up_and_not_made_twice(where, proxy):
    with Ledger(through(proxy, where)) as ledger, Writer(ledger) as writer:
        ledger.lease([make_call("a"), make_call("b")])
        proxy.forget = True
        writer.respond([make_answer("a")]).result()
        assert not proxy.forget, "it was cut"
        assert ledger.totals() == Totals(spent_usd=0.25, reserved_usd=0.5)
        assert len(ledger.answers("a")["a"]) == 1


def test_a_commit_that_never_arrived_is_an_error_and_made_again_by_the_writer(where, proxy):
    with Ledger(through(proxy, where)) as ledger:
        ledger.lease([make_call("a"), make_call("b")])
        proxy.forget = proxy.swallow = True
        with pytest.raises(StoreError, match="ledger"):
            ledger.respond([make_answer("a")])
        assert ledger.answers("a") == {}
        with Writer(ledger) as writer:
            proxy.forget = True
            both = [writer.respond([make_answer(key)]) for key in "ab"]
            [future.exception() for future in both]
            kept = [key for key, future in zip("ab", both, strict=True) if future.exception() is None]
            assert sorted(ledger.answers("ab")) == kept


def test_a_worker_that_stalls_within_a_transaction_does_not_stop_the_others(where):
    with Ledger(where) as stalled, Ledger(where) as another:
        stalled._database._writes.execute("SET idle_in_transaction_session_timeout = '300ms'")  # a minute, otherwise

        def stall():
            with stalled.transaction():
                stalled.lease([make_call("a")])
                taken.extend(another.lease([make_call("a")]).taken)  # after waiting for its turn
                stalled.lease([make_call("b")])

        taken: list[str] = []
        with pytest.raises(StoreError):
            stall()
        assert taken == ["a"]
        assert stalled.lease([make_call("b")]).taken == ["b"]


def test_a_newer_ledger_is_refused(where):
    Ledger(where).close()
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("UPDATE loregraph.ledger_version SET version = 99")
    with pytest.raises(StoreError, match="version 99 is newer than this program's 2; upgrade loregraph"):
        Ledger(where)


def test_other_tables_of_the_database_are_left_alone(where):
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("CREATE TABLE calls (number BIGINT)")
    with Ledger(where) as ledger:
        ledger.lease([make_call("a")])
    with psycopg.connect(where) as connection:
        assert connection.execute("SELECT count(*) FROM calls").fetchone() == (0,)
        assert connection.execute('SELECT "user" FROM loregraph.calls').fetchone() == (make_call("a").prompt.user,)


# ---- what is wrong with an address is said, without its password


def test_a_server_that_is_not_there_is_named(postgres):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        where = f"postgresql://reader:{PASSWORD}@127.0.0.1:{closed.getsockname()[1]}/lore"
        said = refusal(where)
    assert "postgresql://reader@127.0.0.1:" in said
    assert "start the server, or check the address (`llm.ledger` in the run file)" in said


def test_a_database_that_is_not_there_is_named(postgres):
    said = refusal(f"postgresql://postgres:{PASSWORD}@127.0.0.1:{postgres.port}/nothing")
    assert 'database "nothing" does not exist' in said
    assert "create the database" in said


def test_a_user_who_may_not_enter_is_named(postgres):
    said = refusal(f"postgresql://nobody:{PASSWORD}@127.0.0.1:{postgres.port}/postgres")
    assert 'role "nobody" does not exist' in said
    assert "check the user and password" in said


def test_a_user_who_may_not_make_tables_is_told_what_to_ask_for(where):
    with psycopg.connect(where, autocommit=True) as administrator:
        administrator.execute("DROP ROLE IF EXISTS reader")
        administrator.execute("CREATE ROLE reader LOGIN")
    said = refusal(where.replace("postgres:secret-of-tests", f"reader:{PASSWORD}"))
    assert "permission denied" in said
    assert "grant the user CREATE on the database" in said


def test_a_server_that_takes_no_writes_is_named(where):
    said = refusal(f"{where}?options=-c%20default_transaction_read_only%3Don")
    assert "read-only transaction; give the address of a server that can be written to" in said


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:p@ss-word@127.0.0.1/lore",
        "postgresql://user:p/ss-word@127.0.0.1/lore",
        "postgresql://user:p#ss-word@127.0.0.1/lore",
        "postgresql://user:p?ss-word@127.0.0.1/lore",
        "postgresql://user:p%ss-word@127.0.0.1:1/lore",
        "postgresql://user@127.0.0.1:ss-word/lore",
        "postgresql://user@[ss-word/lore",
        "postgresql://127.0.0.1:1/lore?password=ss-word",
        "postgresql://127.0.0.1:1/lore?user=x&sslpassword=ss-word",
    ],
)
def test_no_part_of_an_address_with_a_mistake_in_it_is_repeated(address):
    with pytest.raises(StoreError) as refused:
        Ledger(address)
    assert "ss-word" not in "".join(traceback.format_exception(refused.value))


def test_the_password_is_in_nothing_that_is_shown(postgres, where):
    where = where.replace("secret-of-tests", PASSWORD)
    with Ledger(where) as ledger:
        assert ledger.where == f"postgresql://postgres@127.0.0.1:{postgres.port}/{where.rsplit('/', 1)[1]}"
    with pytest.raises(StoreError, match="open it again") as refused:
        ledger.totals()
    assert "ss-word" not in "".join(traceback.format_exception(refused.value))
    address = Address.parse(where)
    assert "ss-word" not in repr(address)
    assert address.scrub(f"no entry for p@ss-word, {PASSWORD}") == "no entry for ***, ***"


def test_without_psycopg_the_extra_is_named():
    script = "import sys; sys.modules['psycopg'] = None; from language_models.ledger import Ledger; Ledger(sys.argv[1])"
    command = [sys.executable, "-c", script, f"postgresql://u:{PASSWORD}@127.0.0.1/lore"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "StoreError: ledger: a postgresql:// address needs psycopg; pip install 'loregraph[postgres]'" in done.stderr
    assert "ss-word" not in done.stderr


def test_the_ledger_is_imported_without_a_driver():
    script = "import sys, language_models.ledger, language_models.ledger.writer; print('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"


def refusal(where):
    with pytest.raises(StoreError) as refused:
        Ledger(where)
    assert "ss-word" not in "".join(traceback.format_exception(refused.value))
    return str(refused.value)
