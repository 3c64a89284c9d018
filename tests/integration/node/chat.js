// A chat on Express with Vercel's `ai`: its answers are UI message streams, made of a model's tokens while those arrive.
//
//   node chat.js MODEL_URL     an OpenAI-compatible service
//
//   POST /chat                 {"messages": […]} as DefaultChatTransport sends them
//
// On standard output: {"port": N}.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { convertToModelMessages, streamText } from 'ai';
import express from 'express';

const slow = createOpenAICompatible({ name: 'slow', apiKey: 'none', baseURL: `${process.argv[2]}/v1` });

const app = express();
app.post('/chat', express.json(), async (req, res) => {
  const messages = await convertToModelMessages(req.body.messages);
  streamText({ model: slow('slow-1'), messages, maxRetries: 0 }).pipeUIMessageStreamToResponse(res);
});

const listener = app.listen(0, '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(JSON.stringify({ port: listener.address().port }));
});
