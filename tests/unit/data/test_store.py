"""Files of real data: found, downloaded, or refused; against a server on this machine that misbehaves as told."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from structgrad.data import store
from structgrad.data.store import CorruptDataError, DataFile, MissingDataError
from structgrad.errors import UserError

CONTENT = b"what was published\n" * 1000


class Server(ThreadingHTTPServer):
    """Answers each request with the next of ``answers``, (status, body, claimed length), and counts them."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked = [], []

    def address(self, name="a.txt"):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.asked.append(self.path)
        status, body, length = self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A cache of its own, no folder named, and no waiting."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("STRUCTGRAD_DATA", raising=False)
    monkeypatch.setattr(store, "PAUSE", 0.0)
    monkeypatch.setattr(store, "TIMEOUT", 120.0)  # for a machine that is busy
    store.forget_archive()


def the_file(*addresses, canonical=store.as_it_is):
    digest = hashlib.sha256(CONTENT).hexdigest()
    return DataFile("sets/a.txt", digest, addresses or ("http://127.0.0.1:1/a.txt",), canonical)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The user's own folder."""
    folder = tmp_path / "mine"
    (folder / "sets").mkdir(parents=True)
    monkeypatch.setenv("STRUCTGRAD_DATA", str(folder))
    return folder


def test_a_download_is_kept_in_the_cache_and_not_asked_for_again(server, tmp_path):
    server.answers = [(200, CONTENT, None)]
    file = the_file(server.address())
    assert store.fetch(file).content == CONTENT
    assert store.fetch(file).path == tmp_path / "cache/structgrad/data/sets/a.txt"
    assert len(server.asked) == 1
    assert [path.name for path in (tmp_path / "cache/structgrad/data/sets").iterdir()] == ["a.txt"]


def test_the_named_folder_comes_first_and_is_never_written_to(server, mine):
    file = the_file(server.address())
    server.answers = [(200, CONTENT, None)]
    assert store.fetch(file).path == store.cache() / file.path  # it lacks the file: downloaded, but not to there
    assert list((mine / "sets").iterdir()) == []
    (mine / file.path).write_bytes(CONTENT)
    assert store.fetch(file).path == mine / file.path


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b""], ids=["truncated", "longer", "empty"])
def test_a_damaged_file_is_refused_by_name_and_stays_as_it_is(server, mine, content):
    file = the_file(server.address())
    (mine / file.path).write_bytes(content)
    for use in (store.find, store.fetch):
        with pytest.raises(CorruptDataError) as raised:
            use(file)
        told = str(raised.value)
        assert str(mine / file.path) in told
        assert hashlib.sha256(content).hexdigest()[:12] in told
        assert file.sha256[:12] in told
        assert "\n" not in told
    assert (mine / file.path).read_bytes() == content
    assert server.asked == []


def test_a_damaged_file_in_the_cache_is_refused_too(server):
    file = the_file(server.address())
    (store.cache() / "sets").mkdir(parents=True)
    (store.cache() / file.path).write_bytes(b"half")
    with pytest.raises(CorruptDataError, match="structgrad data fetch"):
        store.fetch(file)
    assert server.asked == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, b"something else", None), "sha256 .* instead of"),
        ((200, CONTENT[:100], len(CONTENT)), f"after 100 of {len(CONTENT)} bytes"),
        ((404, b"", None), "HTTP status 404"),
        ((503, b"", None), "HTTP status 503"),
    ],
    ids=["wrong bytes", "truncated", "not found", "server fault"],
)
def test_what_is_not_the_published_file_is_not_kept(server, answer, told):
    server.answers = [answer] * store.ATTEMPTS
    file = the_file(server.address())
    with pytest.raises(MissingDataError, match=told) as raised:
        store.fetch(file)
    line = str(raised.value)
    assert "\n" not in line
    assert all(word in line for word in (file.path, server.address(), "STRUCTGRAD_DATA", "structgrad data fetch"))
    assert not store.cache().exists()
    assert len(server.asked) == (1 if answer[0] == 404 else store.ATTEMPTS)


@pytest.mark.parametrize("first", [(503, b"", None), (429, b"", None), (200, b"wrong", None), (200, b"w", 9)])
def test_a_passing_fault_is_tried_again(server, first):
    server.answers = [first, (200, CONTENT, None)]
    assert store.fetch(the_file(server.address())).content == CONTENT
    assert len(server.asked) == 2


