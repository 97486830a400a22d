// Asks once with the openai client: node client.mjs BASE_URL chat|responses whole|stream TEXT. Prints one line of JSON.
import OpenAI from "openai";

const [base, api, mode, text] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "sk-test", maxRetries: 0, timeout: 60_000 });
const stream = mode === "stream";

async function chat() {
  const answer = await client.chat.completions.create({ model: "m", stream, messages: [{ role: "user", content: text }] });
  if (!stream) return { text: answer.choices[0].message.content, end: answer.choices[0].finish_reason, parts: 1 };
  const seen = { text: "", end: null, parts: 0 };
  for await (const chunk of answer) {
    seen.text += chunk.choices[0]?.delta.content ?? "";
    seen.end = chunk.choices[0]?.finish_reason ?? seen.end;
    seen.parts += 1;
  }
  return seen;
}

async function responses() {
  const answer = await client.responses.create({ model: "m", stream, input: text });
  if (!stream) return { text: answer.output_text, end: answer.status, parts: 1 };
  const seen = { text: "", end: null, parts: 0 };
  for await (const event of answer) {
    if (event.type === "response.output_text.delta") seen.text += event.delta;
    if (event.response) seen.end = event.response.status;
    seen.parts += 1;
  }
  return seen;
}

try {
  console.log(JSON.stringify(await (api === "chat" ? chat() : responses())));
} catch (error) {
  const typed = error instanceof OpenAI.APIError;
  console.log(JSON.stringify({ error: error.constructor.name, typed, status: error.status ?? null, code: error.code ?? null, message: error.message }));
}
