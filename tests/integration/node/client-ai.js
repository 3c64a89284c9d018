// Vercel's `ai` on one streamed answer.
//
//   node client-ai.js text URL     streamText, from an OpenAI-compatible service
//   node client-ai.js chat URL     DefaultChatTransport and readUIMessageStream, as useChat has them, from chat.js
//
// On standard output, a JSON line for each part: {"part": its type}, with "text" for a piece of text; then {"text": the whole}. An
// error that the library hands over is a part too.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { DefaultChatTransport, readUIMessageStream, streamText } from 'ai';

const say = (line) => console.log(JSON.stringify(line));
const [kind, url] = process.argv.slice(2);
const question = 'Do event streams survive?';

async function text() {
  const slow = createOpenAICompatible({ name: 'slow', apiKey: 'none', baseURL: `${url}/v1` });
  const onError = ({ error }) => say({ error: String(error) });
  const answer = streamText({ model: slow('slow-1'), prompt: question, maxRetries: 0, onError });
  for await (const { type, text } of answer.fullStream) say({ part: type, text });
  say({ text: await answer.text });
}

async function chat() {
  const transport = new DefaultChatTransport({ api: `${url}/chat` });
  const messages = [{ id: '1', role: 'user', parts: [{ type: 'text', text: question }] }];
  const stream = await transport.sendMessages({ chatId: '1', trigger: 'submit-message', messages });
  const [shown, assembled] = stream.tee();
  const parts = (async () => {
    for await (const { type, delta, errorText } of shown) say({ part: type, text: delta, error: errorText });
  })();
  let whole;
  for await (const message of readUIMessageStream({ stream: assembled, terminateOnError: true })) whole = message;
  await parts;
  say({ text: whole.parts.filter(({ type }) => type === 'text').map(({ text }) => text).join('') });
}

await { text, chat }[kind]();
