"""How a client finds its broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from longshore.settings import ClientSettings, NotConfigured


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory and a home in which nothing is installed yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return tmp_path


def installed(directory: Path, url: str = "http://127.0.0.1:8123", key: str | None = "secret") -> Path:
    directory.mkdir(parents=True)
    (directory / "url").write_text(f"{url}\n")
    if key:
        (directory / "admin.token").write_text(f"{key}\n")
    return directory


def test_arguments_go_before_the_environment() -> None:
    environ = {"LONGSHORE_URL": "http://environment", "LONGSHORE_TOKEN": "theirs"}
    found = ClientSettings.find("http://argument/", "mine", environ=environ)
    assert (found.url, found.token) == ("http://argument", "mine")
    assert ClientSettings.find(environ=environ).token == "theirs"


def test_a_data_directory_in_the_current_one_is_found(here: Path) -> None:
    installed(here / "longshore-data")
    found = ClientSettings.find(environ={})
    assert (found.url, found.token) == ("http://127.0.0.1:8123", "secret")


def test_the_users_own_data_directory_is_found(here: Path) -> None:
    installed(here / ".local/share/longshore")
    assert ClientSettings.find(environ={}).token == "secret"


def test_a_data_directory_that_is_named_is_the_only_one_searched(here: Path) -> None:
    installed(here / "longshore-data")
    named = installed(here / "elsewhere", "http://127.0.0.1:9", None)
    found = ClientSettings.find(environ={"LONGSHORE_DATA_DIR": str(named)})
    assert (found.url, found.token) == ("http://127.0.0.1:9", None)


def test_the_local_key_is_never_sent_to_another_broker(here: Path) -> None:
    installed(here / "longshore-data")
    assert ClientSettings.find("https://broker.example.org", environ={}).token is None
    assert ClientSettings.find(environ={"LONGSHORE_URL": "https://broker.example.org"}).token is None
    assert ClientSettings.find("http://127.0.0.1:8123/", environ={}).token == "secret"


@pytest.mark.usefixtures("here")
def test_without_any_broker_it_says_what_to_do() -> None:
    with pytest.raises(NotConfigured, match=r"longshore up.*LONGSHORE_URL"):
        ClientSettings.find(environ={})


@pytest.mark.parametrize("url", ["broker:8080", "ftp://broker", "file:///etc/passwd"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(NotConfigured, match="http://"):
        ClientSettings.find(url, environ={})


def test_patience_is_a_number_of_seconds() -> None:
    environ = {"LONGSHORE_URL": "http://x", "LONGSHORE_PATIENCE": "2.5"}
    assert ClientSettings.find(environ=environ).patience == 2.5
    assert ClientSettings.find(patience=0, environ=environ).patience == 0
    with pytest.raises(NotConfigured, match="LONGSHORE_PATIENCE"):
        ClientSettings.find(environ=environ | {"LONGSHORE_PATIENCE": "soon"})


def test_the_token_is_not_shown() -> None:
    assert "hush" not in repr(ClientSettings("http://x", "hush"))
