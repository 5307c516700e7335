"""schemathesis plays every request that our own description allows, and many that it does not."""

import asyncio
import sys
from pathlib import Path

from tests.kit import CALM, CUED, listening

# A description cannot say everything that is checked (n within the settings, ids within the vocabulary, top_logprobs
# only with logprobs), so a request that fits the description may still get its 400.
UNTRUE_HERE = "positive_data_acceptance"


async def test_no_request_breaks_the_server_and_every_answer_is_as_described(tmp_path: Path) -> None:
    async with listening(CALM, CUED, flags={"admin_keys": "root"}) as kit:
        command = ["run", f"{kit.client.base_url}/openapi.json", "--max-examples=25", "--seed=1", "--no-color"]
        command += [f"--exclude-checks={UNTRUE_HERE}", "--header=Authorization: Bearer root"]
        running = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            *command,
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await running.communicate()
    assert running.returncode == 0, output.decode()
    assert b"10 selected / 10 total" in output
