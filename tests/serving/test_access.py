import socket

import pytest

from pipeline_lib.errors import ConfigError
from pipeline_lib.serving.access import Access, choose_token
from pipeline_lib.serving.address import Address, listen, require_token, resolve, url
from pipeline_lib.serving.command import access_rules
from tests.serving.site import client, opened

TOKEN = "correct-horse-battery"
ROUTES = ("/", "/static/main.js", "/api/info", "/api/search?q=frame+1", "/api/frame/0/0.jpg",
          "/media/0", "/nothing")  # fmt: skip


@pytest.fixture
def locked(made):
    with client(opened(made / "out"), Access(token=TOKEN)) as asking:
        yield asking


@pytest.mark.parametrize(
    "path",
    [
        "/media/../../etc/passwd",
        "/media/..%2f..%2fetc%2fpasswd",
        "/media/%2e%2e/%2e%2e/etc/passwd",
        "/media/%252e%252e%252fetc%252fpasswd",
        "/media/..%5c..%5cetc%5cpasswd",
        "/media//etc/passwd",
        "/media/0/../../../etc/passwd",
        "/media/0%00.mp4",
        "/media/%c0%ae%c0%ae/etc/passwd",
        "/media/file:///etc/passwd",
        "/static/../serving/site.py",
        "/static/..%2fsite.py",
        "/static/%2e%2e/site.py",
        "/static//etc/passwd",
        "/static/locked.html",
        "/api/frame/0/../../media/1.jpg",
        "/api/frame/..%2f..%2fetc/passwd.jpg",
        "/api/frame/0/%2e%2e%2fetc%2fpasswd.jpg",
        "/../../etc/passwd",
        "//etc/passwd",
    ],
)
def test_no_path_leads_to_another_file(page, path):
    # As it is: clients would tidy it up.
    answer = page.build_request("GET", "http://127.0.0.1:8765/")
    answer.url = answer.url.copy_with(raw_path=path.encode())
    got = page.send(answer)
    assert got.status_code in (404, 422)
    assert got.headers["content-type"] == "application/json"
    assert "root:" not in got.text
    assert "import" not in got.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/", "/api/search?q=frame+1", "/media/0", "/nothing"])
def test_nothing_can_be_sent(page, method, path):
    answer = page.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("127.1.2.3", 200),
        ("[::1]:8765", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:8765", 403),
        ("evil.example#127.0.0.1", 403),
        ("user@localhost", 403),
        ("0.0.0.0:8765", 403),
        ("192.168.0.7:8765", 403),
        ("2130706433", 403),
        ("127.0.0.1:port", 403),
        ("localhost, evil.example", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_only_names_of_this_machine(page, host, status):
    for path in ("/", "/api/info"):
        answer = page.get(path, headers={"Host": host})
        assert answer.status_code == status
        if status == 403:
            assert answer.json()["kind"] == "host"


def test_two_names_are_none(page):
    for second in ("127.0.0.1", "evil.example"):
        answer = page.get("/", headers=[("Host", "127.0.0.1"), ("Host", second)])
        assert answer.status_code == 403


def test_every_answer_has_the_headers(page):
    for path in (*ROUTES, "/media/9"):
        for headers in ({}, {"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            answer = page.get(path, headers=headers)
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self';")
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ROUTES)
def test_every_route_needs_the_token(locked, path):
    answer = locked.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert TOKEN not in answer.text
    for wrong in ("Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ü"):
        answer = locked.get(path, headers={"Authorization": wrong.encode()})
        assert answer.status_code == 401
    right = locked.get(path, headers={"Authorization": f"Bearer {TOKEN}"})
    assert right.status_code == (404 if path == "/nothing" else 200)


def test_the_token_leaves_the_address(locked):
    answer = locked.get(f"/?q=frame+1&token={TOKEN}&video=0")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?q=frame+1&video=0"
    assert answer.headers["cache-control"] == "no-store"
    cookie = answer.headers["set-cookie"]
    assert TOKEN not in cookie
    for part in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookie
    assert locked.get("/api/info").status_code == 200
    locked.cookies.clear()
    assert locked.get("/api/info").status_code == 401


def test_the_token_opens_nothing_that_is_sent(locked):
    answer = locked.post(f"/?token={TOKEN}")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_servers_side_by_side_do_not_take_each_others_cookies(made, locked):
    with client(opened(made / "out"), Access(token=TOKEN[::-1])) as other:
        names = [
            asked.get(f"/?token={token}").headers["set-cookie"].partition("=")[0]
            for asked, token in ((locked, TOKEN), (other, TOKEN[::-1]))
        ]
    assert names[0] != names[1]


def test_redirects_stay_here(locked):
    for path in ("//evil.example/", "/\\evil.example", "/%5cevil.example/x"):
        request = locked.build_request("GET", "http://127.0.0.1:8765/")
        request.url = request.url.copy_with(raw_path=f"{path}?token={TOKEN}".encode())
        place = locked.send(request).headers["location"]
        assert place.startswith("/")
        assert place[1] not in "/\\"


@pytest.mark.parametrize(
    "query", ["token=", "token=wrong", f"token={TOKEN}&token={TOKEN}", "token=%ff", "token=%00"]
)
def test_a_wrong_token_in_the_address(locked, query):
    assert locked.get(f"/api/info?{query}").status_code == 401


@pytest.mark.parametrize("cookie", [TOKEN, "x" * 64, '"', "\x7f"])
def test_a_wrong_cookie(locked, cookie):
    name = locked.get(f"/?token={TOKEN}").headers["set-cookie"].partition("=")[0]
    locked.cookies.clear()
    sent = {"Cookie": f"{name}={cookie}".encode()}
    assert locked.get("/api/info", headers=sent).status_code == 401


def test_a_browser_without_the_token_is_told_in_words(locked):
    answer = locked.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, "needs its token" in answer.text) == (401, True)


def test_the_token_does_not_open_other_names(locked):
    headers = {"Host": "evil.example", "Authorization": f"Bearer {TOKEN}"}
    assert locked.get("/api/info", headers=headers).status_code == 403


def test_tokens(tmp_path):
    assert choose_token(None, None) is None
    assert choose_token(TOKEN, None) == TOKEN
    drawn = {choose_token("auto", None) for _ in range(4)}
    assert len(drawn) == 4
    assert min(map(len, drawn)) >= 32
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert choose_token(None, file) == TOKEN
    assert TOKEN not in repr(Access(token=TOKEN))


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "ünicode-is-no-token", "two words " * 3])
def test_tokens_that_are_refused(token, tmp_path):
    with pytest.raises(ConfigError, match="--token: a token has at least 16 characters"):
        choose_token(token, None)
    (tmp_path / "t").write_text(token)
    with pytest.raises(ConfigError, match="/t: a token has at least 16 characters"):
        choose_token(None, tmp_path / "t")


