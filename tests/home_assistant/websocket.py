"""One command to Home Assistant's WebSocket API, run by its own Python: URL TOKEN MESSAGE; prints the result."""

import asyncio
import json
import sys

import aiohttp


async def main(url, token, message):
    """Log in, send a message, and print the result."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/api/websocket", max_msg_size=0) as socket:
        await socket.receive_json()
        await socket.send_json({"type": "auth", "access_token": token})
        await socket.receive_json()
        await socket.send_json({"id": 1, **json.loads(message)})
        answer = await socket.receive_json()
        assert answer["success"], answer
        print(json.dumps(answer["result"]))


asyncio.run(main(*sys.argv[1:]))