def test_the_second_address_is_asked_when_the_first_has_nothing(server):
    server.answers = [(404, b"", None), (200, CONTENT, None)]
    assert store.fetch(the_file(server.address("old.txt"), server.address("new.txt"))).content == CONTENT
    assert server.asked == ["/old.txt", "/new.txt"]


def test_a_host_that_does_not_answer_is_asked_about_one_file_only(monkeypatch):
    asked = []

    def refuse(address, timeout):
        asked.append(address)
        raise store.URLError(TimeoutError("timed out"))

    monkeypatch.setattr(store, "urlopen", refuse)
    silent = {}
    for _ in range(3):
        with pytest.raises(MissingDataError, match=r"far.example: timed out"):
            store.fetch(the_file("http://far.example/a.txt"), silent)
    assert len(asked) == store.ATTEMPTS
    with pytest.raises(MissingDataError):
        store.fetch(the_file("http://far.example/a.txt"))  # who does not remember asks again
    assert len(asked) == 2 * store.ATTEMPTS


def test_a_host_that_has_another_file_is_asked_about_the_next(server):
    server.answers = [(404, b"", None), (200, CONTENT, None)]
    silent = {}
    with pytest.raises(MissingDataError):
        store.fetch(the_file(server.address("gone.txt")), silent)
    assert store.fetch(the_file(server.address()), silent).content == CONTENT


def test_the_digest_is_that_of_the_canonical_content(server, mine):
    def canonical(raw):
        return raw.replace(b"\r\n", b"\n")

    file = the_file(server.address(), canonical=canonical)
    server.answers = [(200, CONTENT.replace(b"\n", b"\r\n"), None)]
    found = store.fetch(file)
    assert found.content == found.path.read_bytes() == CONTENT
    (mine / file.path).write_bytes(CONTENT.replace(b"\n", b"\r\n"))
    assert store.find(file) == store.Found(mine / file.path, CONTENT)


def test_what_cannot_be_read_is_a_users_error(mine):
    (mine / "sets/a.txt").mkdir()
    with pytest.raises(UserError, match=r"a\.txt cannot be read"):
        store.find(the_file())


def test_progress_is_shown_on_a_terminal_only(server, capsys, monkeypatch):
    server.answers = [(200, CONTENT, None)] * 2
    store.fetch(the_file(server.address()))
    assert capsys.readouterr() == ("", "")
    (store.cache() / "sets/a.txt").unlink()
    monkeypatch.setattr(store.sys.stderr, "isatty", lambda: True)
    store.fetch(the_file(server.address()))
    assert "sets/a.txt: 0.0 MB" in capsys.readouterr().err