def test_two_tokens_and_none(tmp_path):
    with pytest.raises(ConfigError, match="name two tokens"):
        choose_token(TOKEN, tmp_path / "t")
    with pytest.raises(ConfigError, match=r"--token-file .*: not readable"):
        choose_token(None, tmp_path / "t")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine_needs_no_token(host):
    address = resolve(host, 0)
    assert address.loopback
    require_token(address, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "", "fe80::1", "0"])
def test_other_addresses_need_a_token(host):
    address = resolve(host, 0) if host else resolve("0.0.0.0", 0)
    with pytest.raises(ConfigError, match="without a token") as refused:
        require_token(address, None)
    assert "--token auto" in refused.value.hint
    require_token(address, TOKEN)


def test_a_name_is_safe_only_where_all_its_addresses_are(monkeypatch):
    def both(*_: object, **__: object) -> list[tuple]:
        return [(2, 1, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", ("192.0.2.7", 0))]

    monkeypatch.setattr("socket.getaddrinfo", both)
    assert not resolve("somewhere", 0).loopback


def test_an_unknown_host():
    with pytest.raises(ConfigError, match=r"--host no\.such\.host\.invalid: not found"):
        resolve("no.such.host.invalid", 0)


def test_a_port_that_is_taken():
    with listen(resolve("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port}: another program listens"):
            listen(resolve("127.0.0.1", port))


def test_answers_are_sent_without_delay():
    # What asyncio looks at before it turns Nagle's algorithm off.
    with listen(resolve("127.0.0.1", 0)) as bound:
        assert bound.proto == socket.IPPROTO_TCP


def test_an_address_of_another_machine():
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.7"):
        listen(resolve("192.0.2.7", 0))


def test_names_of_a_server_for_others():
    everywhere = access_rules(resolve("0.0.0.0", 0), TOKEN)
    assert everywhere.knows("192.0.2.7:8765")
    assert not everywhere.knows("evil.example")
    named = access_rules(Address("box.lan", "192.0.2.7", 0, loopback=False), TOKEN)
    assert named.knows("box.lan:80")
    assert named.knows("192.0.2.7")
    assert not named.knows("192.0.2.8")


def test_addresses_to_open():
    assert url(resolve("::1", 0), 8765, None) == "http://[::1]:8765/"
    assert url(resolve("127.0.0.1", 0), 1, TOKEN) == f"http://127.0.0.1:1/?token={TOKEN}"
