import pytest

from tests.kit import serving

KEYS = {"api_keys": "one,two", "admin_keys": "root"}


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 401, "missing_api_key"),
        ("Bearer three", 401, "invalid_api_key"),
        ("Bearer on", 401, "invalid_api_key"),
        ("Bearer ", 401, "invalid_api_key"),
        ("Bearer \xe9", 401, "invalid_api_key"),
        ("Basic one", 401, "invalid_api_key"),
        ("Bearer one", 200, None),
        ("bearer  two ", 200, None),
        ("Bearer root", 200, None),
    ],
)
async def test_callers_need_a_key(header: str | None, status: int, code: str | None) -> None:
    async with serving(flags=KEYS) as kit:
        headers = [] if header is None else [(b"Authorization", header.encode("latin-1"))]
        reply = await kit.client.get("/v1/models", headers=headers)
    assert reply.status_code == status
    assert reply.json().get("error", {}).get("code") == code
    assert ("www-authenticate" in reply.headers) is (status == 401)


async def test_probes_are_open_and_everything_else_is_not() -> None:
    async with serving(flags=KEYS) as kit:
        opened = [await kit.client.get(path) for path in ("/health", "/ready", "/metrics", "/openapi.json")]
        shut = [await kit.client.get(path) for path in ("/nothing", "/", "/v1/models/x", "//health", "/health/")]
        body = await kit.client.post("/v1/chat/completions", content=b"{")
    assert {reply.status_code for reply in opened} == {200}
    assert {reply.status_code for reply in shut} == {401}
    assert body.status_code == 401


async def test_without_keys_the_api_is_open() -> None:
    async with serving() as kit:
        assert (await kit.client.get("/v1/models")).status_code == 200


async def test_administration_needs_an_administrators_key() -> None:
    path = "/v1/midcourse/policy"
    async with serving(flags=KEYS) as kit:
        callers = await kit.client.get(path, headers={"Authorization": "Bearer one"})
        theirs = await kit.client.get(path, headers={"Authorization": "Bearer root"})
    async with serving(flags={"admin_keys": "root"}) as kit:
        nobody = await kit.client.get(path)
        model = await kit.client.get("/v1/models")
    assert (callers.status_code, theirs.status_code) == (401, 200)
    assert (nobody.status_code, model.status_code) == (401, 200)


async def test_without_an_administrators_key_there_is_no_administration() -> None:
    async with serving() as kit:
        for method, path in (("GET", "policy"), ("POST", "policy/reload"), ("GET", "traces/x")):
            reply = await kit.client.request(method, f"/v1/midcourse/{path}")
            assert reply.status_code == 403
            assert "MIDCOURSE_ADMIN_KEYS" in reply.json()["error"]["message"]
