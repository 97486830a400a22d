"""A Chainlit page over the openai client: ``chainlit run page.py``. The chatbot's address is in ``OPENAI_BASE_URL``."""

from __future__ import annotations

import chainlit
from openai import AsyncOpenAI

client = AsyncOpenAI(api_key="sk-test")


@chainlit.on_message
async def answer(message: chainlit.Message) -> None:
    stream = await client.chat.completions.create(
        model="m", messages=chainlit.chat_context.to_openai(), stream=True, user=chainlit.context.session.id
    )
    reply = chainlit.Message(content="")
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            await reply.stream_token(chunk.choices[0].delta.content)
    await reply.update()