def archive(**contents):
    """A .tar.gz archive of files in a folder ``in``, beside a link that is none of them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as made:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"in/{name}")
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("in/link")
        link.type, link.linkname = tarfile.SYMTYPE, "one"
        made.addfile(link)
    return packed.getvalue()


def a_member(name, content, *addresses):
    return DataFile(f"sets/{name}.txt", hashlib.sha256(content).hexdigest(), addresses, member=f"in/{name}")


def test_the_files_of_an_archive_are_one_download(server):
    contents = {name: name.encode() * 1000 for name in ("one", "two", "three")}
    server.answers = [(200, archive(**contents), None)]
    for name, content in contents.items():
        found = store.fetch(a_member(name, content, server.address("all.tar.gz")))
        assert found == store.Found(store.cache() / f"sets/{name}.txt", content)
        assert found.path.read_bytes() == content
    assert server.asked == ["/all.tar.gz"]
    assert len(list((store.cache() / "sets").iterdir())) == 3  # nothing else is unpacked


def test_an_archive_that_was_forgotten_is_downloaded_again(server):
    server.answers = [(200, archive(one=b"1", two=b"2"), None)] * 2
    store.fetch(a_member("one", b"1", server.address()))
    store.forget_archive()
    store.fetch(a_member("two", b"2", server.address()))
    assert len(server.asked) == 2


def wrong_checksum(packed):
    return packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:-1],
        wrong_checksum,
        lambda packed: packed[:10] + b"\xff" * 20 + packed[30:],
        lambda _: b"<html>busy</html>",
        lambda _: b"",
        lambda _: gzip.compress(b"x" * 2000),
        lambda _: gzip.compress(b""),
    ],
    ids=["half", "last byte", "checksum", "deflate", "a page", "empty", "no tar", "empty tar"],
)
def test_a_broken_archive_is_tried_again_and_not_remembered(server, spoil):
    whole = archive(one=CONTENT)
    server.answers = [(200, spoil(whole), None)] * store.ATTEMPTS
    file = a_member("one", CONTENT, server.address("all.tar.gz"))
    with pytest.raises(MissingDataError, match=r"what it sends is no whole \.tar\.gz archive: .") as raised:
        store.fetch(file)
    assert "\n" not in str(raised.value)
    assert len(server.asked) == store.ATTEMPTS
    assert not store.cache().exists()
    server.answers = [(200, spoil(whole), None), (200, whole, None)]
    assert store.fetch(file).content == CONTENT


def test_a_passing_fault_of_an_archives_host_is_tried_again(server):
    server.answers = [(503, b"", None), (200, archive(one=CONTENT)[:50], 99), (200, archive(one=CONTENT), None)]
    assert store.fetch(a_member("one", CONTENT, server.address())).content == CONTENT


@pytest.mark.parametrize("name", ["four", "link", "../in/one"])
def test_a_member_that_an_archive_lacks_is_named_and_the_archive_not_asked_for_again(server, name):
    server.answers = [(200, archive(one=b"1"), None)]
    for _ in range(2):
        with pytest.raises(MissingDataError, match=rf"the archive it sends has no in/{name}"):
            store.fetch(a_member(name, CONTENT, server.address()))
    assert len(server.asked) == 1


def test_an_archive_that_is_broken_within_a_member_is_refused(server):
    content = CONTENT * 10
    whole, packer = archive(one=content), zlib.compressobj(wbits=31)
    half = packer.compress(gzip.decompress(whole)[: len(content) // 2]) + packer.flush(zlib.Z_SYNC_FLUSH)
    server.answers = [(200, half + b"\x07" * 100, None), (200, whole, None)]  # 7: no type of a block
    assert store.fetch(a_member("one", content, server.address())).content == content
    assert len(server.asked) == 2


def test_a_member_of_another_content_is_not_kept_and_the_next_address_is_asked(server, monkeypatch):
    monkeypatch.setattr(store.time, "sleep", lambda _: pytest.fail("waited for what cannot change"))
    server.answers = [(200, archive(one=b"other"), None), (200, archive(one=CONTENT), None)]
    old, new = server.address("old.tar.gz"), server.address("new.tar.gz")
    with pytest.raises(MissingDataError, match=r"in/one in the archive it sends has sha256 \w{12} instead of"):
        store.fetch(a_member("one", CONTENT, old))
    assert not store.cache().exists()
    assert store.fetch(a_member("one", CONTENT, old, new)).content == CONTENT
    assert server.asked == ["/old.tar.gz", "/new.tar.gz"]


def test_the_advice_says_what_to_extract_and_where_to(mine):
    file = a_member("one", CONTENT, "http://far.example/all.tar.gz")
    assert "or extract in/one from http://far.example/all.tar.gz and save it as sets/one.txt in a folder" in file.advice
    assert "or save http://far.example/a.txt as sets/a.txt in a folder" in the_file("http://far.example/a.txt").advice
    (mine / file.path).write_bytes(CONTENT)  # as it advises
    assert store.fetch(file).content == CONTENT


def test_addresses_may_be_asked_for_only_when_they_are_needed(server, mine):
    asked = []

    def addresses():
        asked.append(1)
        return (server.address(),)

    file = DataFile("sets/a.txt", hashlib.sha256(CONTENT).hexdigest(), addresses)
    assert store.find(file) is None
    (mine / file.path).write_bytes(CONTENT)
    assert {file: store.fetch(file).content} == {file: CONTENT}
    assert asked == []
    (mine / file.path).unlink()
    assert file.places == (server.address(),)
    assert server.address() in file.advice
    server.answers = [(200, CONTENT, None)]
    assert store.fetch(file).content == CONTENT


@pytest.mark.parametrize(("variable", "place"), [("STRUCTGRAD_DATA", store.named), ("XDG_CACHE_HOME", store.cache)])
def test_a_home_that_does_not_exist_is_named(monkeypatch, variable, place):
    monkeypatch.setenv(variable, "~nobody-of-that-name/data")
    with pytest.raises(UserError, match=rf"^{variable}: '~nobody-of-that-name/data' names the home of a user who"):
        place()
